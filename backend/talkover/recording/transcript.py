"""The transcript of a recorded call: what was said by whom and when, as JSON and to be read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

VERSION = 1

Who = Literal["user", "agent", "tool"]


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of the agent that was heard; offsets into the item's `text`, times on the recording's clock."""

    start: int
    end: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class QuotedSource:
    """What an answer rests on."""

    title: str
    place: str
    """path or address"""


@dataclass(frozen=True, slots=True)
class TranscriptItem:
    """One turn of the user, message of the agent, or use of a tool."""

    id: str
    who: Who
    start_ms: int
    """on the recording's clock, as `end_ms`"""
    end_ms: int
    text: str
    """what the user said, what was heard of the agent, or the name of a tool"""
    unheard: str = ""
    """how the agent's message would have gone on"""
    interrupted: bool = False
    """the user stopped hearing it there"""
    typed: bool = False
    """written, not spoken"""
    words: tuple[SpokenWord, ...] = ()
    """of the agent, where the voice gives their times"""
    sources: tuple[QuotedSource, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that is kept of a call beside its sound."""

    call: str
    """the session's id"""
    caller: str | None
    """as the client names them"""
    started_at: str
    """UTC, ISO 8601: the first sample of the recording"""
    duration_ms: int
    notice: str
    """what the user was told, and heard to its end, before the first sample; empty: nothing"""
    items: tuple[TranscriptItem, ...] = ()
    unrecorded_ms: tuple[tuple[int, int], ...] = ()
    """stretches that the client wanted not to be recorded: silence, and no item that touches one"""
    finished: bool = False
    """the call is over, or its recording"""
    fault: str | None = None
    """why the recording stopped before the call did"""
    redacted: bool = False
    """numbers and e-mails are masked"""
    version: int = VERSION


def encoded(transcript: Transcript) -> bytes:
    """JSON, to be read by people as well."""
    return msgspec.json.format(msgspec.json.encode(transcript), indent=1) + b"\n"


def decoded(data: bytes) -> Transcript:
    """Raises ValueError when it is not one."""
    try:
        transcript = msgspec.json.decode(data, type=Transcript)
        datetime.fromisoformat(transcript.started_at)
        return transcript
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def readable(transcript: Transcript) -> str:
    """For people: a line for each item, with what was not heard in brackets.

    Nothing that was typed, or named by a client, ends a line: it could pass for what somebody else said.
    """
    started = datetime.fromisoformat(transcript.started_at)
    head = [f"Call {transcript.call}, {started:%Y-%m-%d %H:%M:%S} UTC, {_clock(transcript.duration_ms)}"]
    if transcript.caller is not None:
        head.append(f"Caller: {transcript.caller}")
    if transcript.notice:
        head.append(f"Told before: {transcript.notice}")
    if transcript.fault is not None:
        head.append(f"Incomplete: {transcript.fault}")
    head += [f"Not recorded: {_clock(start_ms)} to {_clock(end_ms)}" for start_ms, end_ms in transcript.unrecorded_ms]
    lines = [*head, "", *map(_line, transcript.items)]
    return "".join(f"{' '.join(line.splitlines())}\n" for line in lines)


def _line(item: TranscriptItem) -> str:
    said = item.text
    if item.unheard:
        said += f" [{'interrupted' if item.interrupted else 'not heard'}: {item.unheard}]"
    if item.sources:
        said += f" (sources: {'; '.join(source.title for source in item.sources)})"
    who = f"{item.who}, typed" if item.typed else item.who
    return f"{_clock(item.start_ms)}  {who}: {said.strip()}"


def _clock(at_ms: int) -> str:
    seconds, ms = divmod(at_ms, 1000)
    return f"{seconds // 60:02d}:{seconds % 60:02d}.{ms // 100}"
