"""What the server decides for every session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from talkover.memory.store import MemoryStore
from talkover.messages import FunctionTool
from talkover.pipeline.passages import PassageOptions
from talkover.realtime.behaviour import Manners
from talkover.realtime.fields import JsonObject
from talkover.realtime.settings import SessionSettings
from talkover.realtime.snapshot import Snapshot
from talkover.realtime.tool_runs import ToolLimits
from talkover.tools.tool import Toolbox
from talkover.vad.echo import EchoCanceller
from talkover.vad.endpointing import TurnOptions


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The part of the configuration that a session goes by."""

    model: str
    expires_at: int
    """seconds since the epoch, as told to the client"""
    lifetime_s: float
    settings: SessionSettings
    """before the client says anything"""
    vad_options: TurnOptions
    """thresholds the protocol has no field for"""
    pre_roll_ms: int
    asr_timeout_s: float
    response_timeout_s: float
    """without any progress of the pipeline for so long a response has failed"""
    resolve_voice: Callable[[str], str | None]
    info: JsonObject
    """told to clients of the extension"""
    passages: PassageOptions = PassageOptions()
    """how documents take part in answers"""
    toolbox: Toolbox = field(default_factory=Toolbox)
    """what the server runs for the model"""
    tool_limits: ToolLimits = ToolLimits()
    history_tokens: int | None = None
    """of the conversation in a prompt; what is older is summarised; None: prompts hold all there is"""
    memory: MemoryStore | None = None
    """remembers callers who consent; None: nobody"""
    memory_tools: tuple[FunctionTool, ...] = ()
    """offered where it is known who calls"""
    recording: str | None = None
    """calls are recorded, and this is what a user is told of it first; empty: nothing; None: they are not"""
    greeting: str = ""
    """what the agent opens a conversation with; empty: it waits"""
    echo_canceller: Callable[[], EchoCanceller] | None = None
    """makes one for a session; None: clients have to cancel their echo themselves"""
    turn_model: Literal["hears", "reads"] | None = None
    """what the turn model judges by; None: there is none"""
    knows_voices: bool = False
    """there is a speaker model"""
    begins_with: SessionSettings | None = None
    """what the client secret of this session says; None: it begins with `settings`"""
    manners: Manners = Manners()
    """what the agent does while it has no answer to give"""
    id_seed: str = ""
    """what the ids of a session's objects are derived from; empty: they are random"""
    kept: Snapshot | None = None
    """the conversation that goes on; None: a new one"""
