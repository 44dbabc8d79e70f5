"""Whose turn it is to speak: what the agent says next, and when the line is free for it. No I/O.

An answer is *due* once a user turn was understood. It is started as soon as the line is free: nobody speaks, no
transcript is awaited, no response is active. So two utterances in a row get one answer, a cough that interrupts an
answer nothing was heard of does not lose it, and a response that may not be interrupted is waited for. After answers
come, in this order, what tools have to say, the steps of a call, and what a silent user is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from talkover.messages import CallAhead, ToolFinished
from talkover.metrics import Timeline
from talkover.realtime.actions import LeftReason, Outbox, TurnLeft
from talkover.realtime.answers import Answers
from talkover.realtime.call import Call, Greet, HandOver, HangUp
from talkover.realtime.conversation import Conversation
from talkover.realtime.departure import CloseLine, Departure, SayGoodbye
from talkover.realtime.extension import Extension
from talkover.realtime.listening import Listening
from talkover.realtime.owed import Owed, unheard_text
from talkover.realtime.phrases import METADATA_KEY, remark
from talkover.realtime.recording_notice import RecordingNotice
from talkover.realtime.recording_refusal import says_only_that
from talkover.realtime.response import Response
from talkover.realtime.server_tools import ServerTools
from talkover.realtime.settings import ResponsePlan
from talkover.realtime.silence import Silence
from talkover.realtime.user_turns import UserTurn, UserTurns


class Floor:
    """Of one session."""

    def __init__(
        self,
        conversation: Conversation,
        turns: UserTurns,
        answers: Answers,
        tools: ServerTools,
        call: Call,
        notice: RecordingNotice,
        listening: Listening,
        extension: Extension,
        outbox: Outbox,
        plan: Callable[[], ResponsePlan],
    ) -> None:
        """`plan` tells how the agent answers now."""
        self._conversation = conversation
        self._turns = turns
        self._answers = answers
        self._tools = tools
        self._call = call
        self._notice = notice
        self._listening = listening
        self._extension = extension
        self._outbox = outbox
        self._plan = plan
        self._silence = Silence()
        self._departure = Departure()
        self._due: UserTurn | None = None
        self._answering: UserTurn | None = None
        self._apology_due = False
        self._due_plan: ResponsePlan | None = None
        self.is_held = False
        """the client is away, or has not said yet what was heard: nothing is begun"""

    # ------------------------------------------------------------------------------------------------- the user

    def user_spoke(self) -> None:
        """Speech has begun."""
        self._silence.broken()
        self._call.user_spoke()
        self._listening.user_was_active()

    def user_wrote(self) -> None:
        """The client put an item into the conversation."""
        self._listening.user_was_active()

    def turn_done(self, turn: UserTurn, text: str | None, is_addressed: bool, now_s: float) -> None:
        """A user turn was understood (text), empty (""), or recognition failed (None).

        `is_addressed`: it is meant for the agent; else it consents to nothing and is not answered.
        """
        reason = self._why_not(turn, is_addressed)
        answers = reason is None
        self._listening.heard(text or "", self._language_of(turn))
        quiet_since_s = turn.timeline.at_s("speech_end") or now_s
        if self._notice.user_said(text or ""):
            self._answers.speculation.discard()
            answers = answers and not says_only_that(text or "")
        if is_addressed and self._is_for_tools(text or "", quiet_since_s) and answers:
            self._answers.speculation.discard()
            self._leave(self._due, "for_tools")
            self._leave(turn, "for_tools")
            self._due = None
            return
        if reason is not None or text == "":
            self._leave(turn, reason or "empty")
        if answers and text is None:
            self._apology_due = True
        if answers and text != "":
            self._due, self._due_plan = turn, None
        active = self._answers.active
        if active is not None and not active.dispatched and not self._turns.is_awaiting:
            self._answers.dispatch(active, now_s)

    def interrupt(self, is_certain: bool, now_s: float) -> None:
        """The user speaks over the agent. What nothing was heard of is answered again."""
        answers = self._answers
        cut_off = answers.active
        unheard = answers.interrupt(now_s, "turn_detected") if is_certain else answers.suspend(now_s)
        if unheard and cut_off is not None:
            self._tools.unheard(cut_off)
        if unheard and self._answering is not None and self._turns.settings.answers_turns:
            self._due, self._due_plan = UserTurn(self._answering.item_id), None
            self._due.timeline.mark("requested", now_s)

    def client_left(self, now_s: float) -> None:
        """Nobody hears the agent. What nothing was heard of is answered again when the client is back."""
        self.is_held = True
        cut_off = self._answers.active
        if not self._answers.break_off(now_s) or cut_off is None:
            return
        self._tools.unheard(cut_off)
        if self._answering is not None:
            self._due, self._due_plan = UserTurn(self._answering.item_id), cut_off.plan
            self._due.timeline.mark("requested", now_s)

    def client_back(self) -> None:
        """Silence is counted anew."""
        self.is_held = False
        self._silence.broken()

    def pay(self, owed: Owed, now_s: float) -> None:
        """Say what an answer still was to say when it was broken off; nothing when the user has spoken since."""
        if not self.is_free:
            return
        entry = self._conversation.get(owed.item_id)
        rest = owed.rest if entry is None else unheard_text(owed.rest, entry.own_text)
        if owed.item_id and (entry is None or (owed.rest and not rest)):
            return
        if rest and entry is not None:
            entry.goes_on = True
        self._begin(self._plan(), _requested(now_s), None, now_s, rest or None)

    @property
    def owes_answer(self) -> bool:
        """A turn of the user is understood, and its answer has not begun."""
        return self._due is not None

    def begin(self, plan: ResponsePlan, timeline: Timeline, now_s: float) -> None:
        """Answer now, as the client wants it. No response may be active."""
        self._due = None
        self._begin(plan, timeline, None, now_s)

    @property
    def insists(self) -> bool:
        """What the agent says now is not stopped by talking over it."""
        return self._notice.insists

    def nothing_due(self) -> None:
        """The client cancelled what it was to be answered with."""
        self._leave(self._due, "cancelled")
        self._due = None

    def _why_not(self, turn: UserTurn, is_addressed: bool) -> LeftReason | None:
        """Why a turn is not answered; None: it is, if there is anything in it."""
        if not turn.answered_automatically:
            return "committed_by_client"
        if not self._turns.settings.answers_turns:
            return "not_wanted"
        return None if is_addressed else "aside"

    def _leave(self, turn: UserTurn | None, reason: LeftReason) -> None:
        """State it: no turn is passed over without a word."""
        if turn is not None:
            self._outbox.act(TurnLeft(turn.item_id, reason))

    def apologise(self, now_s: float) -> None:
        """What the user said was lost: ask them to say it again, where turns are answered."""
        if self._turns.settings.answers_turns:
            self._due = UserTurn(self._conversation.last_id or "")
            self._due.timeline.mark("requested", now_s)
            self._apology_due = True

    def turn_detection_changed(self) -> None:
        """Silence is counted anew."""
        self._silence.broken()

    # ------------------------------------------------------------------------------------------------ the tools

    def called_ahead(self, call: CallAhead, now_s: float) -> None:
        """The answer being prepared would call a tool."""
        if self._answers.speculation.is_making(call.response_id):
            self._tools.called_ahead(call.name, call.arguments, now_s)

    def tool_finished(self, result: ToolFinished, now_s: float) -> None:
        """A tool came to an end, and may want something of the call."""
        self._tools.finished(result, now_s)
        self._call.signalled(result.signal, now_s)

    def _is_for_tools(self, text: str, quiet_since_s: float) -> bool:
        """Whether the user's words answer a tool's question or call its work off."""
        question = self._tools.question
        return self._tools.user_said(
            text, quiet_since_s, question is not None and self._answers.spoken.was_heard(question)
        )

    # --------------------------------------------------------------------------------------------------- time

    @property
    def is_free(self) -> bool:
        """Nobody speaks, and nothing is being answered, awaited or undecided."""
        return self.can_prepare and not self._user_speaks

    @property
    def _is_line_free(self) -> bool:
        """As `is_free`, whether or not an answer is due."""
        answers = self._answers
        busy = answers.active is not None or answers.yielding.is_undecided or self._turns.is_awaiting
        return not busy and not self._user_speaks

    @property
    def can_prepare(self) -> bool:
        """Nothing is being answered, awaited, undecided or due: what the user is saying may be answered next."""
        answers = self._answers
        if self.is_held:
            return False
        busy = answers.active is not None or answers.yielding.is_undecided or self._due is not None
        return not busy and not self._turns.is_awaiting

    @property
    def _user_speaks(self) -> bool:
        return self._turns.open is not None and self._turns.open.answered_automatically

    def deadlines_s(self) -> list[float]:
        """When `watch` has something to do though nothing happens."""
        if self.is_held:
            return []
        sounds_until_s = self._answers.sounds_until_s
        deadlines = [
            self._listening.due_s,
            self._idle_prompt_at_s(),
            self._tools.deadline_s(self.is_free, sounds_until_s),
            self._notice.deadline_s(self._is_line_free),
            None if self._notice.is_pending else self._call.deadline_s(self.is_free, sounds_until_s),
            self._departure.deadline_s(self.is_free, sounds_until_s),
        ]
        return [at_s for at_s in deadlines if at_s is not None]

    def server_stops(self, now_s: float) -> None:
        """Say goodbye as soon as that is polite; then `departs` is true."""
        self._departure.begin(now_s)

    def departs(self, now_s: float) -> bool:
        """Say the goodbye of a server that stops when it is due; True when the line is to be closed."""
        match self._departure.step(self.is_free, self._answers.sounds_until_s, now_s):
            case SayGoodbye():
                self._answers.interrupt(now_s, "client_cancelled")
                self._due = self._answering = None
                self._listening.say("closing", now_s)
            case CloseLine():
                return True
            case None:
                pass
        return False

    def watch(self, prompt_idle_user: Callable[[], None], now_s: float) -> str | None:
        """Say what is due. `prompt_idle_user` puts the user's silence into the conversation.

        Returns why the agent hangs up; None: it does not.
        """
        if self.is_held:
            return None
        is_quiet = self._answers.active is None and self._turns.open is None and not self._turns.is_awaiting
        self._silence.watch(is_quiet and not self._tools.is_running, now_s)
        idle_at_s = self._idle_prompt_at_s()
        if idle_at_s is not None and now_s >= idle_at_s:
            self._silence.prompted()
            prompt_idle_user()
            self._begin(self._plan(), _requested(now_s), None, now_s)
        self._tell_of_recording(now_s)
        self._answer_if_due(now_s)
        self._speak_for_tools(now_s)
        return self._go_through_call(now_s) or self._listen(now_s)

    def _tell_of_recording(self, now_s: float) -> None:
        """That the call is going to be recorded, or is not any more; before all else there is to say."""
        text = self._notice.step(self._is_line_free, self._answers.sounds_until_s, self._listening.language, now_s)
        if text is None:
            return
        self._answers.speculation.discard()
        answering = self._answering
        plan = replace(self._plan(), metadata={METADATA_KEY: "recording"})
        response = self._begin(plan, _requested(now_s), None, now_s, text)
        response.is_interjection = True
        self._notice.begun(response)
        self._answering = answering

    def _answer_if_due(self, now_s: float) -> None:
        if self._due is None or self._answers.active is not None or self._turns.is_awaiting or self._user_speaks:
            return
        turn, self._due = self._due, None
        plan, self._due_plan = self._due_plan, None
        say = remark("not_understood", self._listening.language) if self._apology_due else None
        self._begin(plan or self._plan(), turn.timeline, turn, now_s, say)
        self._apology_due = False

    def _speak_for_tools(self, now_s: float) -> None:
        """Fill a wait, ask for consent, or have a result told."""
        if self._tools.is_idle:
            return
        speech = self._tools.step(self.is_free, self._answers.sounds_until_s, now_s)
        if speech is None:
            return
        self._answers.speculation.discard()
        self._tools.begun(speech, self._begin(speech.plan(self._plan()), _requested(now_s), None, now_s, speech.say))
        if speech.say is not None:
            self._answering = None

    def _go_through_call(self, now_s: float) -> str | None:
        """Greet, hand over to a human, hang up."""
        if self._notice.is_pending:
            return None
        has_begun = any(not entry.is_interjection for entry in self._conversation.newest_first())
        match self._call.step(self.is_free, has_begun, self._answers.sounds_until_s, now_s):
            case Greet(text):
                self._begin(
                    replace(self._plan(), metadata={METADATA_KEY: "greeting"}), _requested(now_s), None, now_s, text
                )
                self._answering = None
            case HandOver(reason):
                self._extension.handover(reason, self._conversation)
            case HangUp():
                return "call ended"
            case None:
                pass
        return None

    def _listen(self, now_s: float) -> str | None:
        """Fillers, backchannels, and what a silent user is asked."""
        is_over = self._listening.watch(self._answering, self._quiet_from_s(), now_s)
        return "the user is silent" if is_over else None

    def _begin(
        self, plan: ResponsePlan, timeline: Timeline, turn: UserTurn | None, now_s: float, say: str | None = None
    ) -> Response:
        if turn is None:
            turn = UserTurn(self._conversation.last_id or "", timeline=timeline)
        self._answering = turn
        ready = not self._turns.is_awaiting
        response = self._answers.start(plan, timeline, turn.item_id or None, now_s, say, ready)
        if self._conversation.history is not None:
            self._conversation.history.settle()
        return response

    def _idle_prompt_at_s(self) -> float | None:
        """When silence is answered by the protocol's idle timeout; None when it is not."""
        if self._conversation.last_id is None:
            return None
        return self._silence.prompt_at_s(self._turns.settings.turn_detection, self._answers.sounds_until_s)

    def _quiet_from_s(self) -> float | None:
        """Since when the user is silent and nothing is due; None when the protocol's idle timeout is in charge."""
        settings = self._turns.settings
        detection = settings.turn_detection
        if detection is None or detection.idle_timeout_ms is not None or not self.is_free:
            return None
        if not settings.answers_turns or self._conversation.last_id is None:
            return None
        return self._silence.since_s(self._answers.sounds_until_s)

    def _language_of(self, turn: UserTurn) -> str | None:
        """What the recogniser found, or the client says."""
        found = None if turn.transcript is None else turn.transcript.language
        return found or self._turns.settings.language


def _requested(now_s: float) -> Timeline:
    """Of a response that nobody's turn asked for."""
    timeline = Timeline()
    timeline.mark("requested", now_s)
    return timeline
