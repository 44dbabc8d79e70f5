"""What turn taking decides, as events; all times in milliseconds on the audio clock.

An utterance while the agent is silent:

    SpeechOnset (OnsetDropped | SpeechStarted (LikelyEnd SpeechResumed)* LikelyEnd SpeechEnded)

Over the agent the words are needed for the decision, so that a LikelyEnd may come before SpeechStarted, and a start
that is not certain is followed by InterruptionConfirmed, or by SpeechRetracted, which ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from talkover.vad.interruption import Reason


@dataclass(frozen=True, slots=True)
class SpeechOnset:
    """Possible speech: duck the agent if it is audible and the voice is near."""

    at_ms: float
    start_ms: float
    """where its first voiced frame begins"""
    is_near: bool = True
    """as loud as the user; else it is listened to without the agent showing it"""


@dataclass(frozen=True, slots=True)
class OnsetDropped:
    """It was nothing, or not meant for the agent."""

    at_ms: float
    reason: Reason = "silence"


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """It is speech; over the agent: the agent gives way."""

    start_ms: float
    """where its first voiced frame begins"""
    at_ms: float
    is_certain: bool = True
    """False: the agent falls silent, but the words may still let it go on"""
    reason: Reason = "voice"


@dataclass(frozen=True, slots=True)
class InterruptionConfirmed:
    """The start that was not certain is one: what the agent was saying is over."""

    at_ms: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class SpeechRetracted:
    """The start that was not certain was none: there is no turn, the agent goes on from where it stopped."""

    at_ms: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class LikelyEnd:
    """The turn may be over: finalise recognition up to `end_ms` and prepare the answer."""

    end_ms: float
    revision: int
    """0 for the first of an utterance, one more for each time the user went on"""


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The user went on after a LikelyEnd: what was prepared is stale, what follows has this revision."""

    at_ms: float
    revision: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The turn is over; its LikelyEnd had the same revision."""

    end_ms: float
    voiced_end_ms: float
    """where the last voiced frame ends"""
    revision: int
    reason: Literal["silence", "too_long"]
    finished: float = 0.5
    """how finished it seemed, 0 to 1"""
    waited_for_ms: float = 0.0
    """the silence that was required"""
    is_distant: bool = False
    """so much quieter than the user that it may have been somebody else"""


TurnEvent = (
    SpeechOnset
    | OnsetDropped
    | SpeechStarted
    | InterruptionConfirmed
    | SpeechRetracted
    | LikelyEnd
    | SpeechResumed
    | SpeechEnded
)
