"""A client that lost its socket and may come back: what stops meanwhile, and how the agent goes on. No I/O.

Nothing is heard while the client is away, so nothing is said: what was being spoken is suspended, what was being
thought is due again. Back again, the client is told the conversation, and may say how far it had played what it had;
then the agent goes on with the first word that was not heard.
"""

from __future__ import annotations

from talkover.realtime.actions import OfferResume, Outbox
from talkover.realtime.answers import Answers
from talkover.realtime.conversation import Conversation
from talkover.realtime.extension import Extension
from talkover.realtime.fields import JsonObject
from talkover.realtime.floor import Floor
from talkover.realtime.owed import Owed
from talkover.realtime.user_turns import UserTurns

POSITION_WAIT_S = 1.0
"""for the client's word on what was heard; it may still be playing what it had, which is its lead (0.6 s)"""


class Absence:
    """Of the client of one session."""

    def __init__(
        self,
        conversation: Conversation,
        turns: UserTurns,
        answers: Answers,
        floor: Floor,
        extension: Extension,
        outbox: Outbox,
        owed: Owed | None = None,
    ) -> None:
        """`owed`: of a conversation that was stored; its client is away."""
        self._conversation = conversation
        self._turns = turns
        self._answers = answers
        self._floor = floor
        self._extension = extension
        self._outbox = outbox
        self.owed = owed
        """what another process was saying when it ended"""
        self._goes_on_at_s: float | None = None

    def left(self, now_s: float) -> None:
        """The client's socket is lost."""
        self._goes_on_at_s = None
        self._turns.announce()
        self._floor.client_left(now_s)

    def back(self, session: JsonObject, input_ms: float, now_s: float) -> None:
        """The client has another socket. `session`: as on the wire; `input_ms` of the user's audio have arrived."""
        self._outbox.send({"type": "session.updated", "session": session})
        self._extension.resumed(self._conversation, input_ms)
        self._outbox.act(OfferResume())
        self._floor.client_back()
        if self._waits_for is not None:
            self._floor.is_held = True
            self._goes_on_at_s = now_s + POSITION_WAIT_S

    def told(self, item_id: str, now_s: float) -> None:
        """The client said where it stopped playing an item."""
        if self._goes_on_at_s is not None and item_id == self._waits_for:
            self._goes_on_at_s = now_s

    def watch(self, now_s: float) -> None:
        """Go on when it is time."""
        if self._goes_on_at_s is None or now_s < self._goes_on_at_s:
            return
        self._goes_on_at_s = None
        self._floor.is_held = False
        if self._answers.yielding.suspended is not None:
            self._answers.resume(now_s, None)
        owed, self.owed = self.owed, None
        if owed is not None:
            self._floor.pay(owed, now_s)

    def deadlines_s(self) -> list[float]:
        """When `watch` has something to do."""
        return [] if self._goes_on_at_s is None else [self._goes_on_at_s]

    @property
    def _waits_for(self) -> str | None:
        """The message of which the client knows best how much was heard; None: nothing is to be gone on with."""
        suspended = self._answers.yielding.suspended
        if suspended is not None:
            return suspended.message_id
        return None if self.owed is None else self.owed.item_id
