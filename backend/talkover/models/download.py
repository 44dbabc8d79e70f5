"""Downloads of one model from one hub: the child process watched, its files checked and recorded."""

from __future__ import annotations

import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from talkover.models import fetch
from talkover.models.catalogue import Hub, Source
from talkover.models.fetch import Listed, Reason, Request
from talkover.models.local import FileFact, Record, git_blob_id_of, sha256_of, size_on_disk, write_record

ENDPOINTS: dict[Hub, str] = {"modelscope": "https://www.modelscope.cn", "huggingface": "https://huggingface.co"}
ENDPOINT_VARIABLES: dict[Hub, tuple[str, ...]] = {
    "modelscope": ("MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"),
    "huggingface": ("HF_ENDPOINT",),
}
"""what the libraries read"""

CONNECT_TIMEOUT_S = 4.0
"""after which a hub counts as out of reach; without this the libraries try for half a minute"""
POLL_S = 0.2
_QUIET = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # plain HTTP, which resumes where it stopped
    "MODELSCOPE_DOWNLOAD_PARALLEL_WORKERS": "1",  # one stream per file, which resumes where it stopped
}
_PATIENCE = {
    "HF_HUB_ETAG_TIMEOUT": "10",
    "HF_HUB_DOWNLOAD_TIMEOUT": "20",
    "MODELSCOPE_API_CONNECT_TIMEOUT": "5",
    "MODELSCOPE_API_TIMEOUT": "15",
    "MODELSCOPE_API_MAX_RETRIES": "1",
    "MODELSCOPE_DOWNLOAD_TIMEOUT": "20",
    "MODELSCOPE_DOWNLOAD_MAX_RETRIES": "4",
}
"""defaults, in seconds and attempts; what the user has set stays"""


class DownloadFailed(Exception):
    """The model could not be had from this hub; the message is a clause for the user."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is, in bytes on the disk."""

    done: int
    total: int
    """0 until the hub has listed the files"""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long nothing may happen before a download counts as stuck. Injected so that tests need not wait."""

    connect_s: float = CONNECT_TIMEOUT_S
    listing_s: float = 40.0
    stalled_s: float = 60.0


def download(
    source: Source,
    wanted: tuple[str, ...],
    folder: Path,
    on_progress: Callable[[Progress], None],
    environ: Mapping[str, str],
    patience: Patience | None = None,
) -> Record:
    """Fetch a model into `folder`, going on where an earlier attempt stopped, check every file, and record them.

    Raises DownloadFailed; a file with a wrong checksum is gone then, everything else is kept for the next attempt.
    """
    patience = patience or Patience()
    endpoint = endpoint_of(source.hub, environ)
    if not is_reachable(endpoint, patience.connect_s):
        raise DownloadFailed("unreachable", f"{urlsplit(endpoint).hostname} cannot be reached")
    request = Request(source.hub, source.repo, source.revision, str(folder), wanted)
    listed = _run_child(request, on_progress, environ, patience)
    facts = tuple(_checked(folder, file, source.sha256.get(file.path)) for file in listed)
    record = Record(source.hub, source.repo, source.revision, source.licence, facts)
    for leftover in (folder / ".cache", folder / ".lock"):  # bookkeeping of the libraries
        shutil.rmtree(leftover, ignore_errors=True)
    write_record(folder, record)
    return record


def endpoint_of(hub: Hub, environ: Mapping[str, str]) -> str:
    """Address of a hub, with the scheme; mirrors are set by the variables the hubs' libraries know."""
    for variable in ENDPOINT_VARIABLES[hub]:
        if address := environ.get(variable, "").strip():
            return address if "://" in address else f"https://{address}"
    return ENDPOINTS[hub]


def is_reachable(url: str, timeout_s: float) -> bool:
    """Whether a connection to the host of `url`, or to the proxy for it, opens in time; looking up names included."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.hostname is None:
        return False
    address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    opened: queue.Queue[bool] = queue.Queue(1)

    def connect() -> None:
        try:
            socket.create_connection(address, timeout_s).close()
        except OSError:
            opened.put(False)
        else:
            opened.put(True)

    # A thread, because nothing else bounds the time a name server takes.
    threading.Thread(target=connect, name="probe", daemon=True).start()
    try:
        return opened.get(timeout=timeout_s)
    except queue.Empty:
        return False


def _run_child(
    request: Request, on_progress: Callable[[Progress], None], environ: Mapping[str, str], patience: Patience
) -> list[Listed]:
    """Run `fetch.py` to its end and return what it listed. Raises DownloadFailed."""
    folder = Path(request.folder)
    folder.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-P", fetch.__file__, json.dumps(asdict(request))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env={**_PATIENCE, **environ, **_QUIET},
        text=True,
    )
    lines: queue.Queue[str | None] = queue.Queue(16)
    reader = threading.Thread(target=_read_lines, args=(child, lines), name="download", daemon=True)
    reader.start()
    try:
        return _watch(lines, folder, on_progress, patience)
    finally:
        child.kill()
        child.wait()
        reader.join(5)


def _read_lines(child: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert child.stdout is not None
    with child.stdout as stdout:
        for line in stdout:
            lines.put(line)
    lines.put(None)


def _watch(
    lines: queue.Queue[str | None], folder: Path, on_progress: Callable[[Progress], None], patience: Patience
) -> list[Listed]:
    listed: list[Listed] = []
    total, size, changed_s = 0, -1, time.monotonic()
    while True:
        try:
            line = lines.get(timeout=POLL_S)
        except queue.Empty:
            now_s = time.monotonic()
            if (current := size_on_disk(folder)) != size:
                size, changed_s = current, now_s
                on_progress(Progress(size, total))
            allowed_s = patience.stalled_s if listed else patience.listing_s
            if now_s - changed_s > allowed_s:
                raise DownloadFailed("unreachable", f"nothing arrived for {allowed_s:g} s") from None
            continue
        answer = _answer(line)
        if "listed" in answer:
            listed = [Listed(**file) for file in answer["listed"]]
            total, changed_s = sum(file.size for file in listed), time.monotonic()
            on_progress(Progress(max(0, size), total))
        elif "done" in answer:
            on_progress(Progress(total, total))
            return listed
        elif "failed" in answer:
            raise DownloadFailed(cast(Reason, answer["failed"]), str(answer["message"]))


def _answer(line: str | None) -> dict[str, Any]:
    """What the child said; a child that ends without a last word has failed."""
    if line is None:
        return {"failed": "failed", "message": "the download process ended by itself"}
    try:
        answer: Any = json.loads(line)
    except ValueError:  # something a library printed
        return {}
    return cast(dict[str, Any], answer) if isinstance(answer, dict) else {}


def _checked(folder: Path, file: Listed, published_sha256: str | None) -> FileFact:
    """Compare a file with what the hub lists and what is published. Raises DownloadFailed, with the file removed."""
    path = folder / file.path
    try:
        size = path.stat().st_size
    except OSError:
        raise DownloadFailed("checksum", f"{file.path} did not arrive") from None
    sha256 = sha256_of(path)
    expected = published_sha256 or file.sha256
    is_right = size == file.size and (expected is None or sha256 == expected.lower())
    if is_right and expected is None and file.git_blob_id is not None:
        is_right = git_blob_id_of(path) == file.git_blob_id
    if not is_right:
        os.unlink(path)
        raise DownloadFailed("checksum", f"{file.path} arrived with a wrong size or checksum and was removed")
    return FileFact(file.path, size, sha256)
