"""The recogniser's language model and dictionary, built from the documents and the phrases and cached on disk.

The cache is a folder named by a hash of everything that goes in, written under another name and renamed when complete:
processes that build at the same time do not disturb each other, and what exists is whole. Files that were damaged later
are found by their sizes and built again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from talkover.asr.corpus import Corpus, read_corpus
from talkover.asr.ngram import Sentence, TrigramModel, Words, mixture, write_arpa
from talkover.asr.phrases import Phrases, builtin_phrases
from talkover.asr.pronunciation import espeak_letters_to_sound, pronunciations, read_dictionary, write_dictionary
from talkover.engines import EngineUnavailable

logger = logging.getLogger(__name__)

FORMAT = 1
"""part of the cache's name: raised when the way of building changes"""
BUILD_TIMEOUT_S = 120.0
MAX_DOCUMENT_BYTES = 2_000_000
"""per folder; what lies beyond does not enter the language model"""
MAX_EXPANSIONS = 300
"""of one phrase pattern; an even sample stands for the rest"""

SHARES: Mapping[str, float] = {"phrases": 0.45, "questions": 0.45, "sentences": 0.1}
"""how much each source of text counts"""


@dataclass(frozen=True, slots=True)
class LanguageModelFiles:
    """What a decoder loads."""

    folder: Path
    language_model: Path
    dictionary: Path
    spellings: Mapping[str, str]
    """lower-case word -> how it is shown"""


def read_documents(folder: Path) -> tuple[str, ...]:
    """The Markdown texts of a folder and its subfolders, in the order of their names; an absent folder has none."""
    texts: list[str] = []
    left = MAX_DOCUMENT_BYTES
    for path in sorted(folder.rglob("*.md")) if folder.is_dir() else ():
        try:
            data = path.read_bytes()
        except OSError as error:
            logger.warning("asr: %s cannot be read (%s): its words are not expected in speech", path, error.strerror)
            continue
        if len(data) > left:
            logger.warning("asr: %s has more than %d bytes of documents, the rest is not used", folder, MAX_DOCUMENT_BYTES)
            break
        left -= len(data)
        texts.append(data.decode("utf-8", errors="replace"))
    return tuple(texts)


def train(corpus: Corpus, phrases: Phrases) -> TrigramModel:
    """The trigram model of a corpus and the general phrases."""
    return mixture(
        (
            (SHARES["phrases"], phrase_sentences(phrases.patterns)),
            (SHARES["questions"], [Sentence(words) for words in corpus.questions]),
            (SHARES["sentences"], [Sentence(words) for words in corpus.sentences]),
        )
    )


def phrase_sentences(patterns: Sequence[Sequence[Words]]) -> list[Sentence]:
    """Weighted sentences of the expanded patterns: ten times as many expansions make a pattern count about three times."""
    chooser = random.Random(0)
    sentences: list[Sentence] = []
    for expansions in patterns:
        sample = expansions if len(expansions) <= MAX_EXPANSIONS else chooser.sample(expansions, MAX_EXPANSIONS)
        weight = 4 / math.sqrt(max(1, len(sample)))
        sentences += [Sentence(words, weight) for words in sample]
    return sentences
