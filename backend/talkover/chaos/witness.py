"""The caller whose conversation nothing may happen to: asks one question after the other and notes the waits."""

from __future__ import annotations

import threading
import time

from talkover.bench.caller import Caller
from talkover.chaos.verdict import Witness
from talkover.client.connection import ConversationEnded, ServerUnreachable
from talkover.client.recordings import Recording

QUESTIONS_BEFORE = 2
MIN_QUESTIONS_DURING = 2


class WitnessCall:
    """One conversation, from `with` on."""

    def __init__(self, url: str, key: str | None, question: Recording) -> None:
        """Raises ServerUnreachable."""
        self._question = question
        self._caller = Caller(url, key=key, seed=3)
        self._before_ms: list[float | None] = []
        self._during_ms: list[float | None] = []
        self._after_ms: list[float | None] = []
        self._failure = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="witness", daemon=True)

    def __enter__(self) -> WitnessCall:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._caller.close()

    def ask_before(self) -> None:
        for _ in range(QUESTIONS_BEFORE):
            self._ask(self._before_ms)

    def start(self) -> None:
        """Ask on and on, until `finish`."""
        self._thread.start()

    def finish(self) -> Witness:
        """Ask once more when all is over."""
        self._stopped.set()
        self._thread.join()
        self._ask(self._after_ms)
        return Witness(tuple(self._before_ms), tuple(self._during_ms), tuple(self._after_ms), self._failure)

    def _go_on(self) -> None:
        while not self._failure and not (self._stopped.is_set() and len(self._during_ms) >= MIN_QUESTIONS_DURING):
            self._ask(self._during_ms)

    def _ask(self, times_ms: list[float | None]) -> None:
        if self._failure:
            return
        try:
            times_ms.append(self._caller.ask(self._question).voice_to_voice_ms)
        except (ConversationEnded, ServerUnreachable, TimeoutError) as error:
            self._failure = str(error)
        time.sleep(0.1)
