"""What came of a scenario, and whether that is good enough. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

NOTHING_HEARD = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the victim got for a question that a fault met."""

    said: str = NOTHING_HEARD
    """transcript of what was spoken; empty: nothing"""
    told: str = ""
    """what was shown instead or beside: why the response failed, an error event, why the connection was closed"""
    silence_s: float | None = None
    """from the end of the question to the first sound, or to what was shown; None: neither came"""
    is_spoken: bool = False
    """the first was a sound"""


@dataclass(frozen=True, slots=True)
class Witness:
    """Another caller, before, while and after. Times from the end of a question to the first sound; None: no answer."""

    before_ms: tuple[float | None, ...] = ()
    during_ms: tuple[float | None, ...] = ()
    after_ms: tuple[float | None, ...] = ()
    failure: str = ""
    """why its conversation came to an end; empty: it did not"""

    @property
    def usual_ms(self) -> float | None:
        return _median(self.before_ms)

    @property
    def worst_ms(self) -> float | None:
        """The median while the fault lasted; one late answer among many is no disturbance."""
        return _median(self.during_ms)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one scenario."""

    heard: Heard = Heard()
    log_line: str = ""
    """the first warning or error of the server's log; empty: none"""
    listens_after_ms: float | None = None
    """from what the user heard or saw to when the session, or a new one, heard them again; None: it did not"""
    reconnected: bool = False
    """that was in a new session"""
    witness: Witness = Witness()
    server_died: str = ""
    """how its process ended; empty: it lives"""
    note: str = ""
    """what else was seen"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is good enough."""

    silence_s: float = 12.0
    """longest wait for something to hear or to see"""
    must_reply: bool = True
    """the user is owed a reply: it was not the client itself that did wrong"""
    may_end: bool = False
    """the victim's session may be over, when a new one can be had"""
    witness_ms: float = 500.0
    """by how much later than before the witness may be answered"""


def violations(outcome: Outcome, limits: Limits) -> list[str]:
    """What was not good enough, in words; empty: nothing."""
    found: list[str] = []
    if outcome.server_died:
        found.append(f"the server's process ended: {outcome.server_died}")
    heard = outcome.heard
    if limits.must_reply and heard.silence_s is None:
        found.append("nothing was heard and nothing shown")
    elif limits.must_reply and heard.silence_s is not None and heard.silence_s > limits.silence_s:
        found.append(f"{heard.silence_s:.1f} s of silence, more than {limits.silence_s:g} s")
    if outcome.listens_after_ms is None:
        found.append("it did not listen again")
    elif outcome.reconnected and not limits.may_end:
        found.append("the session was lost")
    return found + _witness_violations(outcome.witness, limits)


def _witness_violations(witness: Witness, limits: Limits) -> list[str]:
    if witness.failure:
        return [f"the witness was cut off: {witness.failure}"]
    answers = (*witness.before_ms, *witness.during_ms, *witness.after_ms)
    missing = sum(answer is None for answer in answers)
    if missing:
        return [f"the witness got no answer to {missing} of {len(answers)} questions"]
    usual_ms, worst_ms = witness.usual_ms, witness.worst_ms
    if usual_ms is None or worst_ms is None:
        return ["the witness asked nothing meanwhile"]
    if worst_ms > usual_ms + limits.witness_ms:
        return [f"the witness was answered after {worst_ms:.0f} ms instead of {usual_ms:.0f} ms"]
    return []


def _median(times_ms: tuple[float | None, ...]) -> float | None:
    known = [time_ms for time_ms in times_ms if time_ms is not None]
    return median(known) if known else None
