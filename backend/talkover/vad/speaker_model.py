"""A speaker encoder: one vector for who speaks, from a file such as CosyVoice2's campplus.onnx (CAM++, Wang 2023).

Its input is Kaldi's filter bank (1, T, 80) with the mean removed, its output one vector for each recording.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from talkover.engines import EngineFailed, EngineUnavailable
from talkover.messages import Samples
from talkover.spectra import FBANK_BINS, fbank
from talkover.vad.onnx_session import OnnxSession, open_session

KEY = "vad.speaker_model"


class OnnxSpeakerModel:
    """May be called from many threads."""

    def __init__(self, session: OnnxSession) -> None:
        self._session = session
        (self._input,) = [entry.name for entry in session.get_inputs()]

    def vector(self, samples: Samples) -> Samples:
        """(d,) float32 of (n,) float32 at 16 kHz. Raises EngineFailed for fewer than 400 samples."""
        try:
            features = fbank(samples)  # (1, T, 80)
        except ValueError as error:
            raise EngineFailed(str(error)) from error
        return np.asarray(self._session.run(None, {self._input: features})[0], np.float32).reshape(-1)


def load_speaker_model(path: Path) -> OnnxSpeakerModel:
    """Raises EngineUnavailable."""
    session = open_session(path, KEY)
    shapes = [list(entry.shape) for entry in session.get_inputs()]
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][2] != FBANK_BINS:
        raise EngineUnavailable(f"{KEY}: {path} must have one input (1, frames, {FBANK_BINS}), has {shapes}")
    return OnnxSpeakerModel(session)
