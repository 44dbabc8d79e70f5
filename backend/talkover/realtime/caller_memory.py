"""Who calls, and what they agreed to have remembered: wishes for the memory, no memory itself. No I/O."""

from __future__ import annotations

from talkover.messages import CallerKnown, FunctionTool
from talkover.realtime.actions import Outbox, UseMemory
from talkover.realtime.conversation import Conversation


class CallerMemory:
    """Of one session; `tools` are offered where it is known who calls."""

    def __init__(
        self, has_memory: bool, tools: tuple[FunctionTool, ...], conversation: Conversation, outbox: Outbox
    ) -> None:
        self._has_memory = has_memory
        self._tools = tools
        self._conversation = conversation
        self._outbox = outbox
        self._caller: str | None = None

    def caller_is(self, caller: str | None) -> bool:
        """The client says who calls. True when that is news, and the tools on offer may have changed."""
        if not self._has_memory or caller == self._caller:
            return False
        self._caller, self._conversation.known = caller, ()
        if caller is not None:
            self._outbox.act(UseMemory(caller))
        return True

    def offered(self, tools: tuple[FunctionTool, ...]) -> tuple[FunctionTool, ...]:
        """`tools` with those of the memory as far as they are of use now."""
        own = tuple(tool for tool in tools if tool not in self._tools)
        return own if self._caller is None else (*own, *self._tools)

    def signalled(self, signal: str) -> None:
        """A tool asked for something: `remember:note` or `forget`; anything else is not for the memory."""
        kind, _, note = signal.partition(":")
        if self._caller is not None and kind in ("remember", "forget"):
            self._outbox.act(UseMemory(self._caller, kind, note))

    def known(self, found: CallerKnown) -> None:
        """What was remembered of a caller."""
        self._conversation.known = found.notes if found.caller == self._caller else ()
