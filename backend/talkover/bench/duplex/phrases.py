"""What the user can say: phrases of our own from `tests/data`, and recordings of people where there are some.

A recording of people takes part by its name: the benchmark has to know what it is, and a transcript does not tell.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, ms_to_samples
from talkover.bench.duplex.sounds import at_level
from talkover.bench.duplex.takes import Source
from talkover.bench.speech import Clip, Speech
from talkover.client.recordings import SPOKEN_BELOW_PEAK_DB, Recording, Span, read_recording, sounding_spans
from talkover.messages import Samples

OWN = Path("tests") / "data" / "duplex"
QUESTIONS = Path("tests") / "data" / "speech"
USER_DBFS = -26.0
"""active level at which the user speaks: ITU-T P.56 level of a telephone speech database"""
MIN_GAP_MS = 120.0
"""inside speech of people, shorter gaps are closures of plosives"""
MIN_PART_MS = 500.0
"""speech before and after a gap that is stretched into a pause"""

PEOPLE: tuple[tuple[str, str], ...] = (
    ("whatstheweather", "question"),
    ("cmd_", "order"),
    ("vosk_digits", "digits"),
    ("jfk", "monologue"),
    ("librispeech", "monologue"),
    ("azure_zhcn", "monologue"),
    ("easyturn_backchannel", "backchannel"),
    ("easyturn_complete", "question"),
    ("easyturn_wait", "command"),
    ("LJ", "television"),
    ("watson", "television"),
    ("arctic", "television"),
)
"""what recordings are, by the beginning of their names"""

COMMANDS = {
    "stop": "command",
    "wait": "command",
    "correction": "correction",
    "repeat": "interrupting_question",
    "backchannel": "backchannel",
}
"""what the commands of `tests/data/speech` are over the agent's speech; the others (thanks, goodbye) are left out"""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Something to say, at the user's level."""

    id: str
    kind: str
    text: str
    language: str
    speaker: str
    source: Source
    samples: Samples
    """(n,) float32 at 24 kHz"""
    voiced: Span
    pauses: tuple[Span, ...] = ()
    """where the speaker may stop to think"""


def own_phrases(root: Path) -> list[Phrase]:
    """The synthesised phrases and questions of a checkout at `root`. Raises ValueError outside of one."""
    phrases: list[Phrase] = []
    for folder in (OWN, QUESTIONS):
        manifest = root / folder / "manifest.json"
        if not manifest.is_file():
            raise ValueError(
                f"{manifest}: not found; run the duplex benchmark in a checkout, its speech lies in tests/data"
            )
        rows: Sequence[Mapping[str, Any]] = json.loads(manifest.read_text(encoding="utf-8"))
        phrases += [_own(root / folder, row) for row in rows]
    return phrases


def _own(folder: Path, row: Mapping[str, Any]) -> Phrase:
    recording = read_recording(folder / row["file"], row["text"])
    pauses = tuple(Span(place["start_ms"], place["end_ms"]) for place in row.get("pauses", ()))
    return Phrase(
        id=row["id"],
        kind=COMMANDS.get(row["id"], "") if row["kind"] == "command" and folder.name == QUESTIONS.name else row["kind"],
        text=row["text"],
        language=row.get("lang", "en"),
        speaker=row["voice"],
        source="generated",
        samples=at_level(recording.samples, USER_DBFS),
        voiced=recording.voiced,
        pauses=pauses,
    )


def people(speech: Speech) -> list[Phrase]:
    """The recordings of people in a folder that the benchmark knows what to do with."""
    phrases: list[Phrase] = []
    for clip in speech.clips:
        kind = next((kind for prefix, kind in PEOPLE if clip.path.stem.startswith(prefix)), None)
        if kind is not None:
            phrases.append(_of_people(clip, kind))
    return phrases


def _of_people(clip: Clip, kind: str) -> Phrase:
    recording = clip.read()
    samples = at_level(recording.samples, USER_DBFS)
    return Phrase(
        id=clip.path.stem,
        kind=kind,
        text=clip.text,
        language=clip.language or "en",
        speaker=f"people, {clip.language or 'en'}",
        source="people",
        samples=samples,
        voiced=recording.voiced,
        pauses=_gaps(recording),
    )


def _gaps(recording: Recording) -> tuple[Span, ...]:
    """Natural gaps with enough speech on both sides."""
    spans = sounding_spans(recording.samples, OUTPUT_RATE_HZ, MIN_GAP_MS, SPOKEN_BELOW_PEAK_DB)
    gaps = [Span(before.end_ms, after.start_ms) for before, after in itertools.pairwise(spans)]
    first, last = recording.voiced.start_ms, recording.voiced.end_ms
    return tuple(gap for gap in gaps if gap.start_ms - first >= MIN_PART_MS and last - gap.end_ms >= MIN_PART_MS)


# ------------------------------------------------------------------------------------------------------------ tracks


@dataclass(frozen=True, slots=True)
class Track:
    """Samples, and where something sounds in them."""

    samples: Samples
    """(n,) float32 at 24 kHz"""
    sounds: tuple[Span, ...]


def spoken(phrase: Phrase) -> Track:
    """A phrase as it is."""
    return Track(phrase.samples, (phrase.voiced,))


def with_pauses(phrase: Phrase, pause_ms: float, pauses: Sequence[Span] | None = None) -> Track:
    """A phrase whose pauses, or some of them, last `pause_ms`; filled with what sounds in them, over and over."""
    pauses = phrase.pauses if pauses is None else pauses
    parts: list[Samples] = []
    sounds: list[Span] = []
    position_ms, shift_ms, begin_ms = 0.0, 0.0, phrase.voiced.start_ms
    for pause in pauses:
        parts.append(_cut(phrase.samples, position_ms, pause.start_ms))
        sounds.append(Span(begin_ms, pause.start_ms + shift_ms))
        parts.append(_filled(_cut(phrase.samples, pause.start_ms, pause.end_ms), pause_ms))
        begin_ms = pause.start_ms + shift_ms + pause_ms
        shift_ms += pause_ms - (pause.end_ms - pause.start_ms)
        position_ms = pause.end_ms
    parts.append(_cut(phrase.samples, position_ms, None))
    sounds.append(Span(begin_ms, phrase.voiced.end_ms + shift_ms))
    return Track(np.concatenate(parts), tuple(sounds))


def in_a_row(tracks: Iterable[Track], gap_ms: float) -> Track:
    """One after the other, with so much between the last sound of one and the first of the next."""
    parts: list[Samples] = []
    sounds: list[Span] = []
    size, free_at_ms = 0, 0.0
    for track in tracks:
        wanted_ms = free_at_ms + gap_ms - track.sounds[0].start_ms if sounds else 0.0
        lead_ms = max(0.0, wanted_ms - size * 1000 / OUTPUT_RATE_HZ)
        lead = ms_to_samples(lead_ms, OUTPUT_RATE_HZ)
        start_ms = (size + lead) * 1000 / OUTPUT_RATE_HZ
        parts += [np.zeros(lead, np.float32), track.samples]
        size += lead + track.samples.size
        sounds += [Span(start_ms + span.start_ms, start_ms + span.end_ms) for span in track.sounds]
        free_at_ms = sounds[-1].end_ms
    return Track(np.concatenate(parts), tuple(sounds))


def in_noise(track: Track, noise: Samples, noise_dbfs: float, lead_ms: float, tail_ms: float) -> Track:
    """With noise under it that begins `lead_ms` before and ends `tail_ms` after it."""
    lead = ms_to_samples(lead_ms, OUTPUT_RATE_HZ)
    n = lead + track.samples.size + ms_to_samples(tail_ms, OUTPUT_RATE_HZ)
    mixed = at_level(np.resize(noise, n), noise_dbfs).copy()
    mixed[lead : lead + track.samples.size] += track.samples
    return Track(mixed, tuple(Span(span.start_ms + lead_ms, span.end_ms + lead_ms) for span in track.sounds))


def louder(track: Track, db: float) -> Track:
    return Track((track.samples * 10 ** (db / 20)).astype(np.float32), track.sounds)


def shortened(track: Track, max_ms: float) -> Track:
    """Cut in the last pause before `max_ms`; the whole track when it is shorter."""
    if track.sounds[-1].end_ms <= max_ms or track.sounds[0].end_ms > max_ms:
        return track
    kept = tuple(span for span in track.sounds if span.end_ms <= max_ms)
    return Track(_cut(track.samples, 0.0, kept[-1].end_ms + MIN_GAP_MS / 2), kept)


def _cut(samples: Samples, start_ms: float, end_ms: float | None) -> Samples:
    end = None if end_ms is None else ms_to_samples(end_ms, OUTPUT_RATE_HZ)
    return samples[ms_to_samples(start_ms, OUTPUT_RATE_HZ) : end]


def _filled(pause: Samples, ms: float) -> Samples:
    """`pause` to and fro until it lasts that long, so that no edge clicks."""
    n = ms_to_samples(ms, OUTPUT_RATE_HZ)
    return np.zeros(n, np.float32) if pause.size == 0 else np.resize(np.concatenate([pause, pause[::-1]]), n)
