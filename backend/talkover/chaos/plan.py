"""What is to go wrong, declared: at which engine or in which part of the system, at which call, how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import msgspec

Slot = Literal["vad", "asr", "llm", "tts", "retriever"]
Breakage = Literal["fail", "raise", "out_of_memory", "cuda_out_of_memory", "hang", "stuck", "slow"]
"""fail: EngineFailed; raise: an exception nobody expects; hang: nothing comes, but it gives up when its work is stale;
stuck: it never returns, whatever it is told; slow: each result comes late"""
Garbage = Literal[
    "nan", "infinite", "loud", "silent", "wrong_shape", "endless", "huge", "control_characters", "nonsense"
]
"""results that are none; see `garbage.py`"""
Deed = Breakage | Garbage

POSSIBLE: dict[Slot, tuple[Garbage, ...]] = {
    "vad": ("nan", "nonsense"),
    "asr": ("silent", "huge", "control_characters", "nonsense"),
    "llm": ("silent", "endless", "huge", "control_characters", "nonsense"),
    "tts": ("nan", "infinite", "loud", "silent", "wrong_shape", "endless", "nonsense"),
    "retriever": ("silent",),
}
"""garbage that an engine of a slot can give; every slot can break in every way"""

VICTIM = "This call is the victim of an experiment."
"""in the instructions and the transcription prompt of the victim's session, by which its work is told from others'"""
VICTIM_SPEED = 1.01
"""the victim's speed of speech, for the same reason"""


@dataclass(frozen=True, slots=True)
class EngineFault:
    """An engine that does wrong while the switch is on. Raises ValueError for what its slot cannot do."""

    slot: Slot
    deed: Deed
    at_call: int = 1
    """the first call of the victim's that goes wrong, counted from when the switch is turned on"""
    times: int = 1_000_000
    """calls in a row that go wrong"""
    share: float = 1.0
    """of those calls, drawn by `seed`"""
    after_results: int = 0
    """good results that a call gives before it goes wrong; for calls that stream"""
    pause_s: float = 1.0
    """slow: before each result"""
    session: int | None = None
    """number of the session that is hit, in order of their beginnings; None: the one that says it is the victim. Needed
    for `vad`, which is told nothing of a session, and ignored for `retriever`, where everybody is hit"""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.deed not in (*get_args(Breakage), *POSSIBLE[self.slot]):
            possible = ", ".join((*get_args(Breakage), *POSSIBLE[self.slot]))
            raise ValueError(f"deed of {self.slot} must be one of {possible}, got {self.deed!r}")


SystemDeed = Literal["disk_full", "clock_jump", "no_descriptors"]


@dataclass(frozen=True, slots=True)
class SystemFault:
    """Something of the machine that the server's process lacks while the switch is on."""

    deed: SystemDeed
    clock_jump_s: float = 6 * 3600.0
    """clock_jump: by how much the wall clock steps, forwards or backwards; it stays there"""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """All that goes wrong inside a server."""

    engines: tuple[EngineFault, ...] = ()
    system: SystemFault | None = None

    def encode(self) -> str:
        return msgspec.json.encode(self).decode()


def decode_plan(text: str) -> FaultPlan:
    """Raises ValueError."""
    try:
        return msgspec.json.decode(text, type=FaultPlan)
    except RecursionError as error:
        raise ValueError("a plan of faults is not nested so deeply") from error
