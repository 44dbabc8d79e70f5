"""What the recogniser and its worker processes send each other over pipes: small binary frames.

A frame is a header of 9 bytes (kind, utterance, payload length, little-endian) and the payload. Pure, no I/O.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum

import msgspec

_HEADER = struct.Struct("<BII")
MAX_PAYLOAD_BYTES = 1 << 20
"""audio is sent in pieces below this; a longer frame means that the stream of bytes is broken"""


class Kind(IntEnum):
    """Requests are below 16, replies from 16 on."""

    AUDIO = 1
    """int16 samples at 16 kHz; the first of an utterance begins it"""
    FINISH = 2
    """nothing follows: decode what is left and reply with FINAL"""
    DROP = 3
    """forget the utterance, reply nothing"""
    PING = 4
    READY = 16
    """the worker has loaded its models"""
    PARTIAL = 17
    FINAL = 18
    PONG = 19


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    utterance: int = 0
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class DecodedWords:
    """The payload of PARTIAL and FINAL."""

    words: tuple[str, ...]
    """lower case, without fillers"""
    decoded_ms: int
    """how much audio they rest on"""
    confidence: float | None = None
    """0 to 1; on FINAL only"""

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> DecodedWords:
        """Raises ValueError for anything but what `to_bytes` makes."""
        try:
            return msgspec.json.decode(data, type=cls)
        except RecursionError as error:
            raise ValueError("words are not nested so deeply") from error


def encode(frame: Frame) -> bytes:
    return _HEADER.pack(frame.kind, frame.utterance, len(frame.payload)) + frame.payload


class FrameReader:
    """Bytes in, whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises ValueError when the bytes cannot be frames."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            kind, utterance, length = _HEADER.unpack_from(self._buffer)
            if length > MAX_PAYLOAD_BYTES:
                raise ValueError(f"frame payload must be at most {MAX_PAYLOAD_BYTES} bytes, got {length}")
            if len(self._buffer) < _HEADER.size + length:
                return
            payload = bytes(self._buffer[_HEADER.size : _HEADER.size + length])
            del self._buffer[: _HEADER.size + length]
            yield Frame(Kind(kind), utterance, payload)
