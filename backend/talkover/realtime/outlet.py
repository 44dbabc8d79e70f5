"""Where a session's frames go: to the socket its client has, or nowhere while it has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Outlet(Protocol):
    """Called from the session's thread; must not block."""

    def send(self, frames: list[str]) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client needs to come back after it has lost its socket."""

    token: str
    expires_in_s: float
    """after the loss"""


class Away(Outlet, Protocol):
    """Takes the frames while nobody is attached, and gives out the tokens to come back with."""

    def offer(self) -> Offer | None: ...


@dataclass(frozen=True, slots=True)
class Attach:
    """The client is here, on another socket."""

    outlet: Outlet


@dataclass(frozen=True, slots=True)
class Detach:
    """This socket of the client is lost."""

    outlet: Outlet
