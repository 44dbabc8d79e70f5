"""What operators hand in for replay: the log of decisions, and the event log of a session."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from fuzz.harness import Fuzzer
from fuzz.mutation import mutated_json
from talkover.bench.duplex.replay import REPLAYABLE
from talkover.realtime.items import MAX_EVENT_BYTES
from talkover.realtime.replay import NoEventLog, lines_of, read
from talkover.realtime.replay import replay as replay_session
from talkover.vad.decision_log import replay


def fuzz_decision_log(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert replay(data.splitlines(), REPLAYABLE).calls >= 0


def fuzz_event_log(data: bytes) -> None:
    """A file: it is replayed, to the same end each time, and what is shown of a difference is no more than an event."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        path.write_bytes(data)
        try:
            recording = read(lines_of(path))
            result = replay_session(recording)
        except NoEventLog:
            return
    assert result.steps <= len(recording.steps) <= data.count(b"\n")
    if (difference := result.difference) is not None:
        assert difference.step.line <= data.count(b"\n")
        assert len(difference.recorded) <= len(data) + 100
        assert len(difference.replayed) <= MAX_EVENT_BYTES
    if recording.header["options"].get("id_seed"):
        assert replay_session(recording) == result


FUZZERS = (
    Fuzzer("decision_log", fuzz_decision_log, mutate=mutated_json),
    Fuzzer("event_log", fuzz_event_log, 24_576, mutate=mutated_json),
)
