"""A recording as it leaves the house: its files copied, with numbers and e-mail addresses masked and silenced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import soundfile

from talkover.recording.folder import StoredCall, open_private, write_transcript
from talkover.recording.redaction import Masked, masked, redacted
from talkover.recording.transcript import Transcript, TranscriptItem

PADDING_MS = 80
"""silenced beside a word: their times are exact to some 20 ms, and a word is recognised by its edges"""
BLOCK_FRAMES = 240_000
USER, AGENT = 0, 1

Silenced = tuple[int, int, int]
"""channel, and from when to when in ms"""


def redacted_transcript(transcript: Transcript) -> tuple[Transcript, list[Silenced]]:
    """The transcript without numbers, addresses and the caller, and which stretches of the sound to silence. Pure."""
    items: list[TranscriptItem] = []
    silenced: list[Silenced] = []
    for item in transcript.items:
        stretches, unheard = masked(item.text), redacted(item.unheard)
        silenced += _silenced(item, stretches)
        words = () if stretches else item.words
        items.append(replace(item, text=redacted(item.text, stretches), unheard=unheard, words=words))
    return replace(transcript, items=tuple(items), caller=None, redacted=True), silenced


def _silenced(item: TranscriptItem, stretches: Sequence[Masked]) -> list[Silenced]:
    """The words that hold something masked; all of the item where it has no words, or none of them is in a stretch."""
    if item.who == "tool" or item.typed:
        return []
    channel = AGENT if item.who == "agent" else USER
    found: list[Silenced] = []
    for stretch in stretches:
        words = [word for word in item.words if word.start < stretch.end and word.end > stretch.start]
        if not words:
            return [(channel, item.start_ms, item.end_ms)]
        found.append((channel, words[0].start_ms - PADDING_MS, words[-1].end_ms + PADDING_MS))
    return found


def export(stored: StoredCall, to: Path, redact: bool) -> Path:
    """Copy a recording into a new folder below `to`. Raises OSError, and ValueError when it cannot be read."""
    if stored.transcript is None:
        raise ValueError(f"{stored.folder}: has no transcript that can be read, so nothing can be told of its sound")
    transcript, silenced = redacted_transcript(stored.transcript) if redact else (stored.transcript, [])
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = to / stored.folder.name
    folder.mkdir(mode=0o700)
    write_transcript(folder, transcript)
    if stored.audio is not None:
        _copy_sound(stored.audio, folder / stored.audio.name, silenced)
    return folder


def _copy_sound(source: Path, target: Path, silenced: Sequence[Silenced]) -> None:
    try:
        with soundfile.SoundFile(source) as sound:
            rate_hz = sound.samplerate
            descriptor = open_private(target)
            kind = target.suffix.removeprefix(".").upper()
            with soundfile.SoundFile(descriptor, "w", rate_hz, sound.channels, "PCM_16", format=kind) as copy:
                at = 0
                for block in sound.blocks(BLOCK_FRAMES, dtype="int16", always_2d=True):
                    for channel, start_ms, end_ms in silenced:
                        begin = max(0, start_ms * rate_hz // 1000 - at)
                        end = max(0, end_ms * rate_hz // 1000 - at)
                        block[begin:end, channel] = 0
                    copy.write(block)
                    at += block.shape[0]
    except soundfile.SoundFileError as error:
        raise ValueError(f"{source}: cannot be read as sound: {error}") from error
