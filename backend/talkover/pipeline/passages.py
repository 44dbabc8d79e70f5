"""Passages for the question being asked: looked up while the user still speaks, and ready when an answer is due."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from talkover.engines import EngineFailed, IsStale, Retriever
from talkover.llm.grounding import same_question
from talkover.messages import Source

log = logging.getLogger(__name__)

MAX_KEPT = 8
"""questions whose passages are kept: those of a turn, for the answer and what follows a function call"""
KEPT_FOR_S = 120.0
"""documents change; what was found is not used for longer"""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class PassageOptions:
    """How documents take part in answers."""

    limit: int = 4
    """passages a question"""
    timeout_s: float = 0.3
    """the longest an answer waits for them"""
    only_documents: bool = True
    """questions of fact are answered from them alone"""


@dataclass(frozen=True, slots=True)
class _Found:
    passages: tuple[Source, ...]
    at_s: float


class PassageFinder:
    """One session's way to the documents: a thread that searches, ahead and on time, and what it found.

    All searching is that thread's: a retriever that never returns costs answers their passages, and stops none.

    Looking ahead never waits and never queues: a newer question takes the place of the older one. A question is the
    set of its telling words, so that the final transcript finds what was looked up for the partial one.
    """

    def __init__(
        self, retriever: Retriever, options: PassageOptions, label: str, clock: Clock = time.monotonic
    ) -> None:
        self.options = options
        self._retriever = retriever
        self._clock = clock
        self._changed = threading.Condition()
        self._wanted: str | None = None
        self._searching: frozenset[str] | None = None
        self._found: OrderedDict[frozenset[str], _Found] = OrderedDict()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"passages-{label}", daemon=True)
        self._thread.start()

    @property
    def has_documents(self) -> bool:
        """Whether there is anything to search; documents come and go."""
        return bool(self._retriever.documents())

    def look_ahead(self, question: str) -> None:
        """Search for what the user seems to ask. Does not wait."""
        with self._changed:
            self._wanted = question
            self._changed.notify_all()

    def passages(self, question: str, is_stale: IsStale) -> tuple[Source, ...]:
        """What was found for `question`, searched now where it was not looked ahead for.

        Empty when nothing fits, the search failed, or it took longer than an answer can wait.
        """
        key = same_question(question)
        if not key:
            return ()
        deadline = self._clock() + self.options.timeout_s

        def given_up() -> bool:
            return is_stale() or self._clock() >= deadline

        with self._changed:
            if self._kept(key) is None and self._searching != key:
                self._wanted = question
                self._changed.notify_all()
            while self._is_sought(question, key) and not given_up():
                self._changed.wait(0.01)
            found, is_late = self._kept(key), self._is_sought(question, key)
        if found is not None or not is_late or is_stale():
            return found or ()
        passages = self._looked_ahead(key)
        waited_ms = round(self.options.timeout_s * 1000)
        log.warning("documents: nothing found within %d ms, answering with %d passages", waited_ms, len(passages))
        return passages

    def close(self) -> None:
        """Stop searching; does not wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False when the retriever is stuck."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (question := self._next()) is not None:
            key = same_question(question)
            if key and self._kept(key) is None:
                self._search(question, key, self._is_overtaken)
            with self._changed:
                self._searching = None
                self._changed.notify_all()

    def _next(self) -> str | None:
        """The question to search for now; None at the end."""
        with self._changed:
            while self._wanted is None and not self._closed:
                self._changed.wait()
            if self._closed or self._wanted is None:
                return None
            wanted, self._wanted = self._wanted, None
            self._searching = same_question(wanted)
            return wanted

    def _is_sought(self, question: str, key: frozenset[str]) -> bool:
        """The thread is to search for it, or does, and has found nothing yet."""
        return not self._closed and self._kept(key) is None and (self._wanted == question or self._searching == key)

    def _is_overtaken(self) -> bool:
        return self._closed or self._wanted is not None

    def _search(self, question: str, key: frozenset[str], is_stale: IsStale) -> None:
        try:
            passages = self._retriever.search(question, self.options.limit, is_stale)
        except Exception as error:  # an answer without passages is better than none, and the thread must go on
            expected = isinstance(error, EngineFailed)
            log.warning("documents could not be searched: %s", error, exc_info=None if expected else error)
            return
        if not is_stale():
            with self._changed:
                self._found[key] = _Found(passages, self._clock())
                self._found.move_to_end(key)
                while len(self._found) > MAX_KEPT:
                    self._found.popitem(last=False)

    def _looked_ahead(self, key: frozenset[str]) -> tuple[Source, ...]:
        """The newest passages found for a part of the question."""
        with self._changed:
            return next((found.passages for part, found in reversed(self._found.items()) if part <= key), ())

    def _kept(self, key: frozenset[str]) -> tuple[Source, ...] | None:
        with self._changed:
            found = self._found.get(key)
        if found is None or self._clock() - found.at_s > KEPT_FOR_S:
            return None
        return found.passages
