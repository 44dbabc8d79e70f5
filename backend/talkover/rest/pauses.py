"""Where to cut a long recording so that each piece is one utterance: at its pauses. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

VOICE_THRESHOLD = 0.35
"""under the 0.5 of a conversation: a lost word costs more here than a breath decoded to nothing"""
PAUSE_FRAMES = 16
"""512 ms of silence end an utterance"""
MIN_VOICED_FRAMES = 3
PADDING_FRAMES = 8
"""256 ms kept around speech: VADs find soft onsets late and drop soft endings"""
MAX_PIECE_FRAMES = 625
"""20 s: what recognisers were trained on"""


@dataclass(frozen=True, slots=True)
class Span:
    """Frames `start` up to, not including, `end`."""

    start: int
    end: int


def speech_spans(probabilities: Sequence[float]) -> tuple[Span, ...]:
    """The utterances in a recording, in order and without overlap, from its speech probability per frame of 32 ms."""
    n = len(probabilities)
    padded: list[Span] = []
    for span in _voiced_runs(probabilities):
        start = max(span.start - PADDING_FRAMES, padded[-1].end if padded else 0)
        padded.append(Span(start, min(span.end + PADDING_FRAMES, n)))
    return tuple(piece for span in padded for piece in _split(span, probabilities))


def _voiced_runs(probabilities: Sequence[float]) -> list[Span]:
    """Stretches of voice whose inner gaps are shorter than a pause; clicks are left out."""
    runs: list[Span] = []
    voiced: list[int] = []
    for index, probability in enumerate(probabilities):
        if probability < VOICE_THRESHOLD:
            continue
        if voiced and index - voiced[-1] > PAUSE_FRAMES:
            runs.append(Span(voiced[0], voiced[-1] + 1))
            voiced = []
        voiced.append(index)
    if voiced:
        runs.append(Span(voiced[0], voiced[-1] + 1))
    return [run for run in runs if run.end - run.start >= MIN_VOICED_FRAMES]


def _split(span: Span, probabilities: Sequence[float]) -> list[Span]:
    """Pieces of at most `MAX_PIECE_FRAMES`, each cut where voice is least likely in the second half of the limit."""
    pieces: list[Span] = []
    start = span.start
    while span.end - start > MAX_PIECE_FRAMES:
        window = range(start + MAX_PIECE_FRAMES // 2, start + MAX_PIECE_FRAMES)
        cut = min(window, key=lambda index: probabilities[index])
        pieces.append(Span(start, cut))
        start = cut
    return [*pieces, Span(start, span.end)]
