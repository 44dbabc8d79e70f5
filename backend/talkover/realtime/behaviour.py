"""When the agent speaks though it has no answer to give: fillers, re-prompts, backchannels. Pure.

None of these is a turn. A filler bridges the wait for a late answer and is spoken at its head, a re-prompt asks whether
a silent user is still there, a backchannel ("mm-hm") tells a user who speaks for long that they are heard. `Behaviour`
decides what is said when; the texts are in `phrases.py`, and `interjections.py` has them made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from talkover.realtime.phrases import Kind, phrases

PREPARED_BEFORE_S = 0.4
"""a filler is synthesised so long before it is due, so that it sounds on time and most answers never cost one"""
FILLER_AGAIN_S = 4.0
"""silence after a filler that brings another: a caller hangs up on less"""
MAX_FILLERS = 2
"""for one answer; a third tells nothing"""
BACKCHANNEL_AFTER_MS = 3500.0
"""of speech: nobody expects to be acknowledged within a sentence"""
BACKCHANNEL_PREPARED_MS = 2500.0
BACKCHANNEL_EVERY_S = 6.0
"""people in conversation acknowledge every 5 to 10 s of narration; sooner sounds impatient"""
UNFINISHED_BELOW = 0.5
"""how finished the words may look: beyond, the pause may be the end of the turn, and the answer is due instead"""


@dataclass(frozen=True, slots=True)
class Manners:
    """What a session's agent does; everything is off unless it is asked for."""

    filler_after_ms: int | None = None
    """from the end of the user's turn; None: no fillers"""
    reprompt_after_ms: int | None = None
    """of silence when the agent has spoken; None: no re-prompts"""
    max_reprompts: int = 2
    """in a row"""
    hangs_up: bool = False
    """after the last re-prompt and as much silence again: say goodbye and end the call, else stay quiet"""
    backchannels: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A spoken turn whose answer has not begun."""

    response_id: str
    since_s: float
    """when the turn was over"""


@dataclass(frozen=True, slots=True)
class Speaking:
    """What the user is saying."""

    speech_ms: float
    pause: int | None = None
    """number of the pause they are in, None while their voice is heard or the words are not known yet"""
    finished: float = 0.5
    """how finished the words up to the pause look, 0 to 1"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is so at this moment; times are seconds of one monotonic clock."""

    waiting: Waiting | None = None
    speaking: Speaking | None = None
    quiet_from_s: float | None = None
    """since when nobody speaks and nothing is due, ahead of now while the agent still sounds; None: not so"""
    sounds_until_s: float = 0.0
    """when all of the agent's audio will have been played"""
    is_listening: bool = True
    """audio of the user's side arrives: someone who only types is not asked whether they are there"""
    is_ready: bool = False
    """what was last prepared has been synthesised"""
    can_prepare: bool = True
    """nothing else is being synthesised aside"""
    language: str = "en"
    """base language of the conversation, e.g. en"""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Have a phrase synthesised; it is said or dropped later."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class SayPrepared:
    """Now is the moment for what was prepared."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Say:
    """Say this when it is made: nothing hurries."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Drop:
    """What was prepared is not needed."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """The user is not there: end the call."""


Decision = Prepare | SayPrepared | Say | Drop | HangUp


class Behaviour:
    """The listening behaviour of one session. At most one phrase is prepared at a time."""

    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self._prepared: Prepare | None = None
        self._said: dict[Kind, int] = {}
        """phrases said of each kind, which makes the next another one"""
        self._answer_id = ""
        self._fillers = 0
        """for that answer"""
        self._reprompts = 0
        self._said_goodbye = False
        self._backchannel_at_s = -math.inf

    def user_was_active(self) -> None:
        """The user spoke or wrote: they are there."""
        self._reprompts = 0
        self._said_goodbye = False

    def forget_prepared(self, now_s: float) -> None:
        """What was prepared is lost, its engine having failed or its lane being needed: not tried again soon."""
        if self._prepared is not None:
            self._prepared = None
            self._fillers = MAX_FILLERS
            self._backchannel_at_s = now_s

    def decide(self, facts: Facts, now_s: float) -> list[Decision]:
        """What to do now; to be asked again when something has happened, and at `due_s`."""
        if facts.waiting is not None:
            return self._bridge(facts, facts.waiting, now_s)
        if facts.speaking is not None:
            return self._acknowledge(facts, facts.speaking, now_s)
        decisions = self._drop()
        if self._quiet_until_s(facts) <= now_s:
            decisions += self._break_silence(facts)
        return decisions

    def due_s(self, facts: Facts) -> float:
        """When `decide` has something to do though nothing happens; infinite when it has not."""
        if facts.waiting is not None:
            due_s = self._filler_due_s(facts, facts.waiting)
            if self._prepared is None:
                return due_s - PREPARED_BEFORE_S if facts.can_prepare else math.inf
            return due_s if facts.is_ready else math.inf
        return math.inf if facts.speaking is not None else self._quiet_until_s(facts)

    # ------------------------------------------------------------------------------------------------ a late answer

    def _bridge(self, facts: Facts, waiting: Waiting, now_s: float) -> list[Decision]:
        if waiting.response_id != self._answer_id:
            self._answer_id, self._fillers = waiting.response_id, 0
        due_s = self._filler_due_s(facts, waiting)
        decisions: list[Decision] = []
        if self._prepared is not None and self._prepared.kind != "filler":
            decisions += self._drop()
        if self._prepared is None:
            if facts.can_prepare and now_s >= due_s - PREPARED_BEFORE_S:
                decisions.append(self._prepare("filler", facts.language))
        elif facts.is_ready and now_s >= due_s:
            self._fillers += 1
            decisions.append(self._say_prepared(self._prepared))
        return decisions

    def _filler_due_s(self, facts: Facts, waiting: Waiting) -> float:
        after_ms = self.manners.filler_after_ms
        n_said = self._fillers if waiting.response_id == self._answer_id else 0
        if after_ms is None or n_said >= MAX_FILLERS:
            return math.inf
        return facts.sounds_until_s + FILLER_AGAIN_S if n_said else waiting.since_s + after_ms / 1000

    # ------------------------------------------------------------------------------------------------ long speech

    def _acknowledge(self, facts: Facts, speaking: Speaking, now_s: float) -> list[Decision]:
        decisions: list[Decision] = []
        if self._prepared is not None and self._prepared.kind != "backchannel":
            decisions += self._drop()
        is_wanted = self.manners.backchannels and now_s >= self._backchannel_at_s + BACKCHANNEL_EVERY_S
        if not is_wanted or speaking.speech_ms < BACKCHANNEL_PREPARED_MS:
            return decisions
        if self._prepared is None:
            if facts.can_prepare:
                decisions.append(self._prepare("backchannel", facts.language))
        elif facts.is_ready and speaking.speech_ms >= BACKCHANNEL_AFTER_MS and self._invites(speaking):
            self._backchannel_at_s = now_s
            decisions.append(self._say_prepared(self._prepared))
        return decisions

    @staticmethod
    def _invites(speaking: Speaking) -> bool:
        return speaking.pause is not None and speaking.finished < UNFINISHED_BELOW

    # ------------------------------------------------------------------------------------------------ silence

    def _quiet_until_s(self, facts: Facts) -> float:
        """When the silence is to be broken."""
        after_ms = self.manners.reprompt_after_ms
        if after_ms is None or facts.quiet_from_s is None or not facts.is_listening:
            return math.inf
        if self._said_goodbye:
            return facts.quiet_from_s
        if self._reprompts >= self.manners.max_reprompts and not self.manners.hangs_up:
            return math.inf
        return facts.quiet_from_s + after_ms / 1000

    def _break_silence(self, facts: Facts) -> list[Decision]:
        if self._said_goodbye:
            return [HangUp()]
        if self._reprompts < self.manners.max_reprompts:
            self._reprompts += 1
            return [Say("reprompt", self._next("reprompt", facts.language))]
        self._said_goodbye = True
        return [Say("goodbye", self._next("goodbye", facts.language))]

    # ------------------------------------------------------------------------------------------------ phrases

    def _prepare(self, kind: Kind, language: str) -> Prepare:
        self._prepared = Prepare(kind, self._next(kind, language))
        return self._prepared

    def _say_prepared(self, prepared: Prepare) -> SayPrepared:
        self._prepared = None
        return SayPrepared(prepared.kind, prepared.text)

    def _drop(self) -> list[Decision]:
        if self._prepared is None:
            return []
        self._said[self._prepared.kind] -= 1
        self._prepared = None
        return [Drop()]

    def _next(self, kind: Kind, language: str) -> str:
        """In turn, so that none comes twice in a row."""
        choice = phrases(kind, language)
        n_said = self._said.get(kind, 0)
        self._said[kind] = n_said + 1
        return choice[n_said % len(choice)]
