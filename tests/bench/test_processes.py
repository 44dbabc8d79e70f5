"""Servers as processes of their own, and what they use of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from live import eventually
from talkover.bench.machine import OtherLoad, cores_of_others, facts
from talkover.client.server_process import ServerFailed, ServerProcess, own_environment
from talkover.process_tree import tree_cpu_s

ANSWER = """
import http.server, sys, time
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if time.monotonic() > ready else 503); self.end_headers()
    def log_message(self, *_): pass
ready = time.monotonic() + float(sys.argv[2])
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""


def stat(folder: Path, pid: int, parent: int, ticks: tuple[int, int, int, int]) -> None:
    """A line as in proc(5), with a name that tries to confuse."""
    (folder / str(pid)).mkdir()
    fields = ["S", str(parent), *["0"] * 9, *map(str, ticks), *["0"] * 30]
    (folder / str(pid) / "stat").write_text(f"{pid} (a) S 1 b) {' '.join(fields)}\n")


def test_cpu_time_counts_all_descendants_and_the_dead_ones(tmp_path: Path):
    stat(tmp_path, 10, 1, (100, 50, 7, 3))
    stat(tmp_path, 11, 10, (20, 0, 0, 0))
    stat(tmp_path, 12, 11, (1, 1, 0, 0))
    stat(tmp_path, 13, 1, (1000, 0, 0, 0))
    (tmp_path / "self").mkdir()
    assert tree_cpu_s(10, tmp_path) == pytest.approx(182 / os.sysconf("SC_CLK_TCK"))
    assert tree_cpu_s(99, tmp_path) is None
    assert tree_cpu_s(10, tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("busy_s", "own_s", "elapsed_s", "cores"), [(3.0, 1.0, 2.0, 1.0), (1.0, 1.02, 2.0, 0.0), (0.0, 0.0, 0.0, 0.0)]
)
def test_what_others_used_is_what_we_did_not(busy_s: float, own_s: float, elapsed_s: float, cores: float):
    assert cores_of_others(busy_s, own_s, elapsed_s) == cores


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_work_of_a_child_process_is_our_own():
    before_s = tree_cpu_s(os.getpid())
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.4: pass"], check=True)
    after_s = tree_cpu_s(os.getpid())
    assert before_s is not None
    assert after_s is not None
    assert after_s - before_s >= 0.38
    assert OtherLoad().cores() is not None


def test_ready_is_the_first_200():
    with ServerProcess(command=[sys.executable, "-c", ANSWER, "{port}", "0.5"]) as server:
        assert 0.5 <= server.wait_ready(20) < 20
        pid = server.pid
    assert eventually(lambda: tree_cpu_s(pid) is None)


def test_a_server_that_ends_says_why():
    with (
        ServerProcess(command=[sys.executable, "-c", "print('no engine'); raise SystemExit(3)"]) as server,
        pytest.raises(ServerFailed, match=r"code 3:\nno engine"),
    ):
        server.wait_ready(20)


def test_a_server_that_is_never_ready_is_given_up():
    with (
        ServerProcess(command=[sys.executable, "-c", ANSWER, "{port}", "1000"]) as server,
        pytest.raises(ServerFailed, match="not ready after 1 s"),
    ):
        server.wait_ready(1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_a_server_can_be_kept_on_one_core():
    core = min(os.sched_getaffinity(0))
    with ServerProcess(command=[sys.executable, "-c", ANSWER, "{port}", "0"], cores={core}) as server:
        server.wait_ready(20)
        assert os.sched_getaffinity(server.pid) == {core}


def test_the_environment_holds_no_settings_and_no_language_model(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("TALKOVER_SERVER__PORT", "1")
    monkeypatch.setenv("HOME", "/home/x")
    environ = own_environment({"MORE": "1"})
    assert (environ["HOME"], environ["MORE"]) == ("/home/x", "1")
    assert not {"OPENAI_API_KEY", "TALKOVER_SERVER__PORT"} & set(environ)


def test_the_facts_name_machine_and_versions():
    found = facts()
    assert found["cores"] >= 1
    assert found["packages"]["numpy"]
    assert found["date"].endswith("+00:00")
