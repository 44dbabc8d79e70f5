"""What every part of the benchmark is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from talkover.bench.speech import Speech
from talkover.client.server_process import ServerProcess


@dataclass(frozen=True, slots=True)
class Setting:
    """How to measure."""

    speech: Speech
    quick: bool
    """about two minutes in all instead of eighteen"""
    server_arguments: tuple[str, ...]
    """for `talkover serve`"""
    environ: Mapping[str, str]
    """of the server"""
    key: str | None
    """what clients must present"""
    advance: Callable[[str, float], None]
    """show progress: what is being done, and which share of the part is done (0 to 1)"""

    def count(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def start_server(self, *arguments: str) -> ServerProcess:
        """A server of this setting; not ready yet. How late it gets is measured, so nobody is refused for that."""
        open_to_all = ("--set", "server.max_lag_ms=none", "--set", "server.max_sessions=16")
        return ServerProcess((*self.server_arguments, *open_to_all, *arguments), environ=self.environ)
