"""Runs a session again from its event log, on the log's own time, and compares every decision with the recorded one."""

from __future__ import annotations

import gzip
import io
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from talkover.messages import Samples
from talkover.pipeline.cancel import Generations
from talkover.realtime.event_log import FORMAT, VERSION, came_out, read_happened, read_options
from talkover.realtime.fields import JsonObject
from talkover.realtime.session import RealtimeSession
from talkover.vad.frame_sound import FrameSound
from talkover.vad.prosody import UNVOICED, Pitch

NOTHING = b'{"out":[]}'
CONTEXT_STEPS = 3
"""shown before a difference"""
MAX_CLOCK_S = 1e9
"""a monotonic clock counts from the start of the machine"""


class NoEventLog(ValueError):
    """The file is none, or not one that this version reads; the message says where."""


@dataclass(slots=True)
class Step:
    """One input of the recorded session and what came of it."""

    line: int
    """in the file, from 1"""
    at_s: float
    what: Any
    """as it was written"""
    within: list[bytes] = field(default_factory=list[bytes])
    out: bytes = NOTHING


@dataclass(frozen=True, slots=True)
class Recording:
    """A file that was read."""

    header: JsonObject
    before: tuple[bytes, ...]
    """what was decided while the session was made"""
    steps: tuple[Step, ...]
    ended: str
    """why there is no more of it; empty: the writer was killed"""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first decision that came out otherwise."""

    step: Step
    recorded: str
    replayed: str
    context: tuple[str, ...]
    """the steps before it"""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it."""

    session_id: str
    steps: int
    actions: int
    decisions: int
    """of the deciders within"""
    duration_s: float
    ended: str
    raised: tuple[str, ...]
    """exceptions that the recorded session met, and this one again"""
    difference: Difference | None


# ---------------------------------------------------------------------------------------------------------- reading


def lines_of(path: Path) -> Iterator[bytes]:
    """The whole lines of a log, compressed or not, also of one whose writer was killed. Raises OSError."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream: io.BufferedIOBase = gzip.GzipFile(fileobj=file) if packed else file
        try:
            for line in stream:
                if line.endswith(b"\n"):
                    yield line.rstrip(b"\r\n")
        except (EOFError, zlib.error):
            return


def read(lines: Iterable[bytes]) -> Recording:
    """Raises NoEventLog."""
    header: JsonObject = {}
    before: list[bytes] = []
    steps: list[Step] = []
    ended, is_whole = "", False
    for number, line in enumerate(lines, 1):
        try:
            entry = msgspec.json.decode(line, type=dict[str, Any])
        except (ValueError, RecursionError) as error:
            raise NoEventLog(f"line {number}: must be a JSON object: {error}") from error
        if number == 1:
            if (entry.get("format"), entry.get("version")) != (FORMAT, VERSION):
                raise NoEventLog(f"line 1: must be of format {FORMAT!r}, version {VERSION}, got {line[:80]!r}")
            header = entry
        elif "in" in entry:
            steps.append(Step(number, _seconds(entry.get("at"), number), entry["in"]))
        elif "out" in entry and steps:
            if not isinstance(entry["out"], list):
                raise NoEventLog(f"line {number}: out must be a list of actions")
            steps[-1].out = line
        elif "ended" in entry:
            ended, is_whole = str(entry["ended"]), entry.get("whole") is True
        else:
            (steps[-1].within if steps else before).append(line)
    if steps and not is_whole:
        steps.pop()  # what came of it may be missing
    if not header:
        raise NoEventLog("line 1: there is none")
    return Recording(header, tuple(before), tuple(steps), ended)


def _seconds(value: Any, number: int) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MAX_CLOCK_S:
        raise NoEventLog(f"line {number}: at must be seconds of a monotonic clock")
    return value


# ---------------------------------------------------------------------------------------------------------- replay


class RecordedFault(Exception):
    """Stands for what measuring a frame raised."""


class _LastSound(msgspec.Struct):
    last_sound_ms: float


class _Feed(msgspec.Struct):
    arguments: tuple[float, float, bool, Pitch] = msgspec.field(name="with")


class _Voice(msgspec.Struct):
    voice: str
    voice_id: str | None = msgspec.field(name="is")


_last_sound = msgspec.json.Decoder(_LastSound, strict=False).decode
_feed = msgspec.json.Decoder(_Feed, strict=False).decode  # not strict: infinite levels are written as strings
_voice = msgspec.json.Decoder(_Voice).decode


class RecordedSounds:
    """How each frame of the recorded session sounded, step by step."""

    def __init__(self) -> None:
        self._sounds: deque[FrameSound] = deque()
        self._ends_ms: deque[float] = deque()
        self._raises = ""

    def begin(self, step: Step, raises: str) -> None:
        """What `step` measured; `raises`: the exception it ended with, empty for none. Raises ValueError."""
        self._raises = raises
        self._ends_ms = deque(
            _last_sound(line).last_sound_ms for line in step.within if line.startswith(b'{"last_sound_ms":')
        )
        self._sounds = deque(
            FrameSound(probability, level_dbfs, pitch)
            for line in step.within
            if line.startswith(b'{"decider":"Endpointer","call":"feed"')
            for probability, level_dbfs, _, pitch in (_feed(line).arguments,)
        )

    def measure(self, frame: Samples) -> FrameSound:
        """Silence where the recorded session did not get to: that is a difference, and found there."""
        if self._sounds:
            return self._sounds.popleft()
        if self._raises:
            raise RecordedFault(self._raises)
        return FrameSound(0.0, -100.0, UNVOICED)

    def last_sound_ms(self, samples: Samples, voiced_end_ms: float) -> float:
        """Where the voice ended in the recorded session, as far as that got there."""
        return self._ends_ms.popleft() if self._ends_ms else voiced_end_ms

    def reset(self) -> None:
        """What is remembered does not change."""


class RecordedVoices:
    """Which voice each name stood for, in order. Raises ValueError."""

    def __init__(self, recording: Recording) -> None:
        self._asked = deque(_voice(line) for line in _all_within(recording) if line.startswith(b'{"voice":'))

    def resolve(self, name: str) -> str | None:
        """None where the recorded session asked for another one: that is a difference, and found there."""
        if self._asked and self._asked[0].voice == name:
            return self._asked.popleft().voice_id
        return None


def replay(recording: Recording) -> Replay:
    """Take every decision again. Stops at the first difference. Raises NoEventLog."""
    within: list[bytes] = []
    actions = decisions = 0
    raised: list[str] = []
    sounds = RecordedSounds()
    try:
        options = read_options(recording.header, RecordedVoices(recording).resolve)
        session = RealtimeSession(options, sounds, Generations(), Generations(), record=within.append)
    except Exception as error:  # the core trusts its options, which nobody has checked here
        raise NoEventLog(f"line 1: no session can be made of it: {error!r:.300}") from error
    steps = recording.steps
    difference = _compared(Step(1, 0.0, "made", list(recording.before)), within, NOTHING, ())
    done = 0
    for index, step in enumerate(steps):
        if difference is not None:
            break
        within.clear()
        try:
            happened = read_happened(step.what)
            sounds.begin(step, _raised_in(steps, index))
        except ValueError as error:
            raise NoEventLog(f"line {step.line}: {error}") from error
        done += 1
        try:
            taken = session.handle(happened, step.at_s)
        except Exception as error:  # the recorded session may have met the same, and that is what one wants to see
            name = str(error) if isinstance(error, RecordedFault) else type(error).__name__
            raised.append(name)
            if name == _raised_in(steps, index):
                continue
            difference = Difference(step, step.out.decode(), f"raised {error!r}", _context(steps[:index]))
            break
        actions += len(taken)
        decisions += len(within)
        out = came_out(taken) if taken else NOTHING
        difference = _compared(step, within, out, steps[:index])
    duration_s = steps[done - 1].at_s - steps[0].at_s if done else 0.0
    session_id = str(recording.header.get("session"))
    return Replay(session_id, done, actions, decisions, duration_s, recording.ended, tuple(raised), difference)


def _raised_in(steps: tuple[Step, ...], index: int) -> str:
    """The exception that a step of the recorded session ended with; empty: none."""
    after = steps[index + 1].what if index + 1 < len(steps) else None
    return str(after["broke"]) if isinstance(after, dict) and "broke" in after else ""


def _compared(step: Step, within: list[bytes], out: bytes, before: tuple[Step, ...]) -> Difference | None:
    """The decisions within come first: they are the cause of the others."""
    for index in range(max(len(step.within), len(within))):
        recorded = step.within[index] if index < len(step.within) else b"nothing"
        replayed = within[index] if index < len(within) else b"nothing"
        if recorded != replayed:
            return Difference(step, recorded.decode(), replayed.decode(), _context(before))
    if step.out == out:
        return None
    recorded_actions, replayed_actions = _actions(step.out), _actions(out)
    for index in range(max(len(recorded_actions), len(replayed_actions))):
        recorded_action = recorded_actions[index] if index < len(recorded_actions) else "nothing"
        replayed_action = replayed_actions[index] if index < len(replayed_actions) else "nothing"
        if recorded_action != replayed_action:
            return Difference(step, recorded_action, replayed_action, _context(before))
    return Difference(step, step.out.decode(), out.decode(), _context(before))


def _actions(out: bytes) -> list[str]:
    return [msgspec.json.encode(action).decode() for action in msgspec.json.decode(out)["out"]]


def _context(steps: tuple[Step, ...]) -> tuple[str, ...]:
    shown: list[str] = []
    for step in steps[-CONTEXT_STEPS:]:
        shown.append(f"line {step.line}, {step.at_s:.3f} s: {msgspec.json.encode(step.what).decode()}")
        shown += [f"    {action}" for action in _actions(step.out)]
    return tuple(shown)


def _all_within(recording: Recording) -> Iterator[bytes]:
    yield from recording.before
    for step in recording.steps:
        yield from step.within
