"""The heard ledger: which words of an answer the user has heard, and the model of the client's playback behind it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from talkover.messages import Word


@dataclass(slots=True)
class _Segment:
    """One synthesised segment inside an item."""

    start_char: int
    end_char: int
    start_ms: float
    end_ms: float
    complete: bool = False
    """all of its audio is there"""


@dataclass(frozen=True, slots=True)
class SpokenSegment:
    """A segment as `LedgerState` tells of it: characters of the item's text, milliseconds of its audio."""

    start_char: int
    end_char: int
    start_ms: float
    end_ms: float
    complete: bool


@dataclass(frozen=True, slots=True)
class LedgerState:
    """All that a ledger knows, to be stored."""

    text: str
    audio_ms: float
    words: tuple[Word, ...]
    segments: tuple[SpokenSegment, ...]

    @property
    def is_within_text(self) -> bool:
        """Whether all positions are some of the text: of what was stored nobody knows."""
        spans = [(word.start, word.end) for word in self.words]
        spans += [(segment.start_char, segment.end_char) for segment in self.segments]
        return all(0 <= start <= end <= len(self.text) for start, end in spans)


_MS_PER_CHARACTER = 65.0
"""speaking rate assumed for a segment cut short by an engine without word times: 15 characters a second"""


@dataclass(frozen=True, slots=True)
class Unheard:
    """A segment, or the rest of one, that has not been heard."""

    text: str
    words: tuple[Word, ...]
    """offsets into `text`, times from where it begins"""
    start_ms: float
    """in the item's audio"""
    cut_chars: int = 0
    cut_ms: float = 0.0
    """what of the segment was heard before"""


class HeardLedger:
    """Maps positions in an item's audio to positions in its text. Pure: it neither knows clocks nor clients.

    Word times of the TTS are exact. Where an engine gives none, text and audio of a segment are aligned
    proportionally. A word counts as heard once half of it has sounded.
    """

    def __init__(self) -> None:
        self.text = ""
        self.audio_ms = 0.0
        self._words: list[Word] = []
        self._segments: list[_Segment] = []

    @classmethod
    def restored(cls, state: LedgerState) -> HeardLedger:
        """The ledger whose `state` this is."""
        ledger = cls()
        ledger.text, ledger.audio_ms, ledger._words = state.text, state.audio_ms, list(state.words)
        ledger._segments = [
            _Segment(part.start_char, part.end_char, part.start_ms, part.end_ms, part.complete)
            for part in state.segments
        ]
        return ledger

    def state(self) -> LedgerState:
        segments = (
            SpokenSegment(part.start_char, part.end_char, part.start_ms, part.end_ms, part.complete)
            for part in self._segments
        )
        return LedgerState(self.text, self.audio_ms, tuple(self._words), tuple(segments))

    def begin_segment(self, text: str) -> None:
        """Text whose audio follows."""
        self._segments.append(_Segment(len(self.text), len(self.text) + len(text), self.audio_ms, self.audio_ms))
        self.text += text

    def add_audio(self, duration_ms: float, words: Iterable[Word] = (), segment_end: bool = False) -> tuple[Word, ...]:
        """More audio of the newest segment; `words` count from its start. Returns them in the item's coordinates."""
        self.audio_ms += duration_ms
        if not self._segments:
            return ()
        segment = self._segments[-1]
        segment.end_ms = self.audio_ms
        segment.complete = segment_end
        placed = tuple(
            Word(
                min(word.start + segment.start_char, segment.end_char),
                min(word.end + segment.start_char, segment.end_char),
                word.start_ms + segment.start_ms,
                word.end_ms + segment.start_ms,
            )
            for word in words
        )
        self._words.extend(placed)
        return placed

    def heard_chars(self, played_ms: float) -> int:
        """Length of the text's prefix that was audible after `played_ms` of the item's audio."""
        index = bisect_right(self._segments, played_ms, key=lambda segment: segment.start_ms) - 1
        if index < 0:
            return 0
        segment = self._segments[index]
        if segment.complete and played_ms >= segment.end_ms:
            return segment.end_char
        words = [word for word in self._words if segment.start_char <= word.start < segment.end_char]
        if words:
            heard = [word.end for word in words if (word.start_ms + word.end_ms) / 2 <= played_ms]
            return max(heard, default=segment.start_char)
        duration_ms = segment.end_ms - segment.start_ms
        if not segment.complete:
            duration_ms = max(duration_ms, _MS_PER_CHARACTER * (segment.end_char - segment.start_char))
        share = min(1.0, (played_ms - segment.start_ms) / duration_ms) if duration_ms else 0.0
        return self._word_border(segment, segment.start_char + share * (segment.end_char - segment.start_char))

    def heard_text(self, played_ms: float) -> str:
        return self.text[: self.heard_chars(played_ms)].rstrip()

    def unheard(self, played_ms: float) -> tuple[float, tuple[Unheard, ...]]:
        """Where in the audio to go on, and the text that follows: with the first word that does not count as heard.

        A word cut short before its middle is said again from its beginning, so that none is lost or heard twice.
        """
        heard = self.heard_chars(played_ms)
        again = [word.start_ms for word in self._words if word.start >= heard and word.start_ms < played_ms]
        from_ms = min([played_ms, *again])
        segments: list[Unheard] = []
        for segment in self._segments:
            if segment.end_char <= heard:
                continue
            own_start = self._first_visible(segment.start_char, segment.end_char)
            begin = self._first_visible(max(segment.start_char, heard), segment.end_char)
            text = self.text[begin : segment.end_char]
            start_ms = max(segment.start_ms, from_ms)
            words = tuple(
                Word(word.start - begin, word.end - begin, word.start_ms - start_ms, word.end_ms - start_ms)
                for word in self._words
                if begin <= word.start < segment.end_char
            )
            cut_ms = start_ms - segment.start_ms
            segments.append(Unheard(text.strip(), words, start_ms, begin - own_start, cut_ms))
        return from_ms, tuple(segments)

    def _first_visible(self, start: int, end: int) -> int:
        """The first position that is no space: segments are joined by one."""
        while start < end and self.text[start].isspace():
            start += 1
        return start

    def _word_border(self, segment: _Segment, position: float) -> int:
        """The end of the last word (or CJK character) whose middle lies before `position`."""
        border = segment.start_char
        for start, end in _words_of(self.text, segment.start_char, segment.end_char):
            if (start + end) / 2 > position:
                break
            border = end
        return border


def _words_of(text: str, start: int, end: int) -> Iterable[tuple[int, int]]:
    """(start, end) of each word in `text[start:end]`; scripts without spaces count by the character."""
    begin: int | None = None
    for index in range(start, end):
        character = text[index]
        if character >= "\u2e80":
            if begin is not None:
                yield begin, index
            yield index, index + 1
            begin = None
        elif character.isspace():
            if begin is not None:
                yield begin, index
            begin = None
        elif begin is None:
            begin = index
    if begin is not None:
        yield begin, end


TRUSTED_S = 0.5
"""a client that reports does so twice as often: when it has been lost, it may have played so much since"""


@dataclass(slots=True)
class _Sent:
    sent_ms: float = 0.0
    ends_s: float = 0.0
    """when its last sent sample will have sounded"""
    stopped_ms: float | None = None
    """playback was stopped after this much of it"""
    report: tuple[float, float] | None = None
    """what the client said last: how much it had played (ms), and when it said so (s)"""


class Playback:
    """Where the client's playback is: estimated from what was sent when, sharpened by what the client reports.

    Audio sent while other audio is still to be played queues behind it; audio sent later starts at once. All times are
    seconds of one monotonic clock that is passed in.
    """

    MAX_ITEMS = 64

    def __init__(self) -> None:
        self._items: dict[str, _Sent] = {}
        self._ends_s = 0.0
        self._paused_s: float | None = None

    def pause(self, now_s: float) -> None:
        """The client stops at the sample, to go on from there: nothing sounds until `resume`."""
        if self._paused_s is None:
            self._paused_s = now_s

    def resume(self, now_s: float) -> None:
        """The client plays on."""
        if self._paused_s is None:
            return
        paused_s, self._paused_s = self._paused_s, None
        for item in self._items.values():
            if item.ends_s > paused_s:
                item.ends_s += now_s - paused_s
        if self._ends_s > paused_s:
            self._ends_s += now_s - paused_s

    @property
    def is_paused(self) -> bool:
        return self._paused_s is not None

    def _clock_s(self, now_s: float) -> float:
        """The time as playback knows it: it stands still during a pause."""
        return now_s if self._paused_s is None else self._paused_s

    def sent(self, item_id: str, duration_ms: float, now_s: float) -> None:
        now_s = self._clock_s(now_s)
        item = self._items.setdefault(item_id, _Sent())
        item.sent_ms += duration_ms
        self._ends_s = item.ends_s = max(self._ends_s, now_s) + duration_ms / 1000
        while len(self._items) > self.MAX_ITEMS:
            del self._items[next(iter(self._items))]

    def reported(self, item_id: str, played_ms: float, ended: bool, now_s: float) -> None:
        """The client says how much of an item it has played, and whether it plays on."""
        now_s = self._clock_s(now_s)
        item = self._items.get(item_id)
        if item is None or item.stopped_ms is not None:
            return
        played_ms = min(max(played_ms, 0.0), item.sent_ms)
        item.report = (played_ms, now_s)
        shift_s = now_s + (item.sent_ms - played_ms) / 1000 - item.ends_s
        item.ends_s += shift_s
        self._ends_s = max(now_s, self._ends_s + shift_s)
        if ended:
            item.stopped_ms = played_ms
            self._ends_s = now_s

    def played_ms(self, item_id: str, now_s: float) -> float:
        """How much of the item has sounded by now, 0 to what was sent."""
        now_s = self._clock_s(now_s)
        item = self._items.get(item_id)
        if item is None:
            return 0.0
        if item.stopped_ms is not None:
            return item.stopped_ms
        return min(max(item.sent_ms - max(item.ends_s - now_s, 0.0) * 1000, 0.0), item.sent_ms)

    def certain_ms(self, item_id: str, now_s: float) -> float:
        """How much of the item has sounded by what the client last said of it; by estimate where it says nothing."""
        item = self._items.get(item_id)
        return self.played_ms(item_id, now_s) if item is None or item.report is None else item.report[0]

    def lose(self, now_s: float) -> None:
        """The client was lost, nobody knows when: who reports has played a little more than it last said, no more."""
        now_s = self._clock_s(now_s)
        for item_id, item in self._items.items():
            if item.report is not None and item.stopped_ms is None and now_s - item.report[1] > TRUSTED_S:
                believed_ms = min(self.played_ms(item_id, now_s), item.report[0] + TRUSTED_S * 1000)
                self.reported(item_id, believed_ms, False, now_s)

    def stop(self, now_s: float) -> list[str]:
        """The client throws away what it has not played yet. Returns the items that were still to be played."""
        now_s, self._paused_s = self._clock_s(now_s), None
        cut = [item_id for item_id, item in self._items.items() if item.stopped_ms is None and item.ends_s > now_s]
        for item_id in cut:
            self._items[item_id].stopped_ms = self.played_ms(item_id, now_s)
        self._ends_s = now_s
        return cut

    def sent_ms(self, item_id: str) -> float:
        item = self._items.get(item_id)
        return item.sent_ms if item else 0.0

    def ends_s(self) -> float:
        """When everything sent so far will have sounded."""
        return self._ends_s

    def is_audible(self, now_s: float) -> bool:
        return self._paused_s is None and self._ends_s > now_s
