"""The audio a speech server answers with."""

from __future__ import annotations

import contextlib

import numpy as np

from fuzz.harness import Fuzzer
from talkover.tts.speech_stream import NotSpeech, SpeechDecoder


def fuzz_speech_stream(data: bytes) -> None:
    """The first line is the content type, the next byte says how the body is cut: the cuts change nothing."""
    kind, _, body = data.partition(b"\n")
    size = body[0] + 1 if body else 1
    content_type = kind.decode("latin-1")
    with contextlib.suppress(NotSpeech):
        at_once = SpeechDecoder(content_type)
        expected = np.concatenate([at_once.feed(body[1:]), at_once.finish()])
        assert expected.dtype == np.float32
        assert np.isfinite(expected).all()
        pieces = SpeechDecoder(content_type)
        heard = [pieces.feed(body[at : at + size]) for at in range(1, len(body), size)]
        np.testing.assert_allclose(np.concatenate([*heard, pieces.finish()]), expected, atol=1e-4)


FUZZERS = (Fuzzer("speech_stream", fuzz_speech_stream, 4096),)
