"""The synthesizer stage: text segments in, speech with word times out. Everything else passes through in order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, ms_to_samples
from talkover.engines import IsStale, TtsEngine, speech_marks
from talkover.messages import (
    AudioDelta,
    Output,
    PromptMessage,
    ResponseEnd,
    ResponseRequest,
    Samples,
    StageFailed,
    StageMark,
    TextDelta,
    Word,
)
from talkover.tts.markdown import MarkdownStripper
from talkover.tts.normalize import speakable
from talkover.tts.sound_check import checked
from talkover.tts.speech_marks import StyleReader
from talkover.tts.spoken_text import SpokenText

APOLOGY = {
    "en": "Sorry, something went wrong while I was thinking about that. Please try again.",
    "zh": "抱歉，刚才出了点问题，请再说一遍。",
}
"""spoken when the responder failed, so that the line never goes silent"""

NO_SAMPLES: Samples = np.zeros(0, np.float32)
CHUNK_SAMPLES = ms_to_samples(100, OUTPUT_RATE_HZ)
"""longest chunk handed on: bounds the size of an event and the grain of pacing"""


class Synthesizer:
    """Speaks: normalises a segment for speech and streams its audio."""

    name = "synthesizer"

    def __init__(self, engine: TtsEngine) -> None:
        self._engine = engine
        self._marks = speech_marks(engine)
        self._markdown = MarkdownStripper()
        self._style = StyleReader()
        self._request: ResponseRequest | None = None
        self._spoke = False

    def process(self, item: ResponseRequest | Output, is_stale: IsStale) -> Iterator[ResponseRequest | Output]:
        if isinstance(item, ResponseRequest):
            self._request = item
            self._markdown = MarkdownStripper()
            self._style = StyleReader()
            self._spoke = False
        request = self._request
        if request is not None and request.modality == "audio":
            if isinstance(item, TextDelta):
                yield from self._speak(request, item.text, is_stale)
                return
            if isinstance(item, StageFailed):
                chinese = any("\u4e00" <= character <= "\u9fff" for character in _last_user_text(request))
                yield from self._speak(request, APOLOGY["zh" if chinese else "en"], is_stale)
            if isinstance(item, ResponseEnd | StageFailed) and self._spoke:
                yield StageMark(request.generation, request.response_id, "tts_finished", time.monotonic())
        yield item

    def reset(self) -> None:
        self._request = None

    def _speak(self, request: ResponseRequest, text: str, is_stale: IsStale) -> Iterator[Output]:
        prepared = speakable(self._style.read(text), stripper=self._markdown, marks=self._marks)
        voice = replace(request.voice, instruction=self._style.style) if self._style.style else request.voice
        caption = prepared.display
        if not caption.strip():
            return
        if prepared.spoken.strip():
            chunks = self._engine.synthesize(prepared.spoken, voice, is_stale)
            for chunk in checked(chunks, prepared.spoken, is_stale):
                if not self._spoke:
                    self._spoke = True
                    yield StageMark(request.generation, request.response_id, "tts_first_audio", time.monotonic())
                words = tuple(_displayed(word, prepared) for word in chunk.words)
                for begin in range(0, chunk.samples.size, CHUNK_SAMPLES):
                    yield _audio(request, chunk.samples[begin : begin + CHUNK_SAMPLES], caption, words)
                    caption, words = "", ()
        yield _audio(request, NO_SAMPLES, caption, (), segment_end=True)


def _audio(
    request: ResponseRequest, samples: Samples, text: str, words: tuple[Word, ...], segment_end: bool = False
) -> AudioDelta:
    return AudioDelta(request.generation, request.response_id, samples, text, words, segment_end, time.monotonic())


def _displayed(word: Word, prepared: SpokenText) -> Word:
    start, end = prepared.to_display(word.start, word.end)
    return Word(start, end, word.start_ms, word.end_ms)


def _last_user_text(request: ResponseRequest) -> str:
    for message in reversed(request.prompt.messages):
        if isinstance(message, PromptMessage) and message.role == "user":
            return message.text
    return ""
