"""Is the turn over? Words, voice, the question asked and the caller's habits, fused into the silence to wait for.

Each source shifts the log-odds that the speaker is done; the sum sets how long silence must last. So no source can end
a turn by itself, and a turn always ends: the wait is bounded below and above by `Patience`. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from talkover.vad.expectation import ANYTHING, Expectation
from talkover.vad.lexical import looks_finished
from talkover.vad.prosody import Ending

Eagerness = Literal["low", "medium", "high", "auto"]


@dataclass(frozen=True, slots=True)
class Patience:
    """Silence that ends a turn in semantic mode, by how finished it seems."""

    finished_ms: float
    unknown_ms: float
    """nothing tells, e.g. no text yet"""
    unfinished_ms: float


PATIENCE: dict[Eagerness, Patience] = {
    "low": Patience(640, 1200, 8000),
    "medium": Patience(320, 736, 4000),
    "high": Patience(224, 480, 2000),
    "auto": Patience(320, 736, 4000),
}
SHORT_ANSWER_MS = 224.0
"""after "yes" or "no" to a yes-no question: what follows so late is a second thought"""


@dataclass(frozen=True, slots=True)
class ModelOpinion:
    """What a turn model says of a pause."""

    probability: float
    """that the turn is over, 0 to 1"""
    age_ms: float
    """silence since what it judged"""


@dataclass(frozen=True, slots=True)
class EndFeatures:
    """What is known of an utterance while the speaker is silent."""

    text: str = ""
    text_is_final: bool = False
    """recognition of all of it; else the last words may be missing"""
    ending: Ending | None = None
    expected: Expectation = ANYTHING
    usual_pause_ms: float | None = None
    """the caller's own, see `CallerPauses`"""
    model: ModelOpinion | None = None
    """of a turn model, where there is one and it has answered for this pause"""


def finished_probability(features: EndFeatures) -> float:
    """In (0, 1); 0.5 where nothing tells."""
    odds = logit(looks_finished(features.text, features.expected))
    if features.ending is not None:
        odds += voice_log_odds(features.ending)
    if features.model is not None:
        odds += model_log_odds(features.model)
    return 1 / (1 + math.exp(-odds))


def silence_needed_ms(features: EndFeatures, patience: Patience) -> float:
    """Silence that ends the turn. Text that may lack the last words can prolong the wait but never shorten it."""
    probability = finished_probability(features)
    if not features.text_is_final:
        probability = min(probability, 0.5)
    elif is_short_answer(features.text, features.expected):
        return min(SHORT_ANSWER_MS, patience.finished_ms)
    return wait_ms(probability, patience, features.usual_pause_ms)


def wait_ms(probability: float, patience: Patience, usual_pause_ms: float | None = None) -> float:
    """Log-linear between the three points of `patience`; its middle one follows the caller's usual pause."""
    unknown_ms = patience.unknown_ms
    if usual_pause_ms is not None:
        wanted_ms = usual_pause_ms * ABOVE_USUAL_PAUSE
        unknown_ms = min(max(wanted_ms, unknown_ms * LEAST_SHARE), unknown_ms * MOST_SHARE)
        unknown_ms = max(unknown_ms, patience.finished_ms)
    if probability >= 0.5:
        low, high, share = unknown_ms, patience.finished_ms, 2 * probability - 1
    else:
        low, high, share = patience.unfinished_ms, unknown_ms, 2 * probability
    return low * (high / low) ** share


ABOVE_USUAL_PAUSE = 1.2
LEAST_SHARE, MOST_SHARE = 0.85, 1.6
"""of `unknown_ms`, however the caller pauses"""


def is_short_answer(text: str, expected: Expectation) -> bool:
    """Whether the text is all that a yes-no question asked for."""
    return expected.kind == "yes_no" and "".join(c for c in text.lower() if c.isalnum() or c == " ").strip() in _ANSWERS


_ANSWERS = frozenset(
    [
        *("yes", "no", "yeah", "yep", "nope", "sure", "okay", "ok", "right", "correct"),
        *("no thanks", "yes please", "of course"),
        *("是", "是的", "对", "对的", "好", "好的", "不", "不是", "不用", "不要", "可以", "没有", "要", "行"),
    ]
)


def voice_log_odds(ending: Ending) -> float:
    """What the voice adds to the log-odds of being done, at most 1 either way.

    Fitted by eye to 58 endings of 37 recordings of people: at the end of an utterance the median pitch lay 2.5 and in
    pauses within one 0.5 semitones under what came before, the level 0.9 dB under and 1.4 dB over it.
    """
    if ending.steady_ms >= HESITATION_MS and abs(ending.slope_st_per_s) < LEVEL_ST_PER_S:
        return -1.0
    odds = -0.2 * (ending.pitch_st + 1.5) - 0.08 * (ending.level_db - 0.5)
    return min(max(odds, -1.0), 1.0)


def model_log_odds(opinion: ModelOpinion) -> float:
    """What a turn model adds to the log-odds of being done: at most `MODEL_LIMIT` either way, fading with its age.

    It has heard a fraction of a second of silence; how long the silence has become since is what the wait is about, so
    that after `MODEL_FADED_MS` only that counts.
    """
    fresh = 1 - min(max(opinion.age_ms / MODEL_FADED_MS, 0.0), 1.0)
    return fresh * min(max(logit(opinion.probability), -MODEL_LIMIT), MODEL_LIMIT)


MODEL_LIMIT = 2.5
"""such a model is wrong in one case of twelve at its best: it must not outweigh clear words and voice together"""
MODEL_FADED_MS = 4000.0

HESITATION_MS = 288.0
"""a level sound longer than any final syllable of the recordings: "um", or a word held on to"""
LEVEL_ST_PER_S = 6.0


def logit(probability: float) -> float:
    clipped = min(max(probability, 1e-3), 1 - 1e-3)
    return math.log(clipped / (1 - clipped))
