"""How many conversations a machine carries, from what its engines take for a second of audio. Pure.

The bound is a utilisation: with a core busy for the share r of the time, work waits about r / (1 - r) times as long as
it takes (M/M/1), so that latencies double at a half and run away towards one. `talkover bench --only overload` found
p95 doubled at 0.7 (1514 ms with four conversations on a core, 724 with two), and hardly changed at 0.45 (715 with two,
698 with one).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

UTILISATION = 0.45
SPEECH_SHARE = 0.45
"""of a conversation in which the user speaks, and that in which the agent does"""
SHELL_FACTOR = 2.4
"""a session takes so much more than its core: socket, threads and their switching. Measured: 53 ms for a second of
listening, of which the core takes 22"""
REPEATED_FACTOR = 2.0
"""speech is decoded more than once: with its pre-roll and tail, and again when the user goes on behind a likely end"""
MAX_SESSIONS = 1000


@dataclass(frozen=True, slots=True)
class EngineCost:
    """What an engine takes for a second of audio."""

    name: str
    cpu_s: float
    """of all cores"""
    slot_s: float
    """for which it serves nobody else"""
    slots: int
    """how many it serves side by side"""
    in_process: bool = True
    """it shares the interpreter with everything else; else it works in processes of its own"""


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one machine; engines that work elsewhere are None."""

    listening_s: float
    """of a core for a second of a session in which nobody speaks: decoding, voice activity, turn taking"""
    asr: EngineCost | None
    tts: EngineCost | None


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many conversations are carried."""

    sessions: int
    """at least 1, at most 1000"""
    limits: Mapping[str, float]
    """what each part would carry on its own, the tightest first"""

    def __str__(self) -> str:
        limits = ", ".join(f"{name} {carried:.1f}" for name, carried in self.limits.items())
        return f"carries {self.sessions} conversation{'' if self.sessions == 1 else 's'}: {limits}"


def capacity(costs: Costs, cores: int) -> Capacity:
    """The least of what the cores, the interpreter and each engine carry."""
    session_s = costs.listening_s * SHELL_FACTOR
    engines = {
        engine: SPEECH_SHARE * factor
        for engine, factor in ((costs.asr, REPEATED_FACTOR), (costs.tts, 1.0))
        if engine is not None
    }
    all_s = session_s + sum(engine.cpu_s * share for engine, share in engines.items())
    own_s = session_s + sum(engine.cpu_s * share for engine, share in engines.items() if engine.in_process)
    limits = {
        f"{cores} core{'' if cores == 1 else 's'}": UTILISATION * cores / all_s,
        # one interpreter lets one thread at a time run Python, however many cores there are
        "interpreter": UTILISATION / own_s,
        **{
            f"{engine.name} x {engine.slots}": UTILISATION * engine.slots / (engine.slot_s * share)
            for engine, share in engines.items()
            if engine.slot_s > 0
        },
    }
    in_order = dict(sorted(limits.items(), key=lambda limit: limit[1]))
    return Capacity(min(MAX_SESSIONS, max(1, math.floor(next(iter(in_order.values()))))), in_order)
