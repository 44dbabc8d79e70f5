"""What turn taking decided, in the words of `s2s.decision`. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from talkover.pipeline.receiver import ReceiverEvent
from talkover.realtime.fields import JsonObject
from talkover.vad.turn_events import (
    InterruptionConfirmed,
    OnsetDropped,
    SpeechEnded,
    SpeechOnset,
    SpeechRetracted,
    SpeechStarted,
)

Taken = Literal["ducked", "went_on", "yielded", "stopped", "turn_ended"]


@dataclass(frozen=True, slots=True)
class TakenDecision:
    """What the agent did."""

    decision: Taken
    reason: str
    at_ms: float
    """on the clock of the user's audio"""
    details: JsonObject = field(default_factory=dict[str, object])


def taken(event: ReceiverEvent, is_audible: bool, may_interrupt: bool) -> TakenDecision | None:
    """What `event` makes the agent do; None when nobody could hear a difference."""
    over_agent = is_audible and may_interrupt
    match event:
        case SpeechOnset() if over_agent and event.is_near:
            return TakenDecision("ducked", "voice", event.at_ms)
        case OnsetDropped() if over_agent:
            return TakenDecision("went_on", event.reason, event.at_ms)
        case SpeechStarted() if over_agent:
            since_ms = round(event.at_ms - event.start_ms)
            decision: Taken = "stopped" if event.is_certain else "yielded"
            return TakenDecision(decision, event.reason, event.at_ms, {"after_ms": since_ms})
        case InterruptionConfirmed():
            return TakenDecision("stopped", event.reason, event.at_ms)
        case SpeechRetracted():
            return TakenDecision("went_on", event.reason, event.at_ms)
        case SpeechEnded():
            waited = {
                "after_ms": round(event.end_ms - event.voiced_end_ms),
                "finished": round(event.finished, 2),
            }
            return TakenDecision("turn_ended", event.reason, event.end_ms, waited)
        case _:
            return None
