"""Carries the listening behaviour out: reads a session's state as facts, and says what `Behaviour` decides. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from talkover.metrics import Timeline
from talkover.pipeline.receiver import Receiver
from talkover.realtime.actions import Interjected, Outbox
from talkover.realtime.answers import Answers
from talkover.realtime.behaviour import (
    Behaviour,
    Drop,
    Facts,
    HangUp,
    Manners,
    Prepare,
    Say,
    SayPrepared,
    Speaking,
    Waiting,
)
from talkover.realtime.extension import Extension
from talkover.realtime.phrases import METADATA_KEY, Kind, phrases
from talkover.realtime.settings import ResponsePlan
from talkover.realtime.user_turns import UserTurn, UserTurns
from talkover.tts.language import language_of
from talkover.vad.lexical import looks_finished

STILL_LISTENING_S = 2.0
"""without audio for longer nobody is listened to: a muted or closed microphone, or a client that only types"""


class Listening:
    """What the agent does while it has no answer to give."""

    def __init__(
        self,
        manners: Manners,
        answers: Answers,
        turns: UserTurns,
        receiver: Receiver,
        extension: Extension,
        outbox: Outbox,
        plan: Callable[[], ResponsePlan],
    ) -> None:
        """`plan` tells how the agent speaks now."""
        self._behaviour = Behaviour(manners)
        self._answers = answers
        self._turns = turns
        self._receiver = receiver
        self._extension = extension
        self._outbox = outbox
        self._plan = plan
        self.language = "en"
        """base language of what the user said last"""
        self._heard_ms = 0.0
        self._heard_at_s = -math.inf
        self.due_s = math.inf
        """when `watch` has something to do though nothing happens"""

    def configure(self, manners: Manners) -> None:
        """Behave so from here on."""
        self._behaviour.manners = manners

    def user_was_active(self) -> None:
        """The user spoke or wrote: they are there."""
        self._behaviour.user_was_active()

    def heard(self, text: str, language: str | None) -> None:
        """What the user said last; `language` is a BCP 47 tag, None where nobody knows."""
        if text:
            self.language = language_of(text, language)

    def watch(self, answering: UserTurn | None, quiet_from_s: float | None, now_s: float) -> bool:
        """Say what is due. `answering` is the turn that is answered, `quiet_from_s` when nobody spoke and nothing was
        due. True when the agent hangs up."""
        if self._answers.interjections.lost:
            self._behaviour.forget_prepared(now_s)
        facts = self._facts(answering, quiet_from_s, now_s)
        decisions = self._behaviour.decide(facts, now_s)
        for decision in decisions:
            match decision:
                case Prepare(_, text):
                    self._answers.interjections.prepare(self._plan(), text)
                case Drop():
                    self._answers.interjections.drop()
                case SayPrepared(kind, text):
                    self._say_prepared(kind, text, now_s)
                case Say(kind, text):
                    self._say(kind, text, now_s)
                case HangUp():
                    return True
        if decisions:
            facts = self._facts(answering, None, now_s)
        self.due_s = self._behaviour.due_s(facts)
        return False

    def _facts(self, answering: UserTurn | None, quiet_from_s: float | None, now_s: float) -> Facts:
        if self._receiver.now_ms != self._heard_ms:
            self._heard_ms, self._heard_at_s = self._receiver.now_ms, now_s
        answers = self._answers
        return Facts(
            waiting=self._waiting(answering),
            speaking=self._speaking(),
            quiet_from_s=quiet_from_s,
            sounds_until_s=answers.sounds_until_s,
            is_listening=now_s - self._heard_at_s <= STILL_LISTENING_S,
            is_ready=answers.interjections.is_ready,
            can_prepare=answers.is_aside_free,
            language=self.language,
        )

    def _waiting(self, answering: UserTurn | None) -> Waiting | None:
        response = self._answers.awaited
        if response is None or answering is None or self._turns.open is not None:
            return None
        since_s = answering.timeline.at_s("turn_end")
        return None if since_s is None else Waiting(response.id, since_s)

    def _speaking(self) -> Speaking | None:
        turn = self._turns.open
        if turn is None or not turn.answered_automatically or self._answers.active is not None:
            return None
        if self._turns.settings.output_modality != "audio":
            return None
        if not turn.finalising or turn.transcript is None:
            return Speaking(turn.audio_s * 1000)
        return Speaking(turn.audio_s * 1000, turn.revision, looks_finished(turn.transcript.text))

    # ------------------------------------------------------------------------------------------------- speaking

    def say(self, kind: Kind, now_s: float) -> None:
        """Say the first phrase of a kind, in the user's language. No response may be active."""
        self._say(kind, phrases(kind, self.language)[0], now_s)

    def _say_prepared(self, kind: Kind, text: str, now_s: float) -> None:
        if kind == "filler":
            response = self._answers.awaited
            self._answers.say_filler(now_s)
        else:
            plan = replace(self._plan(), out_of_band=True, metadata={METADATA_KEY: kind})
            response = self._answers.say_aside(plan, kind, now_s)
        if response is not None:
            self._tell(kind, text, response.id)

    def _say(self, kind: Kind, text: str, now_s: float) -> None:
        """A response of the conversation, so that it can be interrupted as any other."""
        timeline = Timeline()
        timeline.mark("requested", now_s)
        plan = replace(self._plan(), metadata={METADATA_KEY: kind})
        response = self._answers.start(plan, timeline, None, now_s, text, ready=True)
        response.is_interjection = True
        self._outbox.act(Interjected(kind))
        self._tell(kind, text, response.id)

    def _tell(self, kind: Kind, text: str, response_id: str) -> None:
        self._extension.decided(f"said_{kind}", "behaviour", self._receiver.now_ms, response_id=response_id, text=text)
