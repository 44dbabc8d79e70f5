"""Who looks on while a session works: logs, traces, recordings. They change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from talkover.realtime.actions import Action
from talkover.realtime.session import Happened
from talkover.realtime.session_options import SessionOptions


class SessionObserver(Protocol):
    """Called from the session's thread, in order; must not block and must not raise."""

    def happened(self, what: Happened, now_s: float) -> None:
        """What the core is about to be told, at a monotonic time."""
        ...

    def decided(self, actions: Sequence[Action], now_s: float) -> None:
        """What the core wants done about it, before it is."""
        ...

    def closed(self) -> None:
        """The session is over."""
        ...


@runtime_checkable
class InnerObserver(Protocol):
    """One that is also told what the core's own deciders were asked and said: the lines of `vad/decision_log.py`."""

    def decided_within(self, line: bytes) -> None:
        """Between `happened` and `decided`; some lines come while the session is made."""
        ...


MakeObserver = Callable[[str, SessionOptions], SessionObserver]
"""(session id, its options) -> one for that session. Raises OSError when it cannot write where it should."""
