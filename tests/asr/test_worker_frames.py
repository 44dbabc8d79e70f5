"""Frames between the recogniser and its workers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkover.asr.worker_frames import MAX_PAYLOAD_BYTES, DecodedWords, Frame, FrameReader, Kind, encode

FRAMES = st.lists(st.builds(Frame, st.sampled_from(Kind), st.integers(0, 2**32 - 1), st.binary(max_size=50)))


@given(FRAMES, st.integers(1, 20))
def test_frames_survive_any_cutting_of_the_bytes(frames: list[Frame], piece_bytes: int) -> None:
    data = b"".join(map(encode, frames))
    reader = FrameReader()
    read = [
        frame for start in range(0, len(data), piece_bytes) for frame in reader.feed(data[start : start + piece_bytes])
    ]
    assert read == frames


def test_a_frame_too_long_is_refused() -> None:
    broken = b"\x01\x00\x00\x00\x00" + (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "little")
    with pytest.raises(ValueError, match="at most"):
        list(FrameReader().feed(broken))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="200"):
        list(FrameReader().feed(b"\xc8" + bytes(8)))


def test_decoded_words_survive() -> None:
    decoded = DecodedWords(("what", "is"), 1200, 0.75)
    assert DecodedWords.from_bytes(decoded.to_bytes()) == decoded


@pytest.mark.parametrize(
    "payload",
    [b"", b"5", b"[]", b"{}", b'{"words": 5, "decoded_ms": 1}', b'{"words": [5], "decoded_ms": 1}', b"[" * 5000],
)
def test_what_are_no_decoded_words_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the message
        DecodedWords.from_bytes(payload)
