"""The embedded speech synthesis: espeak-ng through its wheel, streamed, with word times, safe for many sessions.

A text is spoken in pieces: clauses of one script, of at most some 20 seconds each. Every piece takes its turn at a
copy of the library (`espeak_pool.py`), and what comes back is put together again (`assembly.py`).
"""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from talkover.audio import OUTPUT_RATE_HZ
from talkover.config import Settings
from talkover.engines import IsStale, SpeechChunk, Voice
from talkover.messages import VoiceSettings
from talkover.tts.assembly import SpeechAssembly
from talkover.tts.deadline import runs_out_s
from talkover.tts.espeak_library import SLOWEST_WORDS_PER_MINUTE, Delivery
from talkover.tts.espeak_pool import EspeakPool
from talkover.tts.language import Script, script_runs
from talkover.tts.voices import ENGINE_NAME, ESPEAK_VOICES, VOICE_ALIASES, EspeakVoice, espeak_voice, speaker_for

SLOWEST_SPEED, FASTEST_SPEED = 0.25, 1.5
_MAX_THREADS = 4
_MIN_PIECE_CHARS, _MAX_PIECE_CHARS = 6, 240
# espeak-ng's intonation goes clause by clause anyway, and short pieces make short turns at the library
_CLAUSE = re.compile(
    r"[,;:!?…]+[\"'”’)]*\s+|(?<=[a-z]{3})\.[\"'”’)]*\s+(?=[\"'“(]?[A-Z])|[，；：。！？…]+[”’」』）》\"']*\s*",
)
_SENTENCE_END = ".!?…。！？"
_CLAUSE_END = ",;:，；：、—–"
_CLOSERS = " \t\r\n\"'”’»)]}」』）》】"
_SENTENCE_PAUSE_MS = 250.0
_CLAUSE_PAUSE_MS = 120.0
_SWITCH_PAUSE_MS = 20.0
"""between words of two scripts, and at the end of a text without punctuation"""
_SPOKEN_SYMBOLS = "%&+=@#$€£¥￥°§"
_APOSTROPHES = "’ʼ＇"


@dataclass(frozen=True, slots=True)
class Piece:
    """What is spoken in one go."""

    start: int
    end: int
    script: Script | None
    pause_ms: float
    """silence after it"""


class EspeakEngine:
    """`TtsEngine` over espeak-ng; serves as many callers as there are, some `size` of them at the same instant."""

    name = ENGINE_NAME

    def __init__(self, size: int) -> None:
        """`size` copies of the library, 4 MB each. Raises EngineUnavailable."""
        self.slots = size
        self._pool = EspeakPool(
            size,
            [
                ("你好", delivery_of(ESPEAK_VOICES["zh-cn-f1"], 1.0)),
                ("Hello.", delivery_of(ESPEAK_VOICES[VOICE_ALIASES["default"]], 1.0)),
            ],
        )

    def warmup(self) -> None:
        self._pool.wait_until_warm()

    def close(self) -> None:
        self._pool.close()

    def voices(self) -> tuple[Voice, ...]:
        return tuple(entry.voice for entry in ESPEAK_VOICES.values())

    def aliases(self) -> Mapping[str, str]:
        return VOICE_ALIASES

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        """Speak `text`; chunks of 80 ms, the first one of 40. Raises ValueError for an unknown voice, EngineFailed.

        Scripts the voice cannot speak are spoken by its counterpart of the same gender. A text without anything to
        pronounce gives no audio.
        """
        entry = espeak_voice(settings.voice)
        if entry is None:
            known = ", ".join([*ESPEAK_VOICES, *VOICE_ALIASES])
            raise ValueError(f"voice must be one of {known}, got {settings.voice!r}")
        return self._speak(pronounceable(text), entry, settings.speed, is_stale)

    def _speak(self, text: str, entry: EspeakVoice, speed: float, is_stale: IsStale) -> Iterator[SpeechChunk]:
        assembly = SpeechAssembly()
        submitted_s, first_audio_s, made_s = time.monotonic(), None, 0.0
        for piece in pieces_of(text):
            if is_stale():
                return
            piece_text = text[piece.start : piece.end]
            assembly.begin_piece(piece_text, piece.start)
            due_s = runs_out_s(submitted_s, first_audio_s, made_s)
            job = self._pool.submit(piece_text, delivery_of(speaker_for(entry, piece.script), speed), due_s)
            with closing(job.blocks(is_stale)) as blocks:
                for block in blocks:
                    for chunk in assembly.feed(block):
                        first_audio_s = first_audio_s or time.monotonic()
                        made_s += chunk.samples.size / OUTPUT_RATE_HZ
                        yield chunk
                        if is_stale():
                            return
            if is_stale():
                return
            yield from assembly.end_piece(piece.pause_ms / max(speed, SLOWEST_SPEED))
        yield from assembly.finish()


def create(settings: Settings) -> EspeakEngine:
    """The engine for the registry. Raises EngineUnavailable."""
    del settings
    return EspeakEngine(size=min(_MAX_THREADS, (os.cpu_count() or 1) + 1))


def delivery_of(entry: EspeakVoice, speed: float) -> Delivery:
    """How `entry` speaks at `speed` times its normal rate, 0.25 to 1.5 (clamped).

    Below espeak-ng's slowest rate the words are spaced out instead: the gap makes up what is missing to the duration
    of an average word.
    """
    speed = min(max(speed, SLOWEST_SPEED), FASTEST_SPEED)
    wanted = entry.words_per_minute * speed
    spoken = max(SLOWEST_WORDS_PER_MINUTE, round(wanted))
    gap_ms = max(0.0, 60_000 / wanted - 60_000 / spoken)
    return Delivery(entry.espeak_name, spoken, entry.pitch, round(gap_ms / 10))


def pronounceable(text: str) -> str:
    """`text`, character for character, with blanks for what espeak-ng must not see or would describe in words."""
    return "".join(_pronounceable(char) for char in text)


def _pronounceable(char: str) -> str:
    if char.isascii():
        return char if char.isprintable() else " "
    if char in _APOSTROPHES:
        return "'"
    # control, format, surrogate, private, unassigned; other symbols and modifiers: emoji, box drawing
    return " " if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk"} and char != "°" else char


def pieces_of(text: str) -> list[Piece]:
    """`text` cut into what is spoken in one go; stretches without anything to pronounce are left out."""
    pieces: list[Piece] = []
    for run in script_runs(text):
        start = run.start
        while start < run.end:
            end = _piece_end(text, start, run.end)
            if any(char.isalnum() or char in _SPOKEN_SYMBOLS for char in text[start:end]):
                pieces.append(Piece(start, end, run.script, _pause_ms(text[start:end])))
            start = end
    return pieces


def _piece_end(text: str, start: int, end: int) -> int:
    """Where the piece of text[start:end] that begins it ends: after its first clause, or a word when that is long."""
    limit = min(end, start + _MAX_PIECE_CHARS)
    border = _CLAUSE.search(text, start + _MIN_PIECE_CHARS, limit)
    if border is not None:
        return border.end()
    blank = text.rfind(" ", start + 1, limit) if limit < end else -1
    return blank + 1 if blank > 0 else limit


def _pause_ms(text: str) -> float:
    last = text.rstrip(_CLOSERS)[-1:]
    if last and last in _SENTENCE_END:
        return _SENTENCE_PAUSE_MS
    return _CLAUSE_PAUSE_MS if last and last in _CLAUSE_END else _SWITCH_PAUSE_MS
