"""The agent's side of a session: which response is active, what of it is heard, and how it ends. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from talkover.messages import (
    CallDelta,
    Output,
    Prompt,
    ResponseEnd,
    SourcesFound,
    StageFailed,
    StageMark,
    TextDelta,
    WireAudio,
)
from talkover.metrics import Timeline
from talkover.pipeline.cancel import Generations
from talkover.realtime.actions import (
    BargedIn,
    Hold,
    Interjected,
    LaneName,
    NextId,
    Outbox,
    ReplaceLane,
    Respond,
    ResponseFinished,
    StageError,
    StaleDropped,
    WentOn,
)
from talkover.realtime.conversation import Conversation
from talkover.realtime.errors import ProtocolError
from talkover.realtime.extension import Extension
from talkover.realtime.fields import JsonObject
from talkover.realtime.interjections import Interjections
from talkover.realtime.owed import AnswerTexts, Owed, unheard_text
from talkover.realtime.response import Response, ResponseStatus, cancelled, failed, incomplete
from talkover.realtime.resumption import Rest, Suspended
from talkover.realtime.server_tools import ServerTools
from talkover.realtime.settings import ResponsePlan
from talkover.realtime.speculation import Speculation
from talkover.realtime.spoken import Spoken
from talkover.realtime.yielding import MAX_SUSPENDED_S, Yielding

MAX_WAITING_ASIDE = 8
"""out-of-band responses waiting for the one being made"""

APOLOGY_WITHIN_S = 5.0
"""an apology that is not heard of for so long is left out: nobody waits for it after a failure"""

FAILURE_CODES = {"responder": "llm_error", "synthesizer": "tts_error"}


class Answers:
    """Starts, feeds and ends responses. What is heard of them is kept by `spoken`, what may yet go on by `yielding`.

    The main lane has at most one response, the active one of the conversation. Out-of-band responses are made one after
    the other on a lane aside. A stage's message counts only when it belongs to a response that is being made.
    """

    def __init__(
        self,
        conversation: Conversation,
        outbox: Outbox,
        extension: Extension,
        main: Generations,
        aside: Generations,
        next_id: NextId,
        watchdog_s: float,
    ) -> None:
        self.active: Response | None = None
        self.server_tools: ServerTools | None = None
        """takes the calls of tools that the server runs"""
        self.apology: Callable[[], str] | None = None
        """what is said when an answer breaks down"""
        self._conversation = conversation
        self._outbox = outbox
        self._extension = extension
        self._main, self._aside = main, aside
        self._next_id = next_id
        self._watchdog_s = watchdog_s
        self._aside_active: Response | None = None
        self._aside_waiting: deque[Response] = deque()
        self.spoken = Spoken(conversation, extension, outbox)
        self.yielding = Yielding(self.spoken, outbox, extension, main)
        self.speculation = Speculation(conversation, outbox, main, next_id)
        self.interjections = Interjections(outbox, aside, next_id)
        self.texts = AnswerTexts()

    # ---------------------------------------------------------------------------------------------------- start

    def start(
        self, plan: ResponsePlan, timeline: Timeline, item_id: str | None, now_s: float, say: str | None, ready: bool
    ) -> Response:
        """Announce a response of the conversation and, when `ready`, give it to the pipeline. None may be active.

        One that was prepared for the conversation as it is now is taken instead of a new one.
        """
        self.yielding.give_up()
        if ready and say is None and (prepared := self.speculation.use(plan)) is not None:
            response = Response(
                prepared.response_id, prepared.generation, plan, self._conversation, self._outbox, timeline, item_id
            )
            self.active = response
            response.announce()
            response.dispatched = True
            response.deadline_s = now_s + self._watchdog_s
            return response
        response = Response(
            self._next_id("resp_"), self._main.next(), plan, self._conversation, self._outbox, timeline, item_id
        )
        self.active = response
        response.announce()
        if ready:
            self.dispatch(response, now_s, say)
        return response

    def start_aside(self, plan: ResponsePlan, timeline: Timeline, now_s: float) -> None:
        """Announce an out-of-band response; it may have to wait for another. Raises ProtocolError."""
        if len(self._aside_waiting) >= MAX_WAITING_ASIDE:
            raise ProtocolError(
                "conversation_already_has_active_response",
                f"At most {MAX_WAITING_ASIDE} out-of-band responses may wait; wait for a response.done",
            )
        response = Response(self._next_id("resp_"), 0, plan, None, self._outbox, timeline)
        self._aside_waiting.append(response)
        response.announce()
        self._next_aside(now_s)

    def dispatch(self, response: Response, now_s: float, say: str | None = None) -> None:
        """Give a response to the pipeline, with the conversation as it is now."""
        lane: LaneName = "main" if response is self.active else "aside"
        plan = response.plan
        response.dispatched = True
        response.deadline_s = now_s + self._watchdog_s
        request = plan.request(response.generation, response.id, self._conversation.prompt(plan))
        self._outbox.act(Respond(lane, replace(request, paced=lane == "main", say=say)))

    # ------------------------------------------------------------------------------------------- interjections

    @property
    def is_aside_free(self) -> bool:
        """No out-of-band response is being made: a phrase may be prepared."""
        return self._aside_active is None

    @property
    def awaited(self) -> Response | None:
        """The response that is to be spoken and of which nothing has come but fillers; not where tools work for it."""
        response = self.active
        if response is None or response.plan.modality != "audio" or not response.dispatched:
            return None
        if response.is_interjection or response.has_called_server:
            return None
        entry = response.entry
        is_silent = not response.output or (
            len(response.output) == 1 and entry is not None and len(entry.ledger_text) == entry.filler_chars > 0
        )
        return response if is_silent and response.source_id == response.id else None

    def say_filler(self, now_s: float) -> None:
        """Put the phrase that was prepared at the head of the answer that is awaited."""
        response, pieces = self.awaited, self.interjections.use()
        if response is None or not pieces:
            return
        for piece in pieces:
            self._audio(response, piece, now_s, is_answer=False)
        if response.entry is not None:
            response.entry.filler_chars = len(response.entry.ledger_text)
        self._outbox.act(Hold(False, (self.sounds_until_s - now_s) * 1000))
        self._outbox.act(Interjected("filler"))

    def say_aside(self, plan: ResponsePlan, kind: str, now_s: float) -> Response | None:
        """Say the phrase that was prepared as a response out of the conversation, which stops and delays nothing."""
        pieces = self.interjections.use()
        if not pieces:
            return None
        response = Response(self._next_id("resp_"), 0, plan, None, self._outbox, Timeline())
        response.announce()
        for piece in pieces:
            self.spoken.say_aside(response, piece, now_s)
        response.finish("completed")
        self.spoken.said_aside(response, now_s)
        self._outbox.act(Interjected(kind))
        return response

    # --------------------------------------------------------------------------------------------------- output

    def take(self, message: Output, now_s: float) -> None:
        """A result of the pipeline; what does not belong to a response being made is stale and dropped."""
        if self.interjections.take(message):
            return
        response = self._owner(message)
        if response is None:
            if not self.yielding.keeps(message):
                self._outbox.act(StaleDropped())
            return
        response.deadline_s = now_s + (self._watchdog_s if response.failure is None else APOLOGY_WITHIN_S)
        match message:
            case WireAudio():
                self._audio(response, message, now_s)
            case TextDelta():
                response.text(message)
            case CallDelta() if self.server_tools is not None and message.name in response.plan.server_tools:
                if (item := response.call_for_server(message)) is not None:
                    self.server_tools.called(response, item, now_s)
            case CallDelta():
                response.call(message)
            case SourcesFound():
                self._extension.sources(response.id, message)
            case StageMark():
                response.timeline.mark_stage(message.name, message.at_s)
            case ResponseEnd() if response.failure is not None:
                self._finish(response, now_s, "failed", response.failure)
            case ResponseEnd(status=status, reason=reason):
                details: JsonObject | None = None
                if status == "incomplete":
                    details = incomplete(reason or "max_output_tokens")
                elif status == "failed":
                    details = failed(reason or "internal_error", message.message)
                elif response.is_empty:
                    status, details = "failed", failed("llm_error", "The model gave no answer")
                self._finish(response, now_s, status, details, message)
            case StageFailed(stage=stage, error=error):
                self._outbox.act(StageError(stage))
                code = FAILURE_CODES.get(stage, "internal_error")
                if stage == "responder":  # the synthesizer has apologised for it already
                    response.failure = failed(code, error)
                self._fail(response, now_s, failed(code, error))
            case _:
                pass

    def _owner(self, message: Output) -> Response | None:
        for response in (self.active, self._aside_active):
            if response is None or response.source_id != message.response_id or not response.dispatched:
                continue
            if response.failure is None or message.generation == response.generation:
                return response
        return None

    def _audio(self, response: Response, audio: WireAudio, now_s: float, is_answer: bool = True) -> None:
        is_main = response is self.active
        sounds_from_s = max(now_s, self.sounds_until_s) if is_main else now_s
        self.spoken.say(response, audio, is_main, now_s)
        if audio.payload and is_answer:
            response.timeline.mark("first_audio_sent", now_s)
            if audio.silent_ms < audio.duration_ms:
                response.timeline.mark("first_audible", sounds_from_s + audio.silent_ms / 1000)

    # ------------------------------------------------------------------------------------------------ interrupt

    @property
    def sounds_until_s(self) -> float:
        """When the user will have heard all that was sent, or has."""
        return self.spoken.playback.ends_s()

    def spoken_ms(self, now_s: float) -> tuple[float | None, float | None]:
        """How much of the newest message has sounded, and how much more will; None for what is not known yet."""
        if self.spoken.newest is None:
            return None, None
        played_ms = self.spoken.playback.played_ms(self.spoken.newest[1], now_s)
        is_made = self.active is None and self.yielding.suspended is None
        return played_ms, max(0.0, self.sounds_until_s - now_s) * 1000 if is_made else None

    def interrupt(self, now_s: float, reason: Literal["turn_detected", "client_cancelled"]) -> bool:
        """Stop speaking at once; what was heard by now is all that remains.

        True when a response ended of which nothing was heard: what it was to answer is still unanswered.
        """
        self.yielding.give_up()
        response = self.active
        audible = self.spoken.is_audible(now_s) or self.yielding.is_paused
        self.yielding.end_pause()
        if response is not None:
            played_ms = self.spoken.playback.played_ms(response.message_id or "", now_s)
            self._main.next()
            self._finish(response, now_s, "cancelled", cancelled(reason), interrupted_at_ms=round(played_ms))
        self.yielding.go_on()
        if reason == "turn_detected" and (response is not None or audible):
            self._outbox.act(BargedIn())
        for item_id in self.spoken.stop(now_s):
            self.spoken.cut(item_id, self.spoken.playback.played_ms(item_id, now_s))
        return response is not None and not response.is_interjection and not self.spoken.was_heard(response)

    def suspend(self, now_s: float) -> bool:
        """Fall silent like `interrupt`, but able to `resume` with what has not been heard, until `give_up`.

        True, as of `interrupt`, when a response ended of which nothing was heard: such a one cannot go on.
        """
        newest, response = self.spoken.newest, self.active
        if newest is None or not self.spoken.is_audible(now_s) or response not in (None, newest[0]):
            return self.interrupt(now_s, "turn_detected")
        self.yielding.give_up()
        spoken, message_id = newest
        cut = self.spoken.stop(now_s)
        played_ms = self.spoken.playback.played_ms(message_id, now_s)
        if response is not None:
            self._finish(response, now_s, "cancelled", cancelled("turn_detected"), interrupted_at_ms=round(played_ms))
        self.yielding.go_on()
        self.yielding.suspend(Suspended(spoken, message_id, played_ms, response is None, now_s + MAX_SUSPENDED_S))
        for item_id in cut:
            self.spoken.cut(item_id, self.spoken.playback.played_ms(item_id, now_s))
        return False

    def break_off(self, now_s: float) -> bool:
        """The client is gone: nothing sounds until it is back, or ever when it was said out of the conversation.

        What was being spoken is suspended without a deadline. True, as of `interrupt`, when a response ended of which
        nothing was heard. A written answer goes on being written.
        """
        self.speculation.discard()
        self.interjections.drop()
        self._aside_waiting, waiting = deque(), self._aside_waiting
        aside = [] if self._aside_active is None else [self._aside_active]
        self._aside.next()
        for response in (*aside, *waiting):
            self._finish(response, now_s, "cancelled", cancelled("client_cancelled"))
        playback = self.spoken.playback
        if self.yielding.is_paused:
            playback.resume(now_s)
            self.yielding.end_pause()
        playback.lose(now_s)
        is_written = self.active is not None and self.active.plan.modality == "text"
        unheard = self.yielding.suspended is None and not is_written and self.suspend(now_s)
        self.yielding.keep()
        return unheard

    def owed(self, now_s: float) -> Owed | None:
        """What the user is still to hear, were this moment the last."""
        suspended = self.yielding.suspended
        if suspended is not None:
            return self._owed_of(suspended.response, suspended.message_id)
        newest = self.spoken.newest
        if self.active is None:
            is_heard = newest is None or now_s >= self.sounds_until_s
            return None if newest is None or is_heard else self._owed_of(*newest)
        if self.active.is_interjection:
            return None
        return self._owed_of(*newest) if newest is not None and newest[0] is self.active else Owed("")

    def _owed_of(self, response: Response, message_id: str) -> Owed | None:
        if response.is_interjection:
            return None
        return Owed(message_id, unheard_text(self.texts.whole(response.source_id), response.continues))

    def resume(self, now_s: float, reason: str | None) -> None:
        """Say what has not been heard, as a response of its own. `reason`: why it was no interruption; None: nobody
        spoke."""
        self.yielding.go_on()
        suspended = self.yielding.take()
        if suspended is None:
            return
        before, entry = suspended.response, self._conversation.get(suspended.message_id)
        rest, filler_chars = Rest(), 0
        if entry is not None and entry.ledger is not None:
            entry.goes_on = True
            filler_chars = len(entry.ledger.text[entry.heard_chars or 0 : entry.filler_chars].strip())
            rest = self.spoken.rest(suspended.message_id, suspended.played_ms, before.plan.output_format)
        self._outbox.act(Hold(False, rest.duration_ms))
        if reason is not None:
            self._outbox.act(WentOn(reason))
        if suspended.is_made and not rest.pieces:
            return
        timeline = Timeline()
        timeline.mark("requested", now_s)
        response = Response(
            self._next_id("resp_"),
            before.generation,
            before.plan,
            self._conversation,
            self._outbox,
            timeline,
            before.item_id,
        )
        response.source_id = before.source_id
        response.is_interjection = before.is_interjection
        response.continues = before.continues + ("" if entry is None else entry.own_text)
        response.dispatched = True
        response.deadline_s = now_s + self._watchdog_s
        self.active = response
        response.announce()
        for piece in rest.pieces:
            self._audio(response, piece, now_s)
        if response.entry is not None:
            response.entry.filler_chars = filler_chars
        response.goes_on_inside_segment(rest.cut_chars, rest.cut_ms)
        for message in suspended.later:
            self.take(message, now_s)
        if suspended.is_made:
            self._finish(response, now_s, "completed", None)

    def cancel(self, response_id: str | None, now_s: float) -> None:
        """The client cancels the active response, or the named one. Raises ProtocolError when there is none."""
        if response_id is not None:
            if self._aside_active is not None and self._aside_active.id == response_id:
                self._aside.next()
                self._finish(self._aside_active, now_s, "cancelled", cancelled("client_cancelled"))
                return
            waiting = next((response for response in self._aside_waiting if response.id == response_id), None)
            if waiting is not None:
                self._aside_waiting.remove(waiting)
                self._finish(waiting, now_s, "cancelled", cancelled("client_cancelled"))
                return
        if self.active is None or response_id not in (None, self.active.id):
            raise ProtocolError("response_cancel_not_active", "Cancellation failed: no active response found")
        self.interrupt(now_s, "client_cancelled")

    def truncate(self, item_id: str, audio_end_ms: int, now_s: float) -> int:
        """The client says how much of an item it played. Returns the position, clamped. Raises ProtocolError."""
        played_ms = self.spoken.truncate(item_id, audio_end_ms, now_s)
        self.yielding.stopped_at(item_id, played_ms)
        return played_ms

    def played(self, item_id: str, played_ms: float, ended: bool, now_s: float) -> None:
        """The client reports its playback."""
        if ended:
            self.yielding.stopped_at(item_id, played_ms)
        self.spoken.played(item_id, played_ms, ended, now_s)

    # ------------------------------------------------------------------------------------------------------ end

    def watch(self, now_s: float) -> None:
        """The watchdog: a response nothing was heard of for too long has failed, and its lane is replaced."""
        self.yielding.watch(now_s)
        for response, lane in ((self.active, "main"), (self._aside_active, "aside")):
            if response is not None and response.dispatched and now_s >= response.deadline_s:
                (self._main if lane == "main" else self._aside).next()
                self._outbox.act(ReplaceLane("main" if lane == "main" else "aside"))
                self._outbox.act(StageError("watchdog"))
                seconds = f"{self._watchdog_s:g}"
                self._fail(response, now_s, failed("internal_error", f"No progress for {seconds} s, given up"))

    def deadlines_s(self) -> list[float]:
        responses = (self.active, self._aside_active)
        deadlines = [response.deadline_s for response in responses if response is not None and response.dispatched]
        return [*deadlines, *self.yielding.deadlines_s()]

    def abandon(self, message: str, now_s: float) -> None:
        """The session begins anew: every response ends here, and all that is being made is stale."""
        for response in (self.active, self._aside_active, *self._aside_waiting):
            if response is not None:
                response.finish("failed", failed("internal_error", message))
                self._outbox.act(ResponseFinished(response.turn_metrics("internal_error", None, None)))
        self.active = self._aside_active = None
        self._aside_waiting.clear()
        self.interjections.drop()
        self._main.next()
        self._aside.next()

    def _fail(self, response: Response, now_s: float, failure: JsonObject) -> None:
        """It broke down. A user who listens is told so before it ends, by a pipeline that has forgotten it; once."""
        is_heard = response is self.active and response.plan.modality == "audio"
        if not is_heard or self.apology is None or response.is_interjection or response.failure is not None:
            self._finish(response, now_s, "failed", response.failure or failure)
            return
        response.failure = failure
        response.break_off()
        response.generation, response.source_id = self._main.next(), response.id
        response.deadline_s = now_s + APOLOGY_WITHIN_S
        request = response.plan.request(response.generation, response.id, Prompt("", ()))
        self._outbox.act(Respond("main", replace(request, say=self.apology())))

    def refuse(self, response: Response, now_s: float) -> None:
        """The pipeline would not take it: its stages are stuck in older work."""
        self._finish(response, now_s, "failed", failed("internal_error", "The pipeline is busy"))

    def _finish(
        self,
        response: Response,
        now_s: float,
        status: ResponseStatus,
        details: JsonObject | None,
        end: ResponseEnd | None = None,
        interrupted_at_ms: int | None = None,
    ) -> None:
        usage = None if end is None else end.usage
        response.finish(status, details, usage)
        reason = None if details is None else details.get("reason") or details.get("error", {}).get("code")
        turn = response.turn_metrics(reason, usage, interrupted_at_ms)
        self._extension.metrics(turn)
        self._outbox.act(ResponseFinished(turn))
        if response is self.active:
            self.active = None
        elif response is self._aside_active:
            self._aside_active = None
            self._next_aside(now_s)

    def _next_aside(self, now_s: float) -> None:
        if self._aside_active is None and self._aside_waiting:
            self.interjections.give_way()
            response = self._aside_waiting.popleft()
            response.generation = self._aside.next()
            self._aside_active = response
            self.dispatch(response, now_s)
