"""Building and caching the language model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from talkover.asr.corpus import read_corpus
from talkover.asr.language_model import (
    MAX_EXPANSIONS,
    cached,
    content_hash,
    ensure_language_model,
    phrase_sentences,
    read_documents,
    train,
)
from talkover.asr.phrases import parse_phrases
from talkover.engines import EngineUnavailable


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    (folder / "more").mkdir(parents=True)
    (folder / "a.md").write_text("# The Zorblax\n\nA Zorblax is a machine.\n", encoding="utf-8")
    (folder / "more" / "b.md").write_text("## How do I polish it?\n", encoding="utf-8")
    (folder / "notes.txt").write_text("not a document", encoding="utf-8")
    return folder


def test_documents_are_read_from_subfolders_and_only_markdown(documents: Path) -> None:
    texts = read_documents(documents)
    assert len(texts) == 2
    assert not any("not a document" in text for text in texts)
    assert read_documents(documents / "absent") == ()


def test_questions_about_the_documents_are_likely(documents: Path) -> None:
    phrases = parse_phrases("stop\nwhat time is it\n")
    model = train(read_corpus(read_documents(documents)), phrases)
    assert model.sentence_log10(("how", "can", "i", "polish", "it")) > model.sentence_log10(("it", "polish", "i"))


def test_a_large_pattern_is_sampled() -> None:
    phrases = parse_phrases(
        "(" + "|".join("abcdefghijklmnopqrstuvwxyz") + ") " * 1 + "(" + "|".join("abcdefghijklmnopqrst") + ")"
    )
    sentences = phrase_sentences(phrases.patterns)
    assert len(sentences) == MAX_EXPANSIONS
    assert sentences == phrase_sentences(phrases.patterns)


def test_another_document_is_another_model() -> None:
    assert content_hash(["a", "b"]) != content_hash(["ab"])
    assert content_hash(["a"]) == content_hash(["a"])


def test_a_model_is_built_once_and_again_when_damaged(documents: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    files = ensure_language_model(documents, cache)
    assert "zorblax" in files.words
    assert files.spellings["zorblax"] == "Zorblax"
    assert any(line.startswith("zorblax ") for line in files.dictionary.read_text(encoding="utf-8").splitlines())
    written_ns = files.language_model.stat().st_mtime_ns
    assert ensure_language_model(documents, cache).language_model.stat().st_mtime_ns == written_ns

    # damaged, it is built again, also by two processes at the same time
    files.language_model.write_bytes(files.language_model.read_bytes()[:-100])
    assert cached(files.folder) is None
    command = [sys.executable, "-m", "talkover.asr.language_model", str(documents), str(files.folder)]
    builders = [subprocess.Popen(command) for _ in range(2)]
    assert [builder.wait(300) for builder in builders] == [0, 0]
    assert cached(files.folder) is not None
    assert [path.name for path in cache.iterdir()] == [files.folder.name]


def test_a_folder_that_cannot_be_written_is_named(documents: Path, tmp_path: Path) -> None:
    cache = tmp_path / "file"
    cache.write_text("", encoding="utf-8")
    with pytest.raises(EngineUnavailable, match=r"file"):
        ensure_language_model(documents, cache)
