"""The recognizer stage: speech pieces in, partial and final transcripts out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from talkover.engines import AsrEngine, AsrStream, Hypothesis, IsStale
from talkover.messages import Samples, SpeechDropped, SpeechSegment, Transcript

MAX_UTTERANCES = 3
"""open at a time: the live one, one being finalised, one created by the client"""
MAX_CHARACTERS = 20_000
"""of a transcript; five minutes of fast speech, the longest utterance there is, have 6000"""


@dataclass(slots=True)
class _Utterance:
    """One utterance being recognised; its audio is kept so that it can be decoded anew when the user goes on."""

    stream: AsrStream
    pieces: list[Samples] = field(default_factory=list[Samples])
    finished: bool = False


class Recognizer:
    """Feeds speech to the ASR while it is spoken.

    A `final` piece asks for the final transcript of everything so far. When the user goes on after it, the next piece
    has a higher revision: the utterance is decoded again from its beginning, and the earlier answer is stale.
    """

    name = "recognizer"

    def __init__(self, engine: AsrEngine) -> None:
        self._engine = engine
        self._utterances: dict[str, _Utterance] = {}

    def process(self, item: SpeechSegment | SpeechDropped, is_stale: IsStale) -> Iterator[Transcript]:
        if isinstance(item, SpeechDropped):
            self._forget(item.item_id)
            return
        utterance = self._utterance(item)
        utterance.pieces.append(item.samples)
        partial = utterance.stream.feed(item.samples)
        if not item.final:
            if partial is not None:
                yield _transcript(item, partial, final=False)
            return
        utterance.finished = True
        hypothesis = utterance.stream.finish(is_stale)
        if not is_stale():
            yield _transcript(item, hypothesis, final=True)

    def reset(self) -> None:
        for item_id in list(self._utterances):
            self._forget(item_id)

    def _utterance(self, item: SpeechSegment) -> _Utterance:
        utterance = self._utterances.get(item.item_id)
        if utterance is None:
            while len(self._utterances) >= MAX_UTTERANCES:
                self._forget(next(iter(self._utterances)))
            utterance = _Utterance(self._engine.stream(item.language, item.hint))
            self._utterances[item.item_id] = utterance
        elif utterance.finished:
            utterance.stream.close()
            utterance.stream = self._engine.stream(item.language, item.hint)
            utterance.finished = False
            for piece in utterance.pieces:
                utterance.stream.feed(piece)
        return utterance

    def _forget(self, item_id: str) -> None:
        utterance = self._utterances.pop(item_id, None)
        if utterance is not None:
            utterance.stream.close()


def _transcript(item: SpeechSegment, hypothesis: Hypothesis, final: bool) -> Transcript:
    text = _readable(hypothesis.text)
    confidence = hypothesis.confidence
    return Transcript(
        item_id=item.item_id,
        text=text,
        stable_chars=len(text) if final else max(0, min(hypothesis.stable_chars, len(text))),
        final=final,
        revision=item.revision,
        confidence=confidence if confidence is not None and 0 <= confidence <= 1 else None,
        language=hypothesis.language,
        audio_end_ms=item.end_ms,
        at_s=time.monotonic(),
        emotion=hypothesis.emotion,
        events=hypothesis.events,
    )


def _readable(text: str) -> str:
    """What a client can show and a model can read: no control characters, no more than can have been said."""
    text = text[:MAX_CHARACTERS].strip()
    if text.isprintable():
        return text
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
