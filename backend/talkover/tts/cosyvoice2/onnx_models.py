"""The two networks that come as ONNX files and only ever see a voice's clip: speech tokenizer and speaker encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from talkover.engines import EngineUnavailable
from talkover.messages import Samples
from talkover.tts.cosyvoice2.features import TOKENIZER_RATE_HZ, fbank, log_mel

SPEECH_TOKENIZER_FILE = "speech_tokenizer_v2.onnx"
SPEAKER_ENCODER_FILE = "campplus.onnx"
MAX_CLIP_S = 30
"""the tokenizer was trained on no longer clips"""
SPEAKER_DIM = 192
_SUBSAMPLING = 4
"""log-mel frames per speech id"""


class SpeechTokenizer:
    """Speech ids of a recording, 25 a second. May be called from many threads."""

    def __init__(self, path: Path) -> None:
        """Raises EngineUnavailable when the file cannot be used."""
        self._session = _session(path, n_inputs=2)

    def ids(self, samples: Samples) -> tuple[int, ...]:
        """The speech ids, each 0 to 6560, of (n,) float32 at 16 kHz. Raises ValueError for more than 30 s."""
        if samples.size > MAX_CLIP_S * TOKENIZER_RATE_HZ:
            seconds = samples.size / TOKENIZER_RATE_HZ
            raise ValueError(f"a clip must be at most {MAX_CLIP_S} s long, got {seconds:.1f} s")
        features = log_mel(samples)  # (1, 128, T)
        n_frames = features.shape[2]
        (found,) = _run(self._session, features, np.array([n_frames], np.int32))
        ids = np.asarray(found).reshape(-1)
        wanted = -(-n_frames // _SUBSAMPLING)
        if ids.size != wanted:
            raise ValueError(f"the speech tokenizer gave {ids.size} ids for {n_frames} frames, expected {wanted}")
        return tuple(int(number) for number in ids)


class SpeakerEncoder:
    """One vector for who speaks: CAM++ (Wang et al. 2023). May be called from many threads."""

    def __init__(self, path: Path) -> None:
        """Raises EngineUnavailable when the file cannot be used."""
        self._session = _session(path, n_inputs=1)

    def vector(self, samples: Samples) -> Samples:
        """(1, 192) float32 of (n,) float32 at 16 kHz."""
        (found,) = _run(self._session, fbank(samples))
        vector = np.asarray(found, np.float32).reshape(1, -1)
        if vector.shape[1] != SPEAKER_DIM:
            raise ValueError(f"the speaker encoder gave {vector.shape[1]} numbers, expected {SPEAKER_DIM}")
        return vector


def _session(path: Path, n_inputs: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a clip is heard once; threads that spin would take time from those who speak
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common class but this one
        why = "does not exist" if not path.exists() else f"is not a model onnxruntime can read ({type(error).__name__})"
        raise EngineUnavailable(f"{path}: {why}") from error
    if len(session.get_inputs()) != n_inputs:
        raise EngineUnavailable(f"{path}: must have {n_inputs} inputs, has {len(session.get_inputs())}")
    return session


def _run(session: onnxruntime.InferenceSession, *values: Any) -> list[Any]:
    """The first output; inputs in the order of the file, since names differ between exports."""
    names = [entry.name for entry in session.get_inputs()]
    return list(session.run([session.get_outputs()[0].name], dict(zip(names, values, strict=True))))
