"""A retriever whose searches a test watches and holds up."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from talkover.engines import DocumentInfo, DocumentRefused, EngineFailed, IsStale
from talkover.messages import Source

SOME = DocumentInfo("some.md", "Some", "some.md", 100, 1, False)
"""a document about nothing that is asked"""


def passage(title: str, text: str, path: str = "") -> Source:
    return Source(path or title, title, path or f"{title.lower()}.md", text[:80], 1.0, text)


class Shelf:
    """Finds the passages listed under a word of the question. A test may `shut` it, and every search then waits."""

    def __init__(self, passages: Mapping[str, Source | EngineFailed], is_shut: bool = False) -> None:
        self._passages = passages
        self._opened = threading.Event()
        self.searching = threading.Semaphore(0)
        """released by every search that begins"""
        self.questions: list[str] = []
        self.given_up: list[str] = []
        if not is_shut:
            self._opened.set()

    def open(self) -> None:
        self._opened.set()

    def search(self, question: str, limit: int, is_stale: IsStale) -> tuple[Source, ...]:
        self.questions.append(question)
        self.searching.release()
        while not self._opened.wait(0.002):
            if is_stale():
                self.given_up.append(question)
                return ()
        found = [passage for word, passage in self._passages.items() if word in question.lower()]
        for one in found:
            if isinstance(one, EngineFailed):
                raise one
        return tuple(one for one in found if isinstance(one, Source))[:limit]

    def documents(self) -> tuple[DocumentInfo, ...]:
        sources = [one for one in self._passages.values() if isinstance(one, Source)]
        return (SOME, *(DocumentInfo(one.id, one.title, one.path, len(one.text), 1, False) for one in sources))

    def add(self, path: str, content: bytes) -> DocumentInfo:
        raise DocumentRefused("full", f"{path} has no place here")

    def remove(self, document_id: str) -> None:
        raise DocumentRefused("unknown", f"there is no document {document_id!r}")

    def close(self) -> None:
        self.open()
