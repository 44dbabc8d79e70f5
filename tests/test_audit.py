"""The audit of dependencies, against a service on the loopback that answers as OSV does."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytest.importorskip("pip_audit", reason="needs the extra 'dev'")

ADVISORY = {
    "id": "PYSEC-2099-1",
    "summary": "It opens every door.",
    "aliases": ["CVE-2099-0001"],
    "affected": [
        {
            "package": {"name": "doors", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """`POST /v1/query`: one vulnerable package in one version."""

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        hit = (query["package"]["name"], query["version"]) == ("doors", "1.0")
        body = json.dumps({"vulns": [ADVISORY]} if hit else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


@pytest.fixture
def osv_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


def audit(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Of an environment with two packages in it."""
    for name in ("doors", "windows"):
        information = folder / f"{name}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    command = [sys.executable, str(ROOT / ".ci" / "audit.py"), "--osv-url", url, "--path", str(folder)]
    return subprocess.run(
        [*command, "--cache-dir", str(folder / "cache")], capture_output=True, text=True, check=False, timeout=300
    )


def test_a_known_vulnerability_is_named_and_fails(tmp_path: Path, osv_url: str):
    done = audit(tmp_path, osv_url)
    assert done.returncode == 1, done.stderr
    assert "PYSEC-2099-1" in done.stdout
    assert "1.1" in done.stdout
    assert "windows" not in done.stdout


def test_offline_it_says_that_nothing_was_checked(tmp_path: Path):
    done = audit(tmp_path, "http://127.0.0.1:1/v1/query")
    assert done.returncode == 2
    assert "nothing was checked: http://127.0.0.1:1/v1/query cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
