"""ctypes binding of one copy of libespeak-ng: text in, blocks of audio with word marks out.

The declarations follow `speak_lib.h` of espeak-ng 1.52. The library keeps its state in globals, so one loaded copy
serves one thread at a time; several copies, loaded from copied files, are independent of each other.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkover.engines import EngineFailed, EngineUnavailable

SOURCE_RATE_HZ = 22_050
_BLOCK_MS = 80

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_EVENT_END_OF_LIST = 0
_EVENT_WORD = 1
_RATE, _VOLUME, _PITCH, _WORD_GAP = 1, 2, 3, 7
_VOLUME_PERCENT = 85
"""of espeak-ng's own; at 100 its Mandarin voices reach full scale"""
SLOWEST_WORDS_PER_MINUTE = 80
"""espeak-ng's espeakRATE_MINIMUM"""


class _Event(ctypes.Structure):
    """espeak_EVENT"""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a text is to be spoken."""

    voice: str
    """espeak-ng's name, e.g. en-us+f2"""
    words_per_minute: int
    """80 to 450"""
    pitch: int = 50
    """0 to 100"""
    word_gap_10ms: int = 0
    """additional pause between words, in units of 10 ms"""


@dataclass(frozen=True, slots=True)
class WordMark:
    """Where a word begins."""

    char: int
    """offset into the spoken text"""
    sample: int
    """from the first sample of the spoken text"""


@dataclass(frozen=True, slots=True)
class Block:
    """What espeak-ng hands over at once."""

    samples: NDArray[np.int16]
    """(n,) at 22.05 kHz, n may be 0"""
    marks: tuple[WordMark, ...] = ()


class EspeakLibrary:
    """One loaded copy of the library; used by one thread at a time."""

    def __init__(self, library: Path, data: Path) -> None:
        """Load the file `library`, which no other instance may have loaded. Raises EngineUnavailable."""
        try:
            self._library = ctypes.CDLL(str(library))
        except OSError as error:
            raise EngineUnavailable(f"tts engine 'espeak': {library} cannot be loaded: {error}") from error
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._callback = _Callback(self._on_audio)
        """kept here because the library holds only its address"""
        self._on_block: Callable[[Block], bool] = _refuse
        self._voice = ""
        rate_hz = self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, _BLOCK_MS, str(data).encode(), 0)
        if rate_hz != SOURCE_RATE_HZ:
            raise EngineUnavailable(f"tts engine 'espeak': {data} cannot be used: espeak_Initialize returned {rate_hz}")
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, delivery: Delivery, on_block: Callable[[Block], bool]) -> None:
        """Speak `text`, without NULs and surrogates; returns at its end or once `on_block` returned False.

        `on_block` must not raise. Raises EngineFailed.
        """
        if delivery.voice != self._voice:
            self._voice = ""
            self._check(self._library.espeak_SetVoiceByName(delivery.voice.encode()), f"voice {delivery.voice!r}")
            self._voice = delivery.voice
        for parameter, value in (
            (_RATE, delivery.words_per_minute),
            (_VOLUME, _VOLUME_PERCENT),
            (_PITCH, delivery.pitch),
            (_WORD_GAP, delivery.word_gap_10ms),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode() + b"\0"
        self._on_block = on_block
        try:
            status = self._library.espeak_Synth(data, len(data), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        finally:
            self._on_block = _refuse
        self._check(status, "synthesis")

    def terminate(self) -> None:
        self._library.espeak_Terminate()

    def _check(self, status: int, what: str) -> None:
        if status != 0:
            raise EngineFailed(f"espeak-ng: {what} failed with status {status}")

    def _on_audio(self, samples: int | None, n_samples: int, events: ctypes.Array[_Event]) -> int:
        marks: list[WordMark] = []
        index = 0
        while (event := events[index]).type != _EVENT_END_OF_LIST:
            if event.type == _EVENT_WORD:
                marks.append(WordMark(event.text_position - 1, event.sample))
            index += 1
        # string_at copies: the library reuses its buffer
        data = ctypes.string_at(samples, 2 * n_samples) if samples and n_samples > 0 else b""
        return 0 if self._on_block(Block(np.frombuffer(data, np.int16), tuple(marks))) else 1


def _refuse(_block: Block) -> bool:
    return False
