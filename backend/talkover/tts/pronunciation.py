"""A small dictionary of what to say for what is written: names and terms that a voice gets wrong.

The words of the speech still point into the text as it was written, so captions and the heard ledger see no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from talkover.engines import IsStale, SpeechChunk, TtsEngine, Voice, VoiceLibrary, speech_marks, voice_library
from talkover.messages import VoiceSettings, Word
from talkover.tts.spoken_text import Rule, SpokenText, rewrite

_LETTER = r"A-Za-z0-9\u00c0-\u024f"
"""of scripts that put blanks between words: there an entry is a whole word, elsewhere it matches anywhere"""
_STARTS_WITH_LETTER = re.compile(rf"[{_LETTER}]")
_ENDS_WITH_LETTER = re.compile(rf"[{_LETTER}]\Z")


def pronounced(text: str, pronunciation: Mapping[str, str]) -> SpokenText:
    """`text` with every entry replaced; of two that begin at the same place the longer one."""
    if not pronunciation:
        return SpokenText(text, text, (), "")
    longest_first = sorted(pronunciation, key=len, reverse=True)
    pattern = re.compile("|".join(_whole(written) for written in longest_first))
    return rewrite(text, [Rule(pattern, lambda match: pronunciation[match.group()])], "")


def speak_as_pronounced(
    text: str, pronunciation: Mapping[str, str], synthesize: Callable[[str], Iterator[SpeechChunk]]
) -> Iterator[SpeechChunk]:
    """What `synthesize` makes of the pronounced text, with its words' offsets into `text` itself."""
    spoken = pronounced(text, pronunciation)
    for chunk in synthesize(spoken.spoken):
        yield SpeechChunk(chunk.samples, tuple(_as_written(word, spoken) for word in chunk.words))


class PronouncingEngine:
    """An engine that says what `tts.pronunciation` asks for."""

    def __init__(self, engine: TtsEngine, pronunciation: Mapping[str, str]) -> None:
        self.name = engine.name
        self._engine = engine
        self._pronunciation = dict(pronunciation)

    @property
    def speech_marks(self) -> frozenset[str]:
        return speech_marks(self._engine)

    @property
    def voice_library(self) -> VoiceLibrary | None:
        return voice_library(self._engine)

    def warmup(self) -> None:
        self._engine.warmup()

    def close(self) -> None:
        self._engine.close()

    def voices(self) -> tuple[Voice, ...]:
        return self._engine.voices()

    def aliases(self) -> Mapping[str, str]:
        return self._engine.aliases()

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        def speak(spoken: str) -> Iterator[SpeechChunk]:
            return self._engine.synthesize(spoken, settings, is_stale)

        return speak_as_pronounced(text, self._pronunciation, speak)


def with_pronunciation(engine: TtsEngine, pronunciation: Mapping[str, str]) -> TtsEngine:
    """`engine` itself when there is nothing to pronounce differently."""
    return PronouncingEngine(engine, pronunciation) if pronunciation else engine


def _whole(written: str) -> str:
    before = rf"(?<![{_LETTER}])" if _STARTS_WITH_LETTER.match(written) else ""
    after = rf"(?![{_LETTER}])" if _ENDS_WITH_LETTER.search(written) else ""
    return f"{before}{re.escape(written)}{after}"


def _as_written(word: Word, spoken: SpokenText) -> Word:
    start, end = spoken.to_display(word.start, word.end)
    return Word(start, end, word.start_ms, word.end_ms)
