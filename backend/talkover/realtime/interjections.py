"""Phrases made ahead on the lane aside, and what is known of those that were said outside the conversation. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from talkover.messages import Output, Prompt, ResponseEnd, StageFailed, WireAudio
from talkover.pipeline.cancel import Generations
from talkover.pipeline.ledger import HeardLedger, Playback
from talkover.realtime.actions import NextId, Outbox, Respond
from talkover.realtime.settings import ResponsePlan

MAX_PIECES = 128
"""of one phrase, 5 s at the least; more means that the engine does not stop"""
MAX_REMEMBERED = 32


class Interjections:
    """At most one phrase in the making. It is used whole, so that it can never overlap or be cut by an answer."""

    def __init__(self, outbox: Outbox, aside: Generations, next_id: NextId) -> None:
        self._outbox = outbox
        self._aside = aside
        self._next_id = next_id
        self._source_id = ""
        """under which the lane makes it; empty: none"""
        self._pieces: list[WireAudio] = []
        self._is_made = False
        self.lost = False
        """what was prepared cannot be said; until the next `prepare`"""

    def prepare(self, plan: ResponsePlan, text: str) -> None:
        """Have `text` synthesised as `plan` speaks. The lane must be free."""
        self.drop()
        self.lost = False
        self._source_id = self._next_id("resp_")
        request = plan.request(self._aside.next(), self._source_id, Prompt("", ()))
        self._outbox.act(Respond("aside", replace(request, paced=False, say=text)))

    @property
    def is_ready(self) -> bool:
        return self._is_made

    @property
    def is_making(self) -> bool:
        return bool(self._source_id) and not self._is_made

    def take(self, message: Output) -> bool:
        """A result of the pipeline; False when it is not about the phrase."""
        if not self._source_id or message.response_id != self._source_id:
            return False
        match message:
            case WireAudio() if len(self._pieces) < MAX_PIECES:
                self._pieces.append(message)
            case ResponseEnd(status="completed") if self._pieces:
                self._is_made = True
            case WireAudio() | ResponseEnd() | StageFailed():
                self.drop()
                self.lost = True
            case _:
                pass
        return True

    def refused(self, response_id: str) -> bool:
        """The pipeline did not take it; True when it was the phrase."""
        if response_id != self._source_id:
            return False
        self.drop()
        self.lost = True
        return True

    def give_way(self) -> None:
        """The lane is needed: what is still being made is lost."""
        if self.is_making:
            self._source_id, self._pieces = "", []
            self.lost = True

    def use(self) -> Sequence[WireAudio]:
        """The phrase; empty when it is not made yet."""
        if not self._is_made:
            return ()
        pieces, self._pieces = self._pieces, []
        self._source_id, self._is_made = "", False
        return pieces

    def drop(self) -> None:
        """It is not needed."""
        if self.is_making:
            self._aside.next()
        self._source_id, self._is_made = "", False
        self._pieces = []


class SaidAside:
    """What was spoken outside the conversation: how much of it was heard. Bounded: the oldest is forgotten first.

    It is kept from the playback of the conversation, since it must neither be ducked nor interrupted.
    """

    def __init__(self) -> None:
        self.playback = Playback()
        self._ledgers: dict[str, HeardLedger] = {}

    def add(self, item_id: str, ledger: HeardLedger, now_s: float) -> None:
        self._ledgers[item_id] = ledger
        self.playback.sent(item_id, ledger.audio_ms, now_s)
        while len(self._ledgers) > MAX_REMEMBERED:
            del self._ledgers[next(iter(self._ledgers))]

    def get(self, item_id: str) -> HeardLedger | None:
        return self._ledgers.get(item_id)

    def heard_text(self, item_id: str, now_s: float) -> str:
        """What of it has sounded by now; "" for an item that is not known."""
        ledger = self._ledgers.get(item_id)
        return "" if ledger is None else ledger.heard_text(self.playback.played_ms(item_id, now_s))
