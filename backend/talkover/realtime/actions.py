"""What the protocol core wants done: plain data, carried out by the shell around it (`session_thread.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from talkover.messages import (
    Prompt,
    ResponseRequest,
    SpeechDropped,
    SpeechSegment,
    TurnQuestion,
    VoiceQuestion,
    Word,
)
from talkover.metrics import TurnMetrics
from talkover.realtime.fields import JsonObject
from talkover.realtime.ids import NextId
from talkover.tools.tool import Tool

LaneName = Literal["main", "aside"]
"""`main` speaks for the conversation, `aside` makes out-of-band responses"""


LeftReason = Literal["empty", "aside", "for_tools", "not_wanted", "committed_by_client", "cancelled"]
"""nothing was understood; it was not meant for the agent; the tools speak about it; the session does not answer turns;
the client asks for responses itself; the client cancelled the answer before it began"""


@dataclass(frozen=True, slots=True)
class Send:
    """Send one server event."""

    event: JsonObject


@dataclass(frozen=True, slots=True)
class Recognize:
    """Hand speech to the recognizer."""

    item: SpeechSegment | SpeechDropped


@dataclass(frozen=True, slots=True)
class LookUp:
    """Search the documents for what the user seems to ask, so that it is found when the answer is due."""

    question: str


@dataclass(frozen=True, slots=True)
class UseMemory:
    """Read what is remembered of a caller and report a `CallerKnown`, after the change that is asked for."""

    caller: str
    change: Literal["none", "remember", "forget"] = "none"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Summarize:
    """Have a model summarise the older part of the conversation, and report a `SummaryMade`."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a server-side tool and report a `ToolFinished`."""

    run_id: int
    tool: Tool
    arguments: dict[str, Any]
    idempotency_key: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class StopTool:
    """Nobody waits for its result any more."""

    run_id: int


@dataclass(frozen=True, slots=True)
class AskTurnModel:
    """Ask the turn model, where there is one; nothing waits for the answer."""

    question: TurnQuestion


@dataclass(frozen=True, slots=True)
class AskSpeakerModel:
    """Ask the speaker model, where there is one; nothing waits for the answer."""

    question: VoiceQuestion


@dataclass(frozen=True, slots=True)
class Respond:
    """Start a response on a lane."""

    lane: LaneName
    request: ResponseRequest


@dataclass(frozen=True, slots=True)
class Hold:
    """Stop the flow of the main lane's audio, or let it go on at the exact sample."""

    on: bool
    sent_again_ms: float = 0.0
    """with `on` false: audio the client has to play first, having thrown away what it had"""


@dataclass(frozen=True, slots=True)
class ReplaceLane:
    """The lane's engine hangs: leave its threads to end by themselves and start new ones."""

    lane: LaneName


@dataclass(frozen=True, slots=True)
class ReplaceRecognizer:
    """The ASR hangs: leave its thread to end by itself and start a new one."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class OfferResume:
    """Send the client a token to come back with, should it lose its socket; the core never knows it."""


@dataclass(frozen=True, slots=True)
class ResponseFinished:
    """For metrics, traces and the log line of the turn."""

    turn: TurnMetrics


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """For metrics: a user turn was understood, empty, or failed."""

    status: Literal["completed", "empty", "failed"]


@dataclass(frozen=True, slots=True)
class TurnLeft:
    """For metrics: a user turn gets no answer of its own, and why."""

    item_id: str
    reason: LeftReason


@dataclass(frozen=True, slots=True)
class BargedIn:
    """For metrics: the user talked over the agent."""


@dataclass(frozen=True, slots=True)
class WentOn:
    """For metrics: the agent stopped for what was no interruption, and went on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Speculated:
    """For metrics: an answer was prepared before the turn was certain to be over, and whether it was used."""

    outcome: Literal["begun", "used", "discarded"]


@dataclass(frozen=True, slots=True)
class Interjected:
    """For metrics: the agent said something that is no answer."""

    kind: str


@dataclass(frozen=True, slots=True)
class Commit:
    """The response made ahead on the main lane may be sent."""

    generation: int


@dataclass(frozen=True, slots=True)
class StaleDropped:
    """For metrics: a message of an older generation was thrown away."""


@dataclass(frozen=True, slots=True)
class AudioHeard:
    """For metrics: so much more audio of the user was listened to."""

    duration_ms: float


@dataclass(frozen=True, slots=True)
class StageError:
    """For metrics: a stage failed."""

    stage: str


@dataclass(frozen=True, slots=True)
class Heard:
    """For those who look on: the user heard no more than this of a message."""

    item_id: str
    heard_chars: int
    played_ms: float


@dataclass(frozen=True, slots=True)
class Voiced:
    """For those who look on: when words of a message sound, counted from its first sample."""

    item_id: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """For those who look on: whether the call may be recorded from now on."""

    on: bool
    erase: bool = False
    """the user refused: what has been recorded is deleted"""


Shown = Heard | Voiced | Record
"""what only observers are told of"""

Counted = (
    ResponseFinished
    | TurnFinished
    | TurnLeft
    | BargedIn
    | WentOn
    | Speculated
    | Interjected
    | AudioHeard
    | StaleDropped
    | StageError
)
"""what only the metrics and the log are told of"""

Action = (
    Send
    | Recognize
    | LookUp
    | Summarize
    | UseMemory
    | RunTool
    | StopTool
    | AskTurnModel
    | AskSpeakerModel
    | Respond
    | Hold
    | ReplaceLane
    | ReplaceRecognizer
    | Close
    | Commit
    | OfferResume
    | Shown
    | Counted
)


class Outbox:
    """Collects actions in order; events get their id here."""

    def __init__(self, next_id: NextId) -> None:
        self.next_id = next_id
        self._actions: list[Action] = []

    def send(self, event: JsonObject) -> None:
        self._actions.append(Send({"type": event["type"], "event_id": self.next_id("event_"), **event}))

    def act(self, action: Action) -> None:
        self._actions.append(action)

    def take(self) -> list[Action]:
        """What has been collected since the last call."""
        actions, self._actions = self._actions, []
        return actions
