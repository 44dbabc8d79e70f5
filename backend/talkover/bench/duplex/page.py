"""One self-contained HTML page with the figures, and every take as a timeline one can look at and listen to."""

from __future__ import annotations

import binascii
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import soundfile

from talkover.audio import OUTPUT_RATE_HZ, ms_to_samples
from talkover.bench.duplex.call import BEFORE_MS, Taken
from talkover.bench.duplex.curve import Point
from talkover.bench.duplex.decisions import Decision, marks
from talkover.bench.duplex.verdict import Verdict
from talkover.bench.figures import Figure
from talkover.bench.report import number, wanted
from talkover.messages import Samples

TEMPLATE = Path(__file__).with_name("page.html")
PLACE = '<script id="data" type="application/json">{}</script>'
PIECE_MS = 20.0
QUIETEST_DB = -60.0
"""drawn as nothing"""
QUALITY = 0.9
"""libsndfile's compression level of variable-rate MP3: about 60 kbit/s for two voices"""


def page(
    about: str,
    figures: Sequence[Figure],
    results: Sequence[tuple[Taken, Verdict]],
    decisions: Mapping[str, Sequence[Decision]] | None = None,
    points: Sequence[Point] = (),
) -> str:
    """The page as text. It holds the recordings, people's voices included: it is for the machine it was made on.

    `decisions` are those of each session, where there is a log of them; `points` are the curve drawn from them.
    """
    data = {
        "about": about,
        "piece_ms": PIECE_MS,
        "before_ms": BEFORE_MS,
        "curve": [asdict(point) for point in points],
        "figures": [_figure(figure) for figure in figures],
        "takes": [_take(taken, verdict, decisions or {}) for taken, verdict in results],
    }
    # nothing in a JSON text can end the script element but this
    encoded = msgspec.json.encode(data).decode().replace("</", "<\\/")
    template = TEMPLATE.read_text(encoding="utf-8")
    if PLACE not in template:
        raise RuntimeError(f"{TEMPLATE}: has no place for the data")
    return template.replace(PLACE, PLACE.replace("{}", encoded))


def _figure(figure: Figure) -> dict[str, Any]:
    summary = figure.summary
    unit = f" {figure.unit}" if figure.unit else ""
    value = "-" if figure.value is None else number(figure.value)
    return {
        "name": figure.name,
        "p50": f"{number(summary.p50)}{unit}" if summary is not None else f"{value}{unit}",
        "p95": f"{number(summary.p95)}{unit}" if summary is not None else "",
        "note": figure.note if summary is None else f"n = {summary.n}",
        "targets": [{"text": wanted(target), "met": met} for target, met in figure.verdicts()],
    }


def _take(taken: Taken, verdict: Verdict, decisions: Mapping[str, Sequence[Decision]]) -> dict[str, Any]:
    seen, take = taken.observation, taken.observation.take
    decided = marks(decisions.get(seen.session_id, ()), seen.zero_input_ms, -BEFORE_MS, seen.ended_ms)
    spans = [(span.start_ms, span.end_ms) for span in take.sounds]
    if seen.then_start_ms is not None:
        spans += [(seen.then_start_ms + span.start_ms, seen.then_start_ms + span.end_ms) for span in take.then_sounds]
    return {
        "name": take.name,
        "family": take.family,
        "passed": verdict.passed,
        "why": verdict.why,
        "figures": _told(verdict),
        "text": take.text,
        "sounds": spans,
        "marks": [(mark.at_ms, mark.label) for mark in seen.marks],
        "decided": [(mark.at_ms, mark.label) for mark in decided],
        "said": envelope(taken.said),
        "heard": envelope(taken.heard),
        "audio": _mp3(taken.said, taken.heard),
    }


def _told(verdict: Verdict) -> str:
    parts = [
        ("yields after", verdict.yield_ms),
        ("answers after", verdict.response_ms),
        ("hole of", verdict.hole_ms or None),
    ]
    return " · ".join(f"{name} {value:.0f} ms" for name, value in parts if value is not None)


def envelope(samples: Samples) -> str:
    """Base64 of one byte per 20 ms: the peak, from -60 dB (0) to full scale (255)."""
    piece = ms_to_samples(PIECE_MS, OUTPUT_RATE_HZ)
    whole = samples[: samples.size // piece * piece].reshape(-1, piece)
    peaks = np.max(np.abs(whole), axis=1) if whole.size else np.zeros(0)
    db = 20 * np.log10(np.maximum(peaks, 10 ** (QUIETEST_DB / 20)))
    levels = np.clip(255 * (1 - db / QUIETEST_DB), 0, 255).round().astype(np.uint8)
    return binascii.b2a_base64(levels.tobytes(), newline=False).decode("ascii")


def _mp3(said: Samples, heard: Samples) -> str:
    """Base64 of both sides as stereo; the shorter one is filled with silence."""
    n = math.ceil(max(said.size, heard.size, 1))
    both = np.zeros((n, 2), np.float32)
    both[: said.size, 0], both[: heard.size, 1] = said, heard
    written = io.BytesIO()
    with soundfile.SoundFile(
        written,
        "w",
        OUTPUT_RATE_HZ,
        2,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=QUALITY,
        bitrate_mode="VARIABLE",
    ) as file:
        file.write(np.clip(both, -1, 1))
    return binascii.b2a_base64(written.getvalue(), newline=False).decode("ascii")
