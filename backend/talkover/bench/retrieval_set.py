"""Questions over real documentation, and enough other text around it to be hard to find.

Searched are the documents about Talkover, the language reference of Python that its standard library carries
(`pydoc_data`; PSF licence), and as distractors the docstrings of the standard library and of numpy (PSF, BSD). Nothing
of it is copied: a question names the headings or the words by which a passage that answers it is known. Half of the
questions chose the constants of retrieval (`tuning`), the other half did not (`held-out`).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import random
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from pydoc_data import topics
from types import ModuleType
from typing import Literal

import msgspec

from talkover.knowledge.chunking import chunks_of
from talkover.knowledge.documents import Document, passages
from talkover.knowledge.folder import load_folder
from talkover.knowledge.plain_text import load_text
from talkover.messages import Source
from talkover.resources import resource

QUESTIONS = Path(__file__).with_name("retrieval_questions.jsonl")
MIN_DOCSTRING_CHARACTERS = 80
MAX_DOCSTRING_CHARACTERS = 20_000
UNTOUCHED = frozenset(("antigravity", "this", "idlelib", "lib2to3", "test", "turtledemo", "__phello__"))
"""modules of the standard library that do something when they are imported"""

_QUOTES = str.maketrans("‘’“”", "''\"\"")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and how a passage that answers it is known."""

    split: Literal["tuning", "held-out"]
    documents: Literal["talkover", "python"]
    question: str
    headings: tuple[str, ...] = ()
    """of a section that answers"""
    answer: tuple[str, ...] = ()
    """words that stand in a passage that answers"""

    def is_answered_by(self, source: Source) -> bool:
        folded = " ".join(source.text.translate(_QUOTES).split())
        return source.heading in self.headings or any(words in folded for words in self.answer)


def questions() -> tuple[Question, ...]:
    lines = QUESTIONS.read_bytes().splitlines()
    return tuple(msgspec.json.decode(line, type=Question) for line in lines)


def documentation() -> tuple[Document, ...]:
    """What the questions are about."""
    return (*load_folder(resource("configs") / "knowledge"), *_language_reference())


def distractors(n_chunks: int) -> tuple[Document, ...]:
    """Docstrings that make `n_chunks` chunks, in an order that is always the same."""
    found: list[Document] = []
    left = n_chunks
    texts = sorted(_docstrings().items())
    random.Random(0).shuffle(texts)
    for name, text in texts:
        document = load_text(f"{name}.txt", text.encode())
        if left <= 0:
            break
        document = replace(document, title=name)
        count = len(passages((document,)))
        if count > left:
            continue
        found.append(document)
        left -= count
    return tuple(found)


def corpus(n_chunks: int) -> tuple[Document, ...]:
    """The documentation and as many distractors as make `n_chunks` chunks together."""
    about = documentation()
    return (*about, *distractors(n_chunks - sum(1 for _ in chunks_of(about))))


def _language_reference() -> Iterator[Document]:
    texts = {name: " ".join(text.split()) for name, text in topics.topics.items()}
    for name, text in topics.topics.items():
        beginning = texts[name][100:400]
        # many topics are parts of larger ones; a passage that stands there twice would be found twice
        if not any(beginning in other and len(other) > len(texts[name]) for other in texts.values()):
            yield load_text(f"python/{name}.txt", text.encode())


def _docstrings() -> dict[str, str]:
    """Full name -> docstring of modules, classes and functions."""
    found: dict[str, str] = {}
    seen: set[int] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in _modules():
            for name, member in islice(sorted(vars(module).items()), 2000):
                owner = getattr(member, "__module__", None) or ""
                if name.startswith("_") or not owner.startswith(module.__name__.split(".")[0]) or id(member) in seen:
                    continue
                seen.add(id(member))
                for full, text in _of_member(f"{module.__name__}.{name}", member):
                    if MIN_DOCSTRING_CHARACTERS <= len(text) <= MAX_DOCSTRING_CHARACTERS:
                        found.setdefault(full, text)
    return found


def _of_member(name: str, member: object) -> Iterator[tuple[str, str]]:
    if inspect.isroutine(member) or inspect.isclass(member):
        yield name, inspect.getdoc(member) or ""
    if inspect.isclass(member):
        for own, method in sorted(vars(member).items()):
            if inspect.isroutine(method) and not own.startswith("_"):
                yield f"{name}.{own}", inspect.getdoc(method) or ""


def _modules() -> Iterator[ModuleType]:
    standard = [name for name in sorted(sys.stdlib_module_names) if not name.startswith("_") and name not in UNTOUCHED]
    for name in ("numpy", *standard):
        try:
            module = importlib.import_module(name)
        except Exception:  # modules of other systems, or of parts that this Python was built without
            continue
        yield module
        for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
            if not found.name.startswith("_") and found.name not in UNTOUCHED | {"tests", "conftest"}:
                try:
                    yield importlib.import_module(f"{name}.{found.name}")
                except Exception:  # the same
                    continue
