"""A recording to clone a voice from: read within limits, and refused with everything that is wrong with it at once."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile

from talkover.audio import level_dbfs
from talkover.messages import Samples

MAX_CLIP_BYTES = 10 * 2**20
"""30 s of 24-bit samples at 96 kHz are 8.2 MiB"""
MIN_CLIP_S, MAX_CLIP_S = 1.5, 30.0
"""less tells too little of a voice, more is longer than the speech tokenizer has ever heard; 3 to 10 s are best"""
MIN_RATE_HZ, MAX_RATE_HZ = 16_000, 192_000
MIN_SPEECH_S = 0.75
"""of the clip that must be audible"""
_BLOCK_S = 0.02
_AUDIBLE_DBFS = -45.0
_CLIPPED_LEVEL = 0.985
"""of the full scale; converters that clip softly stop a little below it"""
_CLIPPED_RUN = 3
"""samples in a row at that level on one side, which no unclipped voice has"""
_MAX_CLIPPED_SHARE = 0.001
FORMATS = "wav, flac, ogg or mp3"


class ClipRefused(ValueError):
    """The recording cannot be a voice; `faults` holds one line for each thing that is wrong."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class VoiceClip:
    """One speaker, one channel, as recorded."""

    samples: Samples
    """(n,) float32 in [-1, 1]"""
    rate_hz: int

    @property
    def duration_s(self) -> float:
        return self.samples.size / self.rate_hz


def read_clip(data: bytes) -> VoiceClip:
    """The recording in the bytes of a wav, flac, ogg or mp3 file. Raises ClipRefused.

    Size, channels and rate are looked at before anything is decoded, and no more than 30 s ever are: a small file
    that would unpack to hours costs no more than a good one.
    """
    if len(data) > MAX_CLIP_BYTES:
        limit = MAX_CLIP_BYTES // 2**20
        raise ClipRefused(f"the file must have at most {limit} MiB, got {len(data) / 2**20:.1f}")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if faults := _format_faults(file.channels, file.samplerate):
                raise ClipRefused(*faults)
            limit = round(MAX_CLIP_S * file.samplerate)
            samples = file.read(limit + 1, dtype="float32")
            clip = VoiceClip(np.asarray(samples, np.float32), file.samplerate)
    except soundfile.SoundFileError as error:
        raise ClipRefused(f"the file is not audio this server can read: {FORMATS}") from error
    if faults := clip_faults(clip):
        raise ClipRefused(*faults)
    return clip


def clip_faults(clip: VoiceClip) -> tuple[str, ...]:
    """Everything that makes `clip` unfit to clone a voice from, a line each; empty for a good one."""
    faults = _format_faults(1, clip.rate_hz)
    if not np.isfinite(clip.samples).all():
        return (*faults, "the clip holds values that are not numbers")
    if clip.duration_s > MAX_CLIP_S:
        faults.append(f"the clip must be at most {MAX_CLIP_S:g} s long; 3 to 10 s are best")
    elif clip.duration_s < MIN_CLIP_S:
        faults.append(
            f"the clip must be at least {MIN_CLIP_S:g} s long, got {clip.duration_s:.2f} s; 3 to 10 s are best"
        )
    if (audible_s := _audible_s(clip)) < min(MIN_SPEECH_S, clip.duration_s / 2):
        faults.append(
            f"the clip is silent: {audible_s:.1f} s of it are louder than {_AUDIBLE_DBFS:g} dBFS, "
            f"at least {MIN_SPEECH_S:g} s must be"
        )
    if (share := _clipped_share(clip.samples)) > _MAX_CLIPPED_SHARE:
        faults.append(
            f"the clip is clipped: {share:.1%} of its samples are cut off at full scale, at most "
            f"{_MAX_CLIPPED_SHARE:.1%} may be; record it more quietly"
        )
    return tuple(faults)


def wav_bytes(clip: VoiceClip) -> bytes:
    """A wav file (PCM16, mono) of `clip` and nothing else: whatever came along with an upload stays out."""
    file = io.BytesIO()
    soundfile.write(file, clip.samples, clip.rate_hz, subtype="PCM_16", format="WAV")
    return file.getvalue()


def _format_faults(channels: int, rate_hz: int) -> list[str]:
    faults: list[str] = []
    if channels != 1:
        faults.append(f"the clip must have one channel, got {channels}: mix a stereo recording down to mono first")
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        faults.append(f"the sample rate must be {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz, got {rate_hz}")
    return faults


def _audible_s(clip: VoiceClip) -> float:
    block = max(1, round(_BLOCK_S * clip.rate_hz))
    starts = range(0, clip.samples.size, block)
    return _BLOCK_S * sum(level_dbfs(clip.samples[start : start + block]) > _AUDIBLE_DBFS for start in starts)


def _clipped_share(samples: Samples) -> float:
    """Share of the samples that lie in runs at full scale."""
    if samples.size < _CLIPPED_RUN:
        return 0.0
    clipped = 0
    for side in (samples >= _CLIPPED_LEVEL, samples <= -_CLIPPED_LEVEL):
        borders = np.flatnonzero(np.diff(np.concatenate([[False], side, [False]]).astype(np.int8)))
        lengths = borders[1::2] - borders[::2]
        clipped += int(lengths[lengths >= _CLIPPED_RUN].sum())
    return clipped / samples.size
