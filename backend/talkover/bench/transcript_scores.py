"""How well a text was heard: error rates, slots, and how much captions changed while they grew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from talkover.asr.fusion import tokens_of
from talkover.engines import Hypothesis


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Errors of a whole set: sums, so that long sentences count for what they are."""

    errors: int
    of: int

    @property
    def percent(self) -> float | None:
        return 100 * self.errors / self.of if self.of else None


def word_error_rate(said: Sequence[str], heard: Sequence[str]) -> ErrorRate:
    """Over pairs of texts; case and punctuation do not count, and characters of Chinese are words. Needs jiwer.

    Pairs without a text that is known to be said are left out.
    """
    import jiwer

    pairs = [(" ".join(tokens_of(a)), " ".join(tokens_of(b))) for a, b in zip(said, heard, strict=True)]
    pairs = [(a, b) for a, b in pairs if a]
    if not pairs:
        return ErrorRate(0, 0)
    counted = jiwer.process_words([a for a, _ in pairs], [b for _, b in pairs])
    errors = counted.substitutions + counted.deletions + counted.insertions
    return ErrorRate(errors, counted.hits + counted.substitutions + counted.deletions)


def character_error_rate(said: Sequence[str], heard: Sequence[str]) -> ErrorRate:
    """As `word_error_rate`, letter by letter, without blanks."""
    import jiwer

    pairs = [("".join(tokens_of(a)), "".join(tokens_of(b))) for a, b in zip(said, heard, strict=True)]
    pairs = [(a, b) for a, b in pairs if a]
    if not pairs:
        return ErrorRate(0, 0)
    counted = jiwer.process_characters([a for a, _ in pairs], [b for _, b in pairs])
    errors = counted.substitutions + counted.deletions + counted.insertions
    return ErrorRate(errors, counted.hits + counted.substitutions + counted.deletions)


def slots_missed(slots: Mapping[str, str], heard: str) -> list[str]:
    """Names of the slots whose value does not stand in `heard`, word for word."""
    words = tokens_of(heard)

    def is_heard(value: Sequence[str]) -> bool:
        return any(words[start : start + len(value)] == value for start in range(len(words) - len(value) + 1))

    return [name for name, value in slots.items() if not is_heard(tokens_of(value))]


@dataclass(frozen=True, slots=True)
class Stability:
    """How captions behaved on their way to the final text."""

    partials: int
    revised_words: int
    """words that were shown and then replaced or taken back"""
    broken_promises: int
    """partials of which the part called stable was not kept"""


def stability(partials: Sequence[Hypothesis], final: str) -> Stability:
    """Of the partials of one utterance, in order. The final may add punctuation; its words count, not its writing."""
    shown = [*(tokens_of(partial.text) for partial in partials), tokens_of(final)]
    revised = sum(len(earlier) - _shared_start(earlier, later) for earlier, later in pairwise(shown))
    kept = [partial.text[: partial.stable_chars] for partial in partials]
    broken = sum(
        any(not later.text.startswith(kept[index]) for later in partials[index + 1 :]) for index in range(len(partials))
    )
    return Stability(len(partials), revised, broken)


def _shared_start(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
