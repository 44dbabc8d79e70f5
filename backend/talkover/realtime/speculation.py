"""An answer prepared before the turn is certain to be over: recognition, LLM and first audio, held by the sender.

It is used only when the conversation the LLM would get to see is exactly the one it was prepared for, so it can never
be an answer to something else. What it calls for on the client's side is held like its audio: nothing happens before
the turn is over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from talkover.messages import Prompt, PromptMessage
from talkover.pipeline.cancel import Generations
from talkover.realtime.actions import Commit, NextId, Outbox, Respond, Speculated
from talkover.realtime.conversation import Conversation
from talkover.realtime.settings import ResponsePlan

MAX_TRIES = 3
"""answers prepared for one turn, each of which costs an LLM its prompt"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An answer in the making that nobody has been told of."""

    response_id: str
    generation: int
    plan: ResponsePlan
    prompt: Prompt


class Speculation:
    """At most one prepared answer, on the main lane while it is free."""

    def __init__(self, conversation: Conversation, outbox: Outbox, main: Generations, next_id: NextId) -> None:
        self._conversation = conversation
        self._outbox = outbox
        self._main = main
        self._next_id = next_id
        self._prepared: Prepared | None = None

    def prepare(self, plan: ResponsePlan, message: PromptMessage) -> None:
        """Make an answer to the conversation with `message` as its next."""
        self.discard()
        prompt = self._conversation.prompt(plan, message)
        prepared = self._prepared = Prepared(self._next_id("resp_"), self._main.next(), plan, prompt)
        request = plan.request(prepared.generation, prepared.response_id, prompt)
        self._outbox.act(Respond("main", replace(request, ahead=True)))
        self._outbox.act(Speculated("begun"))

    def use(self, plan: ResponsePlan) -> Prepared | None:
        """Let out what was prepared, if it answers the conversation as it is now; else it is discarded."""
        prepared = self._prepared
        if prepared is None:
            return None
        if prepared.plan != plan or prepared.prompt != self._conversation.prompt(plan):
            self.discard()
            return None
        self._prepared = None
        self._outbox.act(Commit(prepared.generation))
        self._outbox.act(Speculated("used"))
        return prepared

    def discard(self) -> None:
        """The user went on, or the conversation took another way."""
        if self._prepared is not None:
            self._prepared = None
            self._main.next()
            self._outbox.act(Speculated("discarded"))

    def is_making(self, response_id: str) -> bool:
        """Whether this is the prepared answer."""
        return self._prepared is not None and self._prepared.response_id == response_id

    def refused(self, response_id: str) -> bool:
        """The pipeline did not take it; True when it was the prepared one."""
        if self._prepared is None or self._prepared.response_id != response_id:
            return False
        self.discard()
        return True
