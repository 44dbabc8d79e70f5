"""A recorded session decides the same when it is run again, without its audio, engines and clock."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import logging
import stat
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines, session_options, wait_until
from talkover.audio import samples_to_pcm16
from talkover.cli import app
from talkover.messages import FunctionTool, StageFailed, ToolFinished
from talkover.metrics import Metrics
from talkover.realtime.event_log import _OPTIONS, read_happened, read_options
from talkover.realtime.event_recorder import EventLogs
from talkover.realtime.replay import NoEventLog, lines_of, read, replay
from talkover.realtime.session import LaneFull
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.session_thread import SessionThread
from talkover.tools.tool import Tool, Toolbox, ToolResult

TOOL = Tool(
    "stock",
    "Tells the stock.",
    {"type": "object", "properties": {"article": {"type": "string"}}},
    lambda *_: ToolResult("3"),
)


def recorded_call(folder: Path, max_bytes: int = 1 << 24, with_audio: bool = False, **options: object) -> Path:
    """A conversation with most of what can happen in one."""
    logs = EventLogs(folder, max_bytes, with_audio)
    engines = fake_engines(
        ScriptedAsr("What is the time?", "And what is the weather tomorrow?", "Stop that."),
        ScriptedLlm("It is noon, and the sun shines.", "I do not know, sorry, but it may well rain the whole day."),
    )
    session = Driver(engines, session_options(id_seed="seed", toolbox=Toolbox([TOOL]), **options), observer=logs)
    session.update(
        instructions="Be brief.",
        voice="alloy",
        s2s={"version": 1, "events": ["words", "decisions", "metrics"]},
        tools=[{"type": "function", "name": "door", "parameters": {"type": "object"}}],
        audio={"input": {"transcription": {"model": "any"}}},
    )
    session.say()
    session.wait(3)
    session.say(900)
    session.speak(700)  # over the agent
    session.run()
    session.end_turn()
    session.send(
        "conversation.item.create",
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hm"}]},
    )
    sound = base64.b64encode(bytes(9600)).decode()
    session.send(
        "conversation.item.create",
        item={"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]},
    )
    session.send("response.create", response={"voice": "nobody"})
    session.send(
        "response.create", response={"conversation": "none", "instructions": "Sum up.", "output_modalities": ["text"]}
    )
    session.run()
    session.send_raw("{")
    session.send_raw(b"\x00\x01")
    for report in (LaneFull("resp_x"), StageFailed("recognizer", "broken", item_id="item_x"), ToolFinished(7, "none")):
        session.handle(report)
    session.wait(30)
    session.observers[0].closed()
    logs.close()
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_call(tmp_path_factory.mktemp("events"))


def test_a_recorded_session_decides_the_same_again(call: Path):
    path = call
    recording = read(lines_of(path))
    result = replay(recording)
    assert result.difference is None
    assert result.steps == len(recording.steps) > 100
    assert result.decisions > 50
    out = b"".join(step.out for step in recording.steps)
    assert b"response.output_audio.delta" in out
    assert b"BargedIn" in out or b"turn_detected" in out
    assert recording.ended == "closed"


def test_a_log_is_its_owners_alone(call: Path, tmp_path: Path):
    assert stat.S_IMODE(call.stat().st_mode) == 0o600
    EventLogs(tmp_path / "logs", 1 << 20).close()
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700


def test_no_audio_is_in_a_log_that_keeps_none(call: Path):
    text = gzip.decompress(call.read_bytes())
    assert b"AAAAAAAA" not in text  # of the silence
    assert max(len(line) for line in text.splitlines()) < 8000


def test_with_audio_kept_the_frames_are_there_as_they_came(tmp_path: Path):
    path = recorded_call(tmp_path, with_audio=True)
    recording = read(lines_of(path))
    frames = [step.what["frame"] for step in recording.steps if isinstance(step.what, dict) and "frame" in step.what]
    assert any(json.loads(frame).get("audio") for frame in frames if frame.startswith('{"type": "input_audio'))
    assert replay(recording).difference is None


def test_another_decision_is_found_and_shown_with_what_was_before(call: Path):
    lines = list(lines_of(call))
    number = next(n for n, line in enumerate(lines) if b'"response.done"' in line)
    lines[number] = lines[number].replace(b'"completed"', b'"cancelled"', 1)
    difference = replay(read(lines)).difference
    assert difference is not None
    assert "cancelled" in difference.recorded
    assert "completed" in difference.replayed
    assert difference.context


def test_another_measure_of_the_audio_leads_to_another_decision(call: Path):
    lines = list(lines_of(call))
    feeds = [n for n, line in enumerate(lines) if b'"call":"feed","with":[1.0' in line]
    for number in feeds[:8]:
        lines[number] = lines[number].replace(b'"with":[1.0', b'"with":[0.0')
    assert replay(read(lines)).difference is not None


def test_a_log_cut_off_anywhere_is_replayed_up_to_there(call: Path, tmp_path: Path):
    path = tmp_path / "cut.gz"
    whole = call.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    recording = read(lines_of(path))
    assert recording.ended == ""
    assert len(recording.steps) > 10
    assert replay(recording).difference is None


def test_recording_stops_at_its_limit_and_what_there_is_can_be_replayed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        path = recorded_call(tmp_path, max_bytes=20_000)
    recording = read(lines_of(path))
    assert "max_mib" in recording.ended
    assert len(gzip.decompress(path.read_bytes())) < 21_000
    assert [record for record in caplog.records if "recorded no further" in record.message] == caplog.records[:1]
    assert replay(recording).difference is None


def test_a_disk_that_does_not_write_ends_the_recording_only(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    logs = EventLogs(tmp_path / "logs", 1 << 20)
    (tmp_path / "logs").rmdir()  # as good as a full disk: the file cannot be written
    session = Driver(fake_engines(ScriptedAsr("Hello")), session_options(id_seed="x"), observer=logs)
    session.say()
    session.observers[0].closed()
    logs.close()
    assert session.last("response.done")["response"]["status"] == "completed"
    assert sum("recorded no further" in record.message for record in caplog.records) == 1


def test_the_command_says_whether_the_decisions_are_the_same(call: Path, tmp_path: Path):
    same = CliRunner().invoke(app, ["replay", str(call)])
    assert same.exit_code == 0, same.output
    assert "the same decisions" in same.output
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(
        gzip.decompress(call.read_bytes()).replace(b'"noon,', b'"dawn,').replace(b"It is noon", b"It is dawn", 3)
    )
    other = CliRunner().invoke(app, ["replay", str(changed)])
    assert other.exit_code == 1
    assert "recorded" in other.output
    (tmp_path / "none.txt").write_text("hello\n")
    assert CliRunner().invoke(app, ["replay", str(tmp_path / "none.txt")]).exit_code == 2


def test_every_option_of_a_session_is_recorded_or_stands_for_something_outside():
    outside = {"resolve_voice", "toolbox", "memory", "echo_canceller", "passages"}
    assert {field.name for field in dataclasses.fields(SessionOptions)} == set(_OPTIONS) | outside


def test_options_come_back_as_they_were(tmp_path: Path):
    tools = (FunctionTool("note", "Notes.", {"type": "object"}),)
    path = recorded_call(tmp_path, greeting="Hello.", memory_tools=tools, history_tokens=900)
    read_back = read_options(read(lines_of(path)).header, {}.get)
    given = session_options(id_seed="seed", greeting="Hello.", memory_tools=tools, history_tokens=900)
    for name in _OPTIONS:
        assert getattr(read_back, name) == getattr(given, name), name
    assert read_back.toolbox.get("stock").parameters == TOOL.parameters


def test_what_is_no_event_log_is_refused():
    with pytest.raises(NoEventLog, match="line 1"):
        read([b'{"format":"talkover-decisions","version":1}'])
    with pytest.raises(NoEventLog, match="line 2"):
        read([b'{"format":"talkover-events","version":1}', b"{"])
    with pytest.raises(ValueError, match="must be one of"):
        read_happened({"Nonsense": {}})


HEADER = b'{"format":"talkover-events","version":1}'


@pytest.mark.parametrize(
    "line",
    [
        b'{"in":null}',
        b'{"at":"1","in":null}',
        b'{"at":1e300,"in":null}',
        b'{"at":1,"in":null,"x":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"at":1,"in":"\xff"}',
    ],
)
def test_a_line_that_nobody_wrote_is_named(line: bytes):
    with pytest.raises(NoEventLog, match="line 2"):
        read([HEADER, line])


def test_actions_that_are_no_list_are_refused():
    with pytest.raises(NoEventLog, match="line 3"):
        read([HEADER, b'{"at":1,"in":null}', b'{"out":null}'])


@pytest.mark.parametrize("header", [b"{}", b'{"options":5}', b'{"options":{}}', b'{"options":{"tools":[5]}}'])
def test_a_header_without_the_options_of_a_session_is_refused(header: bytes):
    with pytest.raises(NoEventLog, match="line 1"):
        replay(read([HEADER[:-1] + b"," + header[1:] if header != b"{}" else HEADER]))


@pytest.mark.parametrize(
    "written",
    [
        5,
        [],
        {"binary": 10**15},
        {"binary": -1},
        {"append": 10**15},
        {"silent_frame": {"item": {"content": [{"audio": 10**7}] * 100}}},
        {"WireAudio": {}, "n_bytes": 10**15},
        {"WireAudio": 5, "payload": "AA=="},
        {"Transcript": None},
    ],
)
def test_what_cannot_have_happened_is_a_value_error(written: object):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the message
        read_happened(written)


def test_measures_that_are_none_are_refused(call: Path):
    lines = list(lines_of(call))
    number = next(n for n, line in enumerate(lines) if b'"call":"feed","with":[' in line)
    lines[number] = b'{"decider":"Endpointer","call":"feed","with":[1,2]}'
    with pytest.raises(NoEventLog, match="line"):
        replay(read(lines))


class Frames:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.types: list[str] = []

    def send(self, frames: list[str]) -> None:
        self.types += [json.loads(frame)["type"] for frame in frames]

    def close(self, code: int, reason: str) -> None:
        """Nobody asks."""


def test_a_session_of_real_threads_decides_the_same_again(tmp_path: Path):
    logs, outlet = EventLogs(tmp_path, 1 << 24), Frames()
    engines = fake_engines(ScriptedAsr("What is the time"), ScriptedLlm("It is noon."))
    session = SessionThread(
        session_options(), engines, 600, outlet, Metrics(), 1 << 20, lambda: None, observers=(logs,)
    )
    session.start()
    loud = base64.b64encode(samples_to_pcm16(0.5 * np.sin(np.arange(24 * 700) * 0.1, dtype=np.float32))).decode()
    for sound in (loud, base64.b64encode(bytes(48 * 1500)).decode()):
        session.inbox.offer_frame(json.dumps({"type": "input_audio_buffer.append", "audio": sound}))
    assert wait_until(lambda: "response.done" in outlet.types)
    session.stop()
    assert session.join()
    logs.close()
    (path,) = tmp_path.iterdir()
    assert session.id in path.name
    result = replay(read(lines_of(path)))
    assert result.difference is None
    assert result.session_id == session.id
    assert result.ended == "closed"
