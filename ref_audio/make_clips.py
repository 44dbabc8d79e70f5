"""Synthesise the two clips that ship with Talkover, with its own espeak-ng voice and with flite (the Debian package).

They are here so that every installation has a voice to clone whose rights are clear. The clips are kept in the
repository; run this again only to change them: python ref_audio/make_clips.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from talkover.audio import resampled

FOLDER = Path(__file__).parent
RATE_HZ = 24_000
CLIP_S = 6.0
PADDING_S = 0.2
PEAK = 0.5


@dataclass(frozen=True, slots=True)
class Clip:
    """One voice that ships."""

    id: str
    name: str
    language: str
    gender: str
    text: str
    command: tuple[str, ...]
    """the synthesiser; `{text}` and `{wav}` are filled in"""
    source: str


CLIPS = (
    Clip(
        "emma",
        "Emma (synthetic)",
        "en-US",
        "female",
        "Hello, it is good to hear from you. Take your time, and tell me what you would like to know today.",
        ("flite", "-voice", "slt", "-t", "{text}", "-o", "{wav}"),
        "synthesised with flite 2.2, voice cmu_us_slt (free, BSD-like), by ref_audio/make_clips.py",
    ),
    Clip(
        "xiaoyun",
        "小云（合成）",
        "zh-CN",
        "female",
        "你好，很高兴认识你。今天天气不错，我们慢慢聊吧。",
        (sys.executable, "-m", "talkover", "say", "{text}", "--voice", "zh-cn-f1", "--output", "{wav}"),
        "synthesised with espeak-ng 1.52, voice cmn+f2 (whose licence does not extend to speech), by "
        "ref_audio/make_clips.py",
    ),
)


def spoken(clip: Clip) -> np.ndarray:
    """(6 s,) float32 at 24 kHz: the text between two short silences."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        subprocess.run([part.format(text=clip.text, wav=path) for part in clip.command], check=True)
        samples, rate_hz = soundfile.read(path, dtype="float32")
    samples = resampled(samples, rate_hz, RATE_HZ)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1] * (PEAK / np.abs(samples).max())
    n_clip, n_padding = round(CLIP_S * RATE_HZ), round(PADDING_S * RATE_HZ)
    if samples.size + 2 * n_padding > n_clip:
        sys.exit(f"{clip.id}: {samples.size / RATE_HZ:.2f} s of speech do not fit into {CLIP_S:g} s")
    return np.pad(samples, (n_padding, n_clip - n_padding - samples.size))


def main() -> None:
    for clip in CLIPS:
        if shutil.which(clip.command[0]) is None:
            sys.exit(f"{clip.command[0]} is missing: apt-get install flite")
        soundfile.write(FOLDER / f"{clip.id}.wav", spoken(clip), RATE_HZ, subtype="PCM_16")
        (FOLDER / f"{clip.id}.txt").write_text(clip.text + "\n", encoding="utf-8")
        facts = {key: getattr(clip, key) for key in ("name", "language", "gender", "source")} | {"licence": "CC0-1.0"}
        lines = "".join(f'{key} = "{value}"\n' for key, value in facts.items())
        (FOLDER / f"{clip.id}.toml").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
