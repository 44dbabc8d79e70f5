"""The shipped general English model as one source of the recogniser's language model.

Without it, speech about anything else would be forced into the words of the documents and come out as a plausible
question about them. With its most frequent words at their general probabilities, such speech comes out as other words.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import pocketsphinx

from talkover.asr.ngram import BEGIN, END, Words

LOG_BASE = 1.0001
"""of pocketsphinx's integer log probabilities"""
_ONE_LETTER_WORDS = frozenset({"a", "i"})


class GeneralEnglish:
    """Unigrams of the most frequent words; its longer n-grams are only asked for, not listed.

    Implements `NgramSource`. Its probabilities are scaled to the chosen vocabulary.
    """

    def __init__(self, model: Path, known_words: Iterable[str], frequent: int) -> None:
        """`known_words` are those of the dictionary; words the model lacks have a probability of about 0.

        Raises RuntimeError when `model` is not a language model.
        """
        decoder = cast(Any, pocketsphinx).Decoder(lm=None, dict=None, loglevel="FATAL")
        self._model: Any = cast(Any, pocketsphinx).NGramModel(decoder.config, decoder.get_logmath(), str(model))
        self._scale = math.log(LOG_BASE)
        unknown = math.log(1e-9) / self._scale
        scores: dict[str, int] = {word: self._model.prob([word]) for word in known_words}
        self._known = {word for word, score in scores.items() if score > unknown} | {BEGIN, END}
        usable = (word for word in self._known if word.replace("'", "").isalpha())
        usable = (word for word in usable if len(word) > 1 or word in _ONE_LETTER_WORDS)
        vocabulary = sorted(usable, key=lambda word: (-scores[word], word))[:frequent]
        self.followers: Mapping[Words, Collection[str]] = {(): frozenset({*vocabulary, END})}
        self._mass = math.fsum(self._linear(word, ()) for word in self.followers[()])

    def probability(self, word: str, history: Words, vocabulary_size: int) -> float:
        if word not in self._known:
            return 1e-3 / vocabulary_size
        known = history
        while any(earlier not in self._known for earlier in known):
            known = known[1:]
        return min(1.0, self._linear(word, known) / self._mass)

    def _linear(self, word: str, history: Words) -> float:
        # pocketsphinx wants the predicted word first, then the history from its end
        return math.exp(self._model.prob([word, *reversed(history)]) * self._scale)
