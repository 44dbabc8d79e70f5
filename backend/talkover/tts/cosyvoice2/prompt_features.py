"""What the models hear of a clip, computed once: speech ids, mel frames and speaker vector, kept on disk by content."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkover.messages import Samples
from talkover.tts.cosyvoice2.features import MEL_RATE_HZ, TOKENIZER_RATE_HZ, mel_spectrogram, resample
from talkover.tts.cosyvoice2.onnx_models import (
    SPEAKER_ENCODER_FILE,
    SPEECH_TOKENIZER_FILE,
    SpeakerEncoder,
    SpeechTokenizer,
)
from talkover.tts.voice_clip import VoiceClip

log = logging.getLogger(__name__)

MAX_STORED = 256
"""clips on disk, some 100 kB each; the one used longest ago makes room"""
_FORMAT = "1"
"""to be raised when the features of the same clip change"""
_FINGERPRINT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class ClipFeatures:
    """A clip as the models hear it, before ids and frames are cut to fit each other."""

    speech_ids: tuple[int, ...]
    mel: Samples
    """(1, M, 80) float32"""
    speaker: Samples
    """(1, 192) float32"""


class FeatureStore:
    """Features of clips on disk, each in a file named by its key. Broken or missing files only cost time."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when the first features are kept."""
        self._folder = folder

    def get(self, key: str) -> ClipFeatures | None:
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as stored:
                ids, mel, speaker = stored["speech_ids"], stored["mel"], stored["speaker"]
            os.utime(path)
        except Exception:  # zipfile and NumPy raise whatever they meet in a broken file, SyntaxError among it
            return None
        arrays = (ids, mel, speaker)  # NumPy gives the bytes of what is no array
        if not all(isinstance(array, np.ndarray) for array in arrays) or [a.ndim for a in arrays] != [1, 3, 2]:
            return None
        if ids.dtype != np.int32 or not mel.dtype == speaker.dtype == np.float32:
            return None
        return ClipFeatures(tuple(int(number) for number in ids), mel, speaker)

    def put(self, key: str, features: ClipFeatures) -> None:
        """Keep `features`; a folder that cannot be written costs a line in the log."""
        ids = np.array(features.speech_ids, np.int32)
        draft = self._folder / f".{key}.{secrets.token_hex(4)}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                np.savez(file, speech_ids=ids, mel=features.mel, speaker=features.speaker)
            draft.replace(self._path(key))
            self._make_room()
        except OSError as error:
            log.warning("features of a voice cannot be kept in %s: %s", self._folder, error.strerror)
        finally:
            draft.unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def _make_room(self) -> None:
        by_age = sorted(self._folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
        for path in by_age[: max(0, len(by_age) - MAX_STORED)]:
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"


class PromptFeatures:
    """Hears clips with the two ONNX networks of a model folder. May be called from many threads."""

    def __init__(self, model_folder: Path, store: FeatureStore) -> None:
        """Raises EngineUnavailable when a network cannot be loaded."""
        tokenizer, encoder = model_folder / SPEECH_TOKENIZER_FILE, model_folder / SPEAKER_ENCODER_FILE
        self._tokenizer = SpeechTokenizer(tokenizer)
        self._encoder = SpeakerEncoder(encoder)
        self._models = f"{_FORMAT} {_fingerprint(tokenizer)} {_fingerprint(encoder)}"
        self._store = store

    def of(self, clip: VoiceClip) -> ClipFeatures:
        """The features of `clip`, from the disk when it was heard before. Raises ValueError for over 30 s."""
        key = self._key(clip)
        if (stored := self._store.get(key)) is not None:
            return stored
        at_16k = resample(clip.samples, clip.rate_hz, TOKENIZER_RATE_HZ)
        at_24k = resample(clip.samples, clip.rate_hz, MEL_RATE_HZ)
        features = ClipFeatures(self._tokenizer.ids(at_16k), mel_spectrogram(at_24k), self._encoder.vector(at_16k))
        self._store.put(key, features)
        return features

    def forget(self, clip: VoiceClip) -> None:
        """Delete what is kept of `clip`: the voice of somebody who wants it removed."""
        self._store.forget(self._key(clip))

    def _key(self, clip: VoiceClip) -> str:
        digest = hashlib.sha256(f"{self._models} {clip.rate_hz} ".encode())
        digest.update(clip.samples.astype("<f4").tobytes())
        return digest.hexdigest()


def _fingerprint(path: Path) -> str:
    """Tells model files apart by size and ends: reading all 500 MB at every start would take a second."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(_FINGERPRINT_BYTES))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _FINGERPRINT_BYTES))
        digest.update(file.read(_FINGERPRINT_BYTES))
    return f"{size}:{digest.hexdigest()}"
