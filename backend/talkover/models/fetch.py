"""The child process that talks to a hub through the hub's own library: `python -P fetch.py REQUEST`.

A process of its own because both libraries read their timeouts and endpoints from the environment when they are
imported, draw progress bars of their own, and cannot be stopped from outside: a download that hangs is ended with the
process. REQUEST is a JSON object (see `Request`); the answer is one JSON object per line, `listed` and then `done` or
`failed`. What arrived before an end of any kind stays in the folder, and the next call goes on from there.

It is run as a file, not as a module of the package, whose imports would cost half a second of CPU; so it imports none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from talkover.models.catalogue import Hub

WORKERS = 3
"""files at a time"""
_NOT_LOADED = (".py", ".sh", ".so", ".exe", ".dll")
"""code is never fetched: a model is data"""

Reason = Literal["unreachable", "not_found", "refused", "checksum", "empty", "package", "failed"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to fetch."""

    hub: Hub
    repo: str
    revision: str | None
    folder: str
    wanted: tuple[str, ...]
    """patterns of paths"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the hub lists it."""

    path: str
    size: int
    sha256: str | None
    git_blob_id: str | None = None
    """where the hub gives no SHA-256"""


class FetchFailed(Exception):
    """With the reason in a form the parent can act on."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


def worth_fetching(path: str, wanted: Sequence[str]) -> bool:
    """Whether `path` of a listing is asked for, harmless and inside of the folder."""
    parts = PurePosixPath(path).parts
    inside = bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path
    name = parts[-1] if parts else ""
    asked = any(fnmatch(path, pattern) or fnmatch(name, pattern) for pattern in wanted)
    return inside and asked and not name.startswith(".") and not name.lower().endswith(_NOT_LOADED)


def _selected(files: Iterable[Listed], request: Request) -> list[Listed]:
    files = [file for file in files if worth_fetching(file.path, request.wanted)]
    if not files:
        raise FetchFailed("empty", f"{request.repo} holds none of the files wanted")
    _say({"listed": [asdict(file) for file in files]})
    return files


def _from_modelscope(request: Request) -> None:
    import requests
    from modelscope_hub import HubApi
    from modelscope_hub import errors as faults

    try:
        api = HubApi()
        found = api.list_repo_files(request.repo, "model", revision=request.revision)
        listed = (Listed(file.path, file.size or 0, file.sha256) for file in found if file.type != "tree")
        files = _selected(listed, request)
        api.download_repo(
            request.repo,
            "model",
            revision=request.revision,
            local_dir=request.folder,
            max_workers=WORKERS,
            file_list=[{"Path": file.path, "Size": file.size, "Sha256": file.sha256} for file in files],
        )
    except faults.FileDownloadError as error:
        path, cause = next(iter(error.failed_files.items()))
        if isinstance(cause, faults.FileIntegrityError):
            raise FetchFailed("checksum", f"{path} is not the file the hub lists (size or checksum differ)") from error
        raise FetchFailed("unreachable", f"{path} broke off ({type(cause).__name__})") from error
    except faults.NotExistError as error:
        raise FetchFailed("not_found", f"there is no {_at(request)}") from error
    except (faults.AuthenticationError, faults.PermissionDeniedError) as error:
        raise FetchFailed("refused", f"{request.repo} needs a token: export MODELSCOPE_API_TOKEN=...") from error
    except (faults.HubError, requests.RequestException) as error:
        raise FetchFailed("unreachable", type(error).__name__) from error


def _from_huggingface(request: Request) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub import errors as faults

    api = HfApi()
    try:
        commit = api.model_info(request.repo, revision=request.revision).sha
        found = api.list_repo_tree(request.repo, recursive=True, revision=commit)
        files = _selected((_listed(entry) for entry in found if hasattr(entry, "blob_id")), request)
        for file in files:
            _fetch_huggingface_file(request, commit, file)
    except faults.GatedRepoError as error:
        raise FetchFailed("refused", f"{request.repo} needs a token: export HF_TOKEN=...") from error
    except (faults.RepositoryNotFoundError, faults.RevisionNotFoundError, faults.EntryNotFoundError) as error:
        raise FetchFailed("not_found", f"there is no {_at(request)}") from error
    except (faults.HfHubHTTPError, OSError) as error:
        raise FetchFailed("unreachable", type(error).__name__) from error


def _fetch_huggingface_file(request: Request, commit: str | None, file: Listed) -> None:
    """One file, from the byte where an earlier call stopped.

    `snapshot_download` of huggingface_hub 2 begins interrupted files anew: its partial files have random names. So its
    parts are used: the address, the headers with the user's token, and the request that resumes.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    target = Path(request.folder) / file.path
    if target.is_file() and target.stat().st_size == file.size:
        return  # the parent checks its contents
    version = (file.sha256 or file.git_blob_id or "")[:12]
    partial = target.with_name(f"{target.name}.{version}.incomplete")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("ab") as data:
        if data.tell() < file.size or file.size == 0:
            address = hf_hub_url(request.repo, file.path, revision=commit)
            http_get(
                address, data, resume_size=data.tell(), headers=build_hf_headers(), expected_size=file.size or None
            )
    partial.replace(target)


def _listed(entry: Any) -> Listed:
    """A `RepoFile` of huggingface_hub: large files have a SHA-256, small ones the name git gives them."""
    if entry.lfs is not None:
        return Listed(entry.path, entry.lfs.size, entry.lfs.sha256)
    return Listed(entry.path, entry.size, None, entry.blob_id)


def _at(request: Request) -> str:
    return f"{request.repo}, revision {request.revision}" if request.revision else request.repo


_FETCH: dict[Hub, Callable[[Request], None]] = {"modelscope": _from_modelscope, "huggingface": _from_huggingface}


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    tree = json.loads(arguments[0])
    request = Request(tree["hub"], tree["repo"], tree["revision"], tree["folder"], tuple(tree["wanted"]))
    Path(request.folder).mkdir(parents=True, exist_ok=True)
    try:
        _FETCH[request.hub](request)
    except FetchFailed as error:
        _say({"failed": error.reason, "message": str(error)})
        return 1
    except ImportError as error:
        _say({"failed": "package", "message": f"the package {error.name!r} is missing"})
        return 1
    except Exception as error:  # the border of the process: the parent gets a sentence, the traceback goes to stderr
        _say({"failed": "failed", "message": f"{type(error).__name__}: {error}"})
        raise
    _say({"done": True})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
