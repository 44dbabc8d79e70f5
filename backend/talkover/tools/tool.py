"""What a server-side tool is: a function the model may call, run by the server for every session.

A tool knows nothing of sessions. Whatever it returns comes from outside and is data to the model, never an order; its
author decides what of it may be seen, so keys stay in the closure of `run` and never in an argument or a result.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from talkover.config import ConfigError
from talkover.engines import IsStale
from talkover.messages import FunctionTool, Source

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""what OpenAI-compatible endpoints take as the name of a function"""
MAX_OUTPUT_CHARS = 16_000
"""a longer result is cut: it goes into every later prompt of the conversation"""
MAX_RUNNING = 64
"""tools the process runs at the same time, those included that nobody waits for any more"""
CUT_NOTE = " ... (the rest was cut)"


class ToolFailed(Exception):
    """The call did not work; the message is one sentence that the model and the user may hear."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a running tool may know of its call."""

    idempotency_key: str
    """the same for calls that mean the same piece of work, so that an outside service does it once"""
    until_s: float
    """monotonic time at which nobody waits for the result any more"""
    is_stale: IsStale
    """true once the call was cancelled; a tool that works for long asks now and then"""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call brought."""

    output: str
    """for the model: JSON, or plain text"""
    sources: tuple[Source, ...] = ()
    """what the page shows under the answer"""
    signal: str = ""
    """what the session has to do beside telling the result, e.g. `handover`; empty: nothing"""


Run = Callable[[dict[str, Any], ToolContext], ToolResult]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the server. `run` is called from any thread, several times at once; it raises ToolFailed."""

    name: str
    description: str
    parameters: dict[str, Any] = field(hash=False)
    """JSON schema of the arguments, an object"""
    run: Run = field(hash=False)
    read_only: bool = False
    """changes nothing anywhere, so it may run before the user's turn is certain to be over"""
    confirm: str = ""
    """asked aloud before it runs, `{name}` standing for arguments: `Shall I cancel order {order_id}?`; empty: not"""
    timeout_s: float | None = None
    """how long it may take; None: `tools.timeout_s`"""
    asked_by: str = ""
    """see `FunctionTool`"""
    closes: tuple[Callable[[], None], ...] = field(default=(), hash=False, compare=False)
    """called once when the server ends"""

    @property
    def definition(self) -> FunctionTool:
        """What the model gets to see."""
        return FunctionTool(self.name, self.description, self.parameters, self.asked_by)


class Toolbox:
    """All server-side tools by name. Raises ConfigError for names that are twice there or that no endpoint takes."""

    def __init__(self, tools: Sequence[Tool] = ()) -> None:
        self.slots = threading.BoundedSemaphore(MAX_RUNNING)
        self._tools = {tool.name: tool for tool in tools}
        names = [tool.name for tool in tools]
        problems = [f"tools: the name {name!r} is given twice" for name in sorted(set(names)) if names.count(name) > 1]
        problems += [
            f"tools: a name must be 1 to 64 letters, digits, - or _, got {name!r}"
            for name in names
            if NAME.fullmatch(name) is None
        ]
        if problems:
            self.close()
            raise ConfigError(problems)

    def __len__(self) -> int:
        return len(self._tools)

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    @property
    def tools(self) -> tuple[Tool, ...]:
        return tuple(self._tools.values())

    def close(self) -> None:
        for tool in self.tools:
            for close in tool.closes:
                close()


def failure_output(message: str) -> str:
    """What the model is told of a call that did not work."""
    return json.dumps({"error": message}, ensure_ascii=False)


def cut_output(output: str) -> str:
    """At most `MAX_OUTPUT_CHARS` of it."""
    return output if len(output) <= MAX_OUTPUT_CHARS else output[: MAX_OUTPUT_CHARS - len(CUT_NOTE)] + CUT_NOTE
