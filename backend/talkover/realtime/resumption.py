"""Going on after a stop that was none: the audio the user has not heard, cut at the first word they missed. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from talkover.messages import AudioFormat, Output, WireAudio
from talkover.pipeline.ledger import HeardLedger, Unheard
from talkover.realtime.response import Response

MAX_KEPT_MS = 120_000.0
"""of audio that may not have been played yet: more than a client is ever ahead, unless it takes all at once"""
MAX_LATER = 256
"""results of the pipeline that may come while the sender is held; more means that the hold does not work"""


@dataclass(frozen=True, slots=True)
class _Sent:
    start_ms: float
    audio: WireAudio

    @property
    def end_ms(self) -> float:
        return self.start_ms + self.audio.duration_ms


class SentAudio:
    """What was sent of the newest message, as long as it may be needed again."""

    def __init__(self) -> None:
        self._item_id = ""
        self._sent: deque[_Sent] = deque()
        self._end_ms = 0.0

    def add(self, item_id: str, audio: WireAudio, played_ms: float) -> None:
        """More audio of a message, of which `played_ms` have sounded."""
        if item_id != self._item_id:
            self._item_id = item_id
            self._sent.clear()
            self._end_ms = 0.0
        self._sent.append(_Sent(self._end_ms, audio))
        self._end_ms += audio.duration_ms
        earliest_ms = max(played_ms - LONGEST_SEGMENT_MS, self._end_ms - MAX_KEPT_MS)
        while self._sent and self._sent[0].end_ms < earliest_ms:
            self._sent.popleft()

    def unheard(self, item_id: str, ledger: HeardLedger, played_ms: float, audio_format: AudioFormat) -> Rest:
        """What to send again when `played_ms` of the message have sounded; nothing when it is not kept."""
        if item_id != self._item_id:
            return Rest()
        from_ms, texts = ledger.unheard(played_ms)
        texts = deque(texts)
        pieces: list[WireAudio] = []
        newest: Unheard | None = None
        for sent in self._sent:
            if sent.start_ms < from_ms and sent.end_ms <= from_ms:
                continue
            audio = _cut(sent.audio, from_ms - sent.start_ms, audio_format)
            start_ms = max(sent.start_ms, from_ms)
            if texts and texts[0].start_ms <= start_ms + 1:
                newest = texts.popleft()
                audio = replace(audio, text=newest.text, words=newest.words)
            else:
                audio = replace(audio, text="", words=())
            pieces.append(audio)
        for newest in texts:  # told already, but none of its audio that is left has been made
            told = replace(self._sent[-1].audio, payload=b"", duration_ms=0.0, segment_end=False)
            pieces.append(replace(told, text=newest.text, words=newest.words))
        if newest is None:
            return Rest(tuple(pieces))
        return Rest(tuple(pieces), newest.cut_chars, newest.cut_ms)


LONGEST_SEGMENT_MS = 1000.0
"""kept beyond what has sounded: a client may report later that it is behind"""


def _cut(audio: WireAudio, skip_ms: float, audio_format: AudioFormat) -> WireAudio:
    """`audio` without its first milliseconds."""
    if skip_ms <= 0 or not audio.duration_ms:
        return audio
    n_samples = len(audio.payload) // audio_format.bytes_per_sample
    skipped = min(n_samples, round(n_samples * skip_ms / audio.duration_ms)) * audio_format.bytes_per_sample
    return replace(audio, payload=audio.payload[skipped:], duration_ms=audio.duration_ms - skip_ms)


@dataclass(frozen=True, slots=True)
class Rest:
    """Audio to be sent again."""

    pieces: tuple[WireAudio, ...] = ()
    cut_chars: int = 0
    """what the newest segment lost at its beginning: word times that still come for it count from there"""
    cut_ms: float = 0.0

    @property
    def duration_ms(self) -> float:
        return sum(piece.duration_ms for piece in self.pieces)


@dataclass(slots=True)
class Suspended:
    """A response that fell silent and may go on."""

    response: Response
    """as it was; its client has been told that it is cancelled"""
    message_id: str
    """what it was saying"""
    played_ms: float
    """how much of that has sounded"""
    is_made: bool
    """all of it had been sent"""
    deadline_s: float
    """it is given up then"""
    later: list[Output] = field(default_factory=list[Output])
    """what the pipeline made meanwhile"""
