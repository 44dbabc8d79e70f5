"""Softer, paused or silent while it is undecided whether the user interrupts, and for how long. No I/O.

*Ducked*: softer, of a sound that may be speech. *Paused*: our page holds its playback at a sample and plays on from
there. *Suspended*: a client that cannot pause was told to stop, and what it has not played may be said again. Each ends
by itself when no audio comes any more that would decide it.
"""

from __future__ import annotations

import math

from talkover.messages import Output
from talkover.pipeline.cancel import Generations
from talkover.realtime.actions import BargedIn, Hold, Outbox, WentOn
from talkover.realtime.extension import Extension
from talkover.realtime.resumption import MAX_LATER, Suspended
from talkover.realtime.spoken import Spoken

MAX_DUCKED_S = 2.0
"""a sound is decided on within 1.5 s of audio: later than this no audio comes any more, and the agent goes on"""

MAX_SUSPENDED_S = 10.0
"""a stop is judged within two seconds of audio: later than this no audio comes any more"""


class Yielding:
    """Of the agent's main voice; at most one of paused and suspended."""

    def __init__(self, spoken: Spoken, outbox: Outbox, extension: Extension, main: Generations) -> None:
        self._spoken = spoken
        self._outbox = outbox
        self._extension = extension
        self._main = main
        self._ducked_since_s: float | None = None
        self._paused_until_s: float | None = None
        self.suspended: Suspended | None = None

    @property
    def is_undecided(self) -> bool:
        """Silent until it is known whether the user interrupted."""
        return self.suspended is not None or self.is_paused

    # ----------------------------------------------------------------------------------------------------- duck

    def duck(self, now_s: float) -> None:
        """Soften the agent while it is undecided whether a sound is an interruption; only our page can.

        Holding the audio back instead would be heard only when the client's lead has run out, which is later than
        the decision, and then as a hole in the agent's speech.
        """
        if self._ducked_since_s is None:
            self._ducked_since_s = now_s
            if self._extension.wants("playback"):
                self._extension.gain(True)

    def go_on(self) -> None:
        """The sound is decided on: speak as before."""
        if self._ducked_since_s is not None:
            self._ducked_since_s = None
            if self._extension.wants("playback"):
                self._extension.gain(False)

    # ---------------------------------------------------------------------------------------------------- pause

    def pause(self, now_s: float) -> bool:
        """Fall silent at the sample, to `unpause` or `end_pause`; only our page can. False when it cannot be done.

        The response stays active and nothing is sent again, which is why a client that can do it is better off than
        with `suspend`. The reference of an echo canceller could not follow.
        """
        can_pause = self._extension.wants("pause") and self._spoken.far_end is None
        if not can_pause or not self._spoken.is_audible(now_s):
            return False
        self.give_up()
        self._spoken.playback.pause(now_s)
        self._paused_until_s = now_s + MAX_SUSPENDED_S
        self._outbox.act(Hold(True))
        self._extension.pause()
        return True

    @property
    def is_paused(self) -> bool:
        return self._paused_until_s is not None

    def unpause(self, now_s: float, reason: str) -> None:
        """It was no interruption: play on from the sample where the user stopped hearing."""
        if self._paused_until_s is None:
            return
        self._paused_until_s = None
        self._ducked_since_s = None
        playback = self._spoken.playback
        playback.resume(now_s)
        self._extension.resume()
        self._outbox.act(Hold(False, max(0.0, playback.ends_s() - now_s) * 1000))
        self._outbox.act(WentOn(reason))

    def end_pause(self) -> None:
        """It was an interruption."""
        if self._paused_until_s is not None:
            self._paused_until_s = None
            self._outbox.act(Hold(False))

    # -------------------------------------------------------------------------------------------------- suspend

    def suspend(self, suspended: Suspended) -> None:
        """The agent has fallen silent, and may go on until `give_up`."""
        self._outbox.act(Hold(True))
        self.suspended = suspended

    def keep(self) -> None:
        """What is suspended may go on whenever the client is back."""
        if self.suspended is not None:
            self.suspended.deadline_s = math.inf

    def keeps(self, message: Output) -> bool:
        """Whether this is what the pipeline still made of what is suspended; it is kept then."""
        suspended = self.suspended
        if suspended is None or suspended.response.source_id != message.response_id:
            return False
        suspended.later.append(message)
        if len(suspended.later) > MAX_LATER:
            self.give_up()
        return True

    def stopped_at(self, item_id: str, played_ms: float) -> None:
        """The client knows better where it stopped."""
        if self.suspended is not None and self.suspended.message_id == item_id:
            self.suspended.played_ms = played_ms

    def take(self) -> Suspended | None:
        """It was no interruption: what is suspended goes on."""
        suspended, self.suspended = self.suspended, None
        return suspended

    def give_up(self) -> None:
        """What is suspended will not go on: it was an interruption."""
        if self.take() is not None:
            self._main.next()
            self._outbox.act(Hold(False))
            self._outbox.act(BargedIn())

    # ----------------------------------------------------------------------------------------------------- time

    def watch(self, now_s: float) -> None:
        """End what has lasted too long."""
        if self._ducked_since_s is not None and now_s >= self._ducked_since_s + MAX_DUCKED_S:
            self.go_on()
        if self.suspended is not None and now_s >= self.suspended.deadline_s:
            self.give_up()
        if self._paused_until_s is not None and now_s >= self._paused_until_s:
            self.unpause(now_s, "silence")

    def deadlines_s(self) -> list[float]:
        """When `watch` has something to do."""
        ducked_until_s = None if self._ducked_since_s is None else self._ducked_since_s + MAX_DUCKED_S
        suspended_until_s = None if self.suspended is None else self.suspended.deadline_s
        deadlines = (ducked_until_s, suspended_until_s, self._paused_until_s)
        return [deadline_s for deadline_s in deadlines if deadline_s is not None]
