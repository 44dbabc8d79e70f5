"""The recogniser's language model and dictionary, built from the documents and the phrases and cached on disk.

The cache is a folder named by a hash of everything that goes in, written under another name and renamed when complete:
processes that build at the same time do not disturb each other, and what exists is whole. Files that were damaged later
are found by their sizes and built again.
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pocketsphinx

from talkover.asr.corpus import Corpus, read_corpus
from talkover.asr.general_words import GeneralEnglish
from talkover.asr.ngram import END, NgramSource, Sentence, SmoothedCounts, TrigramModel, Words, mixture, write_arpa
from talkover.asr.phrases import Phrases, builtin_phrases
from talkover.asr.pronunciation import (
    Phones,
    espeak_letters_to_sound,
    pronunciations,
    read_dictionary,
    write_dictionary,
)
from talkover.engines import EngineUnavailable

logger = logging.getLogger(__name__)

BUILD_TIMEOUT_S = 120.0
MAX_DOCUMENT_BYTES = 2_000_000
"""per folder; what lies beyond does not enter the language model"""
MAX_EXPANSIONS = 300
"""of one phrase pattern; an even sample stands for the rest"""
KEPT_UNUSED_S = 30 * 86400
"""how long models of documents that have changed stay on disk"""
GENERAL_WORDS = 20_000
"""frequent English words known beside those of documents and phrases"""

_BUILT_BY = (
    "corpus.py", "general_words.py", "language_model.py", "ngram.py", "phrases.py", "phrases.txt", "pronunciation.py",
)  # fmt: skip
_MODEL, _DICTIONARY, _MANIFEST, _ARPA = "model.bin", "words.dict", "manifest.json", "model.arpa"

SHARES: Mapping[str, float] = {"phrases": 0.31, "questions": 0.31, "sentences": 0.08, "general": 0.3}
"""how much each source of text counts; `general` is what keeps other speech from being forced into the documents"""

AGENT_NAME: Mapping[str, tuple[Phones, ...]] = {
    "talkover": tuple(tuple(f"T {vowel} K OW V ER".split()) for vowel in ("AO", "AA", "AE"))
}
"""said in more ways than its spelling tells: with the vowels of caught, cot and, by synthesisers, cat"""


@dataclass(frozen=True, slots=True)
class LanguageModelFiles:
    """What a decoder loads."""

    folder: Path
    language_model: Path
    dictionary: Path
    words: frozenset[str]
    """the words of documents and phrases, without those of general English"""
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
            logger.warning("asr: %s has over %d bytes of documents, the rest is not used", folder, MAX_DOCUMENT_BYTES)
            break
        left -= len(data)
        texts.append(data.decode("utf-8", errors="replace"))
    return tuple(texts)


def train(corpus: Corpus, phrases: Phrases, general: NgramSource | None = None) -> TrigramModel:
    """The trigram model of documents, general phrases and, where given, general English."""
    sources: list[tuple[float, NgramSource]] = [
        (SHARES["phrases"], SmoothedCounts(phrase_sentences(phrases.patterns))),
        (SHARES["questions"], SmoothedCounts(Sentence(words) for words in corpus.questions)),
        (SHARES["sentences"], SmoothedCounts(Sentence(words) for words in corpus.sentences)),
    ]
    if general is not None:
        sources.append((SHARES["general"], general))
    return mixture(sources)


def phrase_sentences(patterns: Sequence[Sequence[Words]]) -> list[Sentence]:
    """Weighted sentences of the expanded patterns: with ten times the expansions a pattern counts three times."""
    chooser = random.Random(0)
    sentences: list[Sentence] = []
    for expansions in patterns:
        sample = expansions if len(expansions) <= MAX_EXPANSIONS else chooser.sample(expansions, MAX_EXPANSIONS)
        weight = 4 / math.sqrt(max(1, len(sample)))
        sentences += [Sentence(words, weight) for words in sample]
    return sentences


# ---------------------------------------------------------------------------------------------------------- the cache


def content_hash(documents: Sequence[str]) -> str:
    """Names a cached model: the documents, and the code, phrases and pocketsphinx that turn them into one."""
    digest = hashlib.sha256(version("pocketsphinx").encode())
    for name in _BUILT_BY:
        digest.update((Path(__file__).parent / name).read_bytes())
    for text in documents:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()[:24]


def cached(folder: Path) -> LanguageModelFiles | None:
    """The model in a folder of the cache; None when there is none or its files are not what was written."""
    try:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        for name, digest in manifest["sha256"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                logger.warning("asr: %s was damaged and is built again", folder / name)
                return None
        return LanguageModelFiles(
            folder, folder / _MODEL, folder / _DICTIONARY, frozenset(manifest["words"]), manifest["spellings"]
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def ensure_language_model(documents: Path, cache: Path) -> LanguageModelFiles:
    """The model for the documents of a folder, from the cache or built now in a process of its own.

    Raises EngineUnavailable when it cannot be built.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"asr: {cache} cannot be made ({error.strerror}): set XDG_CACHE_HOME to a writable folder"
        raise EngineUnavailable(message) from error
    target = cache / content_hash(read_documents(documents))
    files = cached(target)
    if files is None:
        logger.info("asr: building the language model from %s (once, a few seconds)", documents)
        started_s = time.monotonic()
        command = [sys.executable, "-m", "talkover.asr.language_model", str(documents), str(target)]
        try:
            built = subprocess.run(
                command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineUnavailable(f"asr: the language model could not be built: {error}") from error
        files = cached(target)
        if files is None:
            reason = built.stderr.strip().splitlines()[-1:] or [f"exit status {built.returncode}"]
            raise EngineUnavailable(f"asr: the language model could not be built: {reason[0]}")
        logger.info(
            "asr: language model of %d expected words ready after %.1f s",
            len(files.words),
            time.monotonic() - started_s,
        )
    os.utime(target)
    _remove_unused(cache, keep=target)
    return files


def build(documents: Sequence[str], target: Path) -> None:
    """Write model, dictionary and manifest into the new folder `target`. Raises EngineUnavailable, OSError."""
    shipped = Path(pocketsphinx.get_model_path()) / "en-us"
    dictionary = read_dictionary(shipped / "cmudict-en-us.dict")
    corpus, phrases = read_corpus(documents), builtin_phrases()
    model = train(corpus, phrases, GeneralEnglish(shipped / "en-us.lm.bin", dictionary, GENERAL_WORDS))
    spellings = {**phrases.spellings, **corpus.spellings}
    letters_to_sound = espeak_letters_to_sound()
    words = sorted(ngram[0] for ngram in model.probabilities if len(ngram) == 1 and ngram[0] != END)
    entries = [
        (word, AGENT_NAME.get(word) or pronunciations(word, spellings.get(word, word), dictionary, letters_to_sound))
        for word in words
    ]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        with (folder / _ARPA).open("w", encoding="utf-8") as out:
            write_arpa(model, out)
        _to_binary(folder / _ARPA, folder / _MODEL)
        (folder / _ARPA).unlink()
        write_dictionary(entries, folder / _DICTIONARY)
        expected = {word for words in (*corpus.questions, *corpus.sentences) for word in words}
        expected |= {word for pattern in phrases.patterns for words in pattern for word in words}
        digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (_MODEL, _DICTIONARY)}
        manifest = {"sha256": digests, "words": sorted(expected), "spellings": spellings}
        (folder / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        _publish(folder, target)


def _publish(folder: Path, target: Path) -> None:
    """Make `folder` appear as `target` at once; a whole model that another process put there meanwhile stays."""
    if cached(target) is not None:
        return
    damaged = folder.with_name("damaged")
    with contextlib.suppress(FileNotFoundError):
        target.rename(damaged)
    try:
        folder.rename(target)
    except OSError:
        if cached(target) is None:
            raise


def _to_binary(arpa: Path, binary: Path) -> None:
    """A text model in the form that decoders map into memory: 0.04 s to load instead of seconds."""
    library = cast(Any, pocketsphinx)
    decoder = library.Decoder(lm=None, dict=None, loglevel="FATAL")
    model = library.NGramModel(decoder.config, decoder.get_logmath(), str(arpa))
    model.write(str(binary), library.NGramModel.str_to_type("bin"))


def _remove_unused(cache: Path, keep: Path) -> None:
    oldest_s = time.time() - KEPT_UNUSED_S
    for folder in cache.iterdir():
        with contextlib.suppress(OSError):
            if folder != keep and folder.is_dir() and folder.stat().st_mtime < oldest_s:
                shutil.rmtree(folder)


def main(arguments: Sequence[str]) -> int:
    """Build the model for the documents of one folder into another; the process `ensure_language_model` starts."""
    documents, target = map(Path, arguments)
    try:
        build(read_documents(documents), target)
    except (EngineUnavailable, OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
