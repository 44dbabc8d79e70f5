"""Who said what in a call, noted down from the events of its session, for the transcript. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from talkover.audio import samples_to_ms
from talkover.messages import Source, Word
from talkover.realtime.fields import JsonObject
from talkover.recording.agent_track import AgentTrack, Span
from talkover.recording.transcript import QuotedSource, SpokenWord, TranscriptItem, Who
from talkover.recording.wire_audio import RATE_HZ

MAX_ITEMS = 5000
MAX_SOURCES = 20
"""of one answer"""


@dataclass(slots=True)
class _Note:
    """An item; positions on the call's clock, None where they are not known yet."""

    who: Who
    start: int | None = None
    end: int | None = None
    text: str = ""
    revision: int = -1
    is_turn: bool = False
    """of the user: it was committed, and no noise"""
    typed: bool = False
    heard_chars: int | None = None
    words: list[Word] = field(default_factory=list[Word])
    response_id: str = ""


class ConversationNotes:
    """Of one call. Positions are samples on the call's clock."""

    def __init__(self) -> None:
        self._notes: dict[str, _Note] = {}
        self._sources: dict[str, list[QuotedSource]] = {}
        self._buffered_from: int | None = None
        """where the audio begins that the client has not committed, where it decides on turns itself"""

    # ---------------------------------------------------------------------------------------------- what happened

    def speech_started(self, item_id: str, at: int) -> None:
        self._note(item_id, "user").start = at

    def speech_stopped(self, item_id: str, at: int) -> None:
        self._note(item_id, "user").end = at

    def buffered(self, at: int) -> None:
        """Audio of the user that begins there."""
        if self._buffered_from is None:
            self._buffered_from = at

    def cleared(self) -> None:
        self._buffered_from = None

    def committed(self, item_id: str, at: int) -> None:
        """The user's turn is over; `at`: where their audio ends."""
        note = self._note(item_id, "user")
        note.is_turn = True
        if note.start is None:
            note.start = at if self._buffered_from is None else self._buffered_from
        if note.end is None:
            note.end = at
        self._buffered_from = None

    def understood(self, item_id: str, text: str, revision: int) -> None:
        """What a turn says; a later revision of it counts."""
        note = self._note(item_id, "user")
        if revision >= note.revision:
            note.text, note.revision = text, revision

    def item_added(self, item: JsonObject, at: int) -> None:
        """An item entered the conversation: typed text and calls of tools are complete with that."""
        typed = "".join(part.get("text") or "" for part in item.get("content", ()) if part["type"] == "input_text")
        if item.get("role") == "user" and typed:
            self._notes[item["id"]] = _Note("user", at, at, typed, is_turn=True, typed=True)
        elif item["type"] == "function_call":
            self._notes[item["id"]] = _Note("tool", at, at, item.get("name", ""))

    def message_begun(self, item_id: str, response_id: str, at: int) -> None:
        """The agent begins to speak or write."""
        note = self._note(item_id, "agent")
        note.start, note.response_id = at, response_id

    def message_text(self, item_id: str, text: str, typed: bool) -> None:
        """More of what it says."""
        if (note := self._notes.get(item_id)) is not None:
            note.text += text
            note.typed = typed

    def message_words(self, item_id: str, words: Sequence[Word]) -> None:
        """When they sound, counted from the message's first sample."""
        if (note := self._notes.get(item_id)) is not None:
            note.words += words

    def message_heard(self, item_id: str, heard_chars: int) -> None:
        """The user heard no more of it."""
        if (note := self._notes.get(item_id)) is not None:
            note.heard_chars = heard_chars

    def sources_found(self, response_id: str, sources: Sequence[Source]) -> None:
        found = self._sources.setdefault(response_id, [])
        found += [QuotedSource(source.title, source.path) for source in sources]
        del found[MAX_SOURCES:]

    def _note(self, item_id: str, who: Who) -> _Note:
        note = self._notes.get(item_id)
        if note is None:
            note = self._notes[item_id] = _Note(who)
            while len(self._notes) > MAX_ITEMS:
                del self._notes[next(iter(self._notes))]
        return note

    # ------------------------------------------------------------------------------------------------- transcript

    def items(self, track: AgentTrack, base: int, until: int) -> list[TranscriptItem]:
        """What was said up to a position, in order of time; `base` is the zero of its times.

        `track` knows what was heard of the agent up to `until`.
        """
        items = [
            self._agent(item_id, note, track, base) if note.who == "agent" else _other(item_id, note, base)
            for item_id, note in self._notes.items()
            if note.start is not None and (note.who != "user" or note.is_turn) and note.start < until
        ]
        return sorted(items, key=lambda item: item.start_ms)

    def _agent(self, item_id: str, note: _Note, track: AgentTrack, base: int) -> TranscriptItem:
        spans = track.spans(item_id)
        sources = tuple(self._sources.get(note.response_id, ()))
        start = note.start or 0
        if note.typed:
            written_ms = _ms(start - base)
            return TranscriptItem(item_id, "agent", written_ms, written_ms, note.text, typed=True, sources=sources)
        played = sum(span.size for span in spans)
        heard = note.heard_chars
        if heard is None and played < track.sent_samples(item_id):
            heard = _heard_chars(note, played, track.sent_samples(item_id))
        text = note.text if heard is None else note.text[:heard].rstrip()

        def at_ms(item_ms: float) -> int:
            return _ms(_clock(spans, item_ms) - base)

        words = [
            SpokenWord(word.start, word.end, at_ms(word.start_ms), at_ms(word.end_ms))
            for word in note.words
            if word.end <= len(text)
        ]
        return TranscriptItem(
            item_id,
            "agent",
            _ms((spans[0].start if spans else start) - base),
            _ms((spans[-1].start + spans[-1].size if spans else start) - base),
            text.strip(),
            unheard=note.text[len(text) :].strip(),
            interrupted=note.heard_chars is not None and len(text) < len(note.text.rstrip()),
            words=tuple(words) if spans and text == text.strip() else (),
            sources=sources,
        )


def _other(item_id: str, note: _Note, base: int) -> TranscriptItem:
    start = note.start or 0
    end = start if note.end is None else max(start, note.end)
    return TranscriptItem(item_id, note.who, _ms(start - base), _ms(end - base), note.text.strip(), typed=note.typed)


def _heard_chars(note: _Note, played: int, sent: int) -> int:
    """How much of a message was heard that was still sounding: by its words, else in proportion."""
    if note.words:
        played_ms = samples_to_ms(played, RATE_HZ)
        heard = [word.end for word in note.words if (word.start_ms + word.end_ms) / 2 <= played_ms]
        return max(heard, default=0)
    return round(len(note.text) * played / sent)


def _clock(spans: Sequence[Span], item_ms: float) -> int:
    """Where a position in an item's audio was heard."""
    position = round(item_ms * RATE_HZ / 1000)
    for span in spans:
        if position <= span.first + span.size:
            return span.start + max(0, position - span.first)
    return spans[-1].start + spans[-1].size if spans else 0


def _ms(position: int) -> int:
    return round(samples_to_ms(position, RATE_HZ))
