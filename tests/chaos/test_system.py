"""Lacks of the machine, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from live import eventually
from talkover.chaos.system import children


def lines(deed: str, body: str) -> list[str]:
    """What a script prints in which `switch` is the fault."""
    head = f"""
        import os, sys, time, tempfile
        from pathlib import Path
        from talkover.chaos.plan import SystemFault
        from talkover.chaos.system import SystemSwitch
        switch = SystemSwitch(SystemFault("{deed}", clock_jump_s=-7200))
        """
    script = textwrap.dedent(head) + textwrap.dedent(body)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_on_a_full_disk_no_file_grows_and_pipes_still_do():
    body = """
        path = Path(tempfile.mkdtemp()) / "file"
        switch.turn(True)
        try:
            path.write_bytes(b"a")
        except OSError:
            print("full", flush=True)
        switch.turn(False)
        print(path.write_bytes(b"a"))
        """
    assert lines("disk_full", body) == ["full", "1"]


def test_the_wall_clock_steps_and_the_monotonic_one_does_not():
    body = """
        before_s, steady_s = time.time(), time.monotonic()
        switch.turn(True)
        print(round((time.time() - before_s) / 3600), round((time.time_ns() / 1e9 - before_s) / 3600))
        print(time.monotonic() - steady_s < 5)
        switch.turn(False)
        print(round((time.time() - before_s) / 3600))
        """
    assert lines("clock_jump", body) == ["-2", "-2", "True", "-2"]


def test_without_descriptors_nothing_can_be_opened_until_they_are_back():
    body = """
        switch.turn(True)
        try:
            open(os.devnull)
        except OSError as error:
            print(error.errno)
        switch.turn(False)
        print(open(os.devnull).read() == "")
        """
    assert lines("no_descriptors", body) == ["24", "True"]


def test_children_are_found_by_their_command_line():
    with subprocess.Popen([sys.executable, "-c", "input() # a child of chaos"], stdin=subprocess.PIPE) as child:
        assert eventually(lambda: "a child of chaos" in children(os.getpid()).get(child.pid, ""))
        child.kill()
