"""Two recognisers heard the same utterance: how far they agree, and whose text is the better one.

Both texts are brought into one form first, so that spelling, case and punctuation make no difference. Where they say
the same, two independent witnesses make it more certain. Where they differ, confidence and a language model decide, and
the result stays as uncertain as the disagreement is large: better asked back than guessed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from talkover.asr.ngram import BEGIN, END, ORDER, Sentence, SmoothedCounts
from talkover.engines import Hypothesis

UNKNOWN_CONFIDENCE = 0.5
"""of an engine that tells none"""
CONFIDENCE_WEIGHT = 1.0
LANGUAGE_WEIGHT = 0.5
"""per factor of ten in the mean probability of a token: half a point of confidence"""
MAX_AGREED_CONFIDENCE = 0.95
"""two engines can make the same mistake"""

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\d+(?:\.\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?;:。！？；：\n]+")

Score = Callable[[Sequence[str]], float]
"""mean log10 probability of a token; tokens in, a number at most 0 out"""


def tokens_of(text: str) -> tuple[str, ...]:
    """What is compared: lower-case words, numbers, and single characters of scripts written without blanks."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return tuple(_TOKEN.findall(plain))


def agreement(one: Sequence[str], other: Sequence[str]) -> float:
    """1 for the same tokens, 0 for nothing in common: 1 - edit distance / length of the longer one."""
    longer = max(len(one), len(other))
    return 1 - edit_distance(one, other) / longer if longer else 1.0


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Fewest substitutions, deletions and insertions (Levenshtein)."""
    row = list(range(len(other) + 1))
    for index, token in enumerate(one, 1):
        diagonal, row[0] = row[0], index
        for column, against in enumerate(other, 1):
            diagonal, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, diagonal + (token != against)),
            )
    return row[-1]


def fused(first: Hypothesis, second: Hypothesis, score: Score) -> Hypothesis:
    """The better of two hypotheses, with the confidence that both together deserve.

    Of the same words the first engine's way to write them is kept, and so is the first text where nothing speaks for
    the second.
    """
    ours, theirs = tokens_of(first.text), tokens_of(second.text)
    if not theirs:
        return first
    if not ours:
        return second
    certainty, other_certainty = _certainty(first), _certainty(second)
    shared = agreement(ours, theirs)
    if shared == 1:
        agreed = 1 - (1 - certainty) * (1 - other_certainty)
        return replace(first, confidence=min(MAX_AGREED_CONFIDENCE, agreed))
    gain = CONFIDENCE_WEIGHT * (other_certainty - certainty) + LANGUAGE_WEIGHT * (score(theirs) - score(ours))
    chosen, its_certainty = (second, other_certainty) if gain > 0 else (first, certainty)
    return replace(chosen, confidence=its_certainty * shared)


def _certainty(hypothesis: Hypothesis) -> float:
    return UNKNOWN_CONFIDENCE if hypothesis.confidence is None else hypothesis.confidence


@dataclass(frozen=True, slots=True)
class TextScore:
    """A trigram language model over whatever texts the conversation is about, in any mix of languages."""

    counts: SmoothedCounts
    vocabulary_size: int

    def __call__(self, tokens: Sequence[str]) -> float:
        """Mean log10 probability of `tokens` and the end after them; words never seen count as equally unlikely."""
        padded = (BEGIN, *tokens, END)
        total = math.fsum(
            math.log10(
                self.counts.probability(padded[end], padded[max(0, end - ORDER + 1) : end], self.vocabulary_size)
            )
            for end in range(1, len(padded))
        )
        return total / (len(padded) - 1)


def text_score(texts: Iterable[str]) -> Score:
    """How likely a text is in the light of `texts`; without any, every text is equally likely."""
    sentences = [
        Sentence(tokens) for text in texts for part in _SENTENCE_END.split(text) if (tokens := tokens_of(part))
    ]
    if not sentences:
        return lambda tokens: 0.0
    counts = SmoothedCounts(sentences)
    return TextScore(counts, len({token for sentence in sentences for token in sentence.words}) + 1)
