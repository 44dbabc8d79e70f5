"""Turns espeak-ng's blocks into chunks of speech: trims silence, times words, resamples, cuts.

Silence at the borders of a piece of text is what the caller asks for, not what the synthesiser happened to leave, and
begins and ends with a fade, so that pieces follow each other at a natural pause and without a click.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, SILENCE, Resampler, ms_to_samples
from talkover.engines import SpeechChunk
from talkover.messages import Samples, Word
from talkover.tts.espeak_library import SOURCE_RATE_HZ, Block

_FIRST_CHUNK_SAMPLES = ms_to_samples(40, OUTPUT_RATE_HZ)
_CHUNK_SAMPLES = ms_to_samples(80, OUTPUT_RATE_HZ)
_QUIET = 10 ** (-50 / 20)
"""what is not louder at the borders of a piece is silence: -50 dBFS, 35 dB below the voices' level"""
_LEAD_SAMPLES = ms_to_samples(10, SOURCE_RATE_HZ)
"""silence left before the first sound, so that soft consonants keep their attack"""
_FADE_SAMPLES = ms_to_samples(4, SOURCE_RATE_HZ)
_TO_MS = 1000 / SOURCE_RATE_HZ
_NOT_SPOKEN = " \t\n\r,.;:!?…，。；：！？、—–-\"'“”‘’()[]{}（）「」『』《》【】"
"""what may stand between two words"""


@dataclass(slots=True)
class _OpenWord:
    """A word whose end has not been heard yet; times in samples of the output before resampling."""

    start: int
    start_sample: int


class SpeechAssembly:
    """The audio of one text, piece by piece: `begin_piece`, `feed`..., `end_piece`, again, then `finish`."""

    def __init__(self) -> None:
        self._resampler = Resampler(SOURCE_RATE_HZ, OUTPUT_RATE_HZ)
        self._ready = SILENCE
        """resampled, not cut into chunks yet"""
        self._emitted_samples = 0
        self._written_samples = 0
        """at the source rate, given to the resampler"""
        self._words: list[Word] = []
        """ended, not part of a chunk yet"""
        self._open: _OpenWord | None = None
        self._text_offset = 0
        self._text = ""
        self._next_char = 0
        """where the next word of the piece can begin"""
        self._held = SILENCE
        """newest audio of the piece: silence that may be its end, and what the fade needs"""
        self._started = False
        self._piece_start = 0
        self._source_samples = 0
        self._last_loud = 0
        """output position after the last sound"""

    def begin_piece(self, text: str, text_offset: int) -> None:
        """The next blocks speak `text`, which begins at `text_offset` of the whole."""
        self._text, self._text_offset = text, text_offset
        self._started = False
        self._next_char = self._source_samples = 0
        self._piece_start = self._last_loud = self._written_samples
        self._held = SILENCE

    def feed(self, block: Block) -> list[SpeechChunk]:
        """Take the piece's next block; the chunks that are complete by it."""
        samples: Samples = block.samples.astype(np.float32) / np.float32(32768)
        position = 0
        for mark in block.marks:
            border = min(max(mark.sample - self._source_samples, position), samples.size)
            self._take(samples[position:border])
            position = border
            self._start_word(mark.char)
        self._take(samples[position:])
        self._source_samples += samples.size
        return self._chunks()

    def end_piece(self, pause_ms: float) -> list[SpeechChunk]:
        """The piece is over and `pause_ms` of silence follow its last sound."""
        self._end_word(len(self._text))
        if self._started:
            pause = ms_to_samples(pause_ms, SOURCE_RATE_HZ)
            sound = max(0, self._last_loud - self._written_samples)
            tail = self._held[: sound + max(pause, _FADE_SAMPLES)].copy()
            n_fade = min(tail.size, _FADE_SAMPLES)
            tail[tail.size - n_fade :] *= np.linspace(1, 0, n_fade, dtype=np.float32)
            silence = max(0, sound + pause - tail.size)
            self._write(np.concatenate([tail, np.zeros(silence, np.float32)]))
        self._held = SILENCE
        return self._chunks()

    def finish(self) -> list[SpeechChunk]:
        """What is left; the last chunk may be short."""
        self._ready = np.concatenate([self._ready, self._resampler.feed(SILENCE, last=True)])
        chunks = self._chunks()
        if self._ready.size:
            chunks.append(SpeechChunk(self._ready, tuple(self._words)))
            self._ready, self._words = SILENCE, []
        return chunks

    def _take(self, samples: Samples) -> None:
        """Pass on all up to the last sound; hold back the silence after it."""
        loud = np.flatnonzero(np.abs(samples) > _QUIET)
        if not self._started:
            if loud.size == 0:
                self._held = np.concatenate([self._held, samples])[-_LEAD_SAMPLES:]
                return
            self._started = True
            joined = np.concatenate([self._held, samples])
            skipped = max(0, self._held.size + int(loud[0]) - _LEAD_SAMPLES)
            loud = loud + self._held.size - skipped
            joined = joined[skipped:]
            n_fade = min(int(loud[0]), _FADE_SAMPLES)
            joined[:n_fade] *= np.linspace(0, 1, n_fade, dtype=np.float32)
            self._held = SILENCE
        else:
            loud = loud + self._held.size
            joined = np.concatenate([self._held, samples])
        if loud.size:
            self._last_loud = self._written_samples + int(loud[-1]) + 1
        keep = max(joined.size - max(0, self._last_loud - self._written_samples), _FADE_SAMPLES)
        self._held = joined[max(0, joined.size - keep) :]
        self._write(joined[: joined.size - self._held.size])

    def _write(self, samples: Samples) -> None:
        self._written_samples += samples.size
        self._ready = np.concatenate([self._ready, self._resampler.feed(samples)])

    def _start_word(self, char: int) -> None:
        """A word that is spelled out is marked several times: the first mark counts."""
        if not self._next_char <= char < len(self._text):
            return
        self._end_word(char)
        self._next_char = char + 1
        start_sample = self._written_samples + self._held.size if self._started else self._piece_start
        self._open = _OpenWord(char, start_sample)

    def _end_word(self, next_char: int) -> None:
        """Close the open word where the next one starts in the text, and where its sound ended."""
        word = self._open
        self._open = None
        if word is None:
            return
        end = len(self._text[:next_char].rstrip(_NOT_SPOKEN))
        if end <= word.start:
            end = max(word.start + 1, next_char)
        end_sample = max(word.start_sample, self._last_loud)
        offset = self._text_offset
        self._words.append(
            Word(offset + word.start, offset + end, word.start_sample * _TO_MS, end_sample * _TO_MS),
        )

    def _chunks(self) -> list[SpeechChunk]:
        chunks: list[SpeechChunk] = []
        while True:
            size = _CHUNK_SAMPLES if self._emitted_samples else _FIRST_CHUNK_SAMPLES
            end_ms = (self._emitted_samples + size) * 1000 / OUTPUT_RATE_HZ
            is_complete = self._open is None or self._open.start_sample * _TO_MS >= end_ms
            if self._ready.size < size or not is_complete:
                return chunks
            words = tuple(word for word in self._words if word.start_ms < end_ms)
            self._words = self._words[len(words) :]
            chunks.append(SpeechChunk(self._ready[:size], words))
            self._ready = self._ready[size:]
            self._emitted_samples += size
