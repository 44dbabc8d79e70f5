"""The agent's side of a session: which response is active, what of it is heard, and how it ends. No I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Literal

from talkover.audio import WireDecoder
from talkover.messages import (
    CallDelta,
    Output,
    ResponseEnd,
    SourcesFound,
    StageFailed,
    StageMark,
    TextDelta,
    WireAudio,
)
from talkover.metrics import Timeline
from talkover.pipeline.cancel import Generations
from talkover.pipeline.far_end import FarEnd
from talkover.pipeline.ledger import Playback
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
from talkover.realtime.interjections import Interjections, SaidAside
from talkover.realtime.response import Response, ResponseStatus, cancelled, failed, incomplete
from talkover.realtime.resumption import MAX_LATER, Rest, SentAudio, Suspended
from talkover.realtime.server_tools import ServerTools
from talkover.realtime.settings import ResponsePlan
from talkover.realtime.speculation import Speculation

MAX_DUCKED_S = 2.0
"""a sound is decided on within 1.5 s of audio: later than this no audio comes any more, and the agent goes on"""

MAX_SUSPENDED_S = 10.0
"""a stop is judged within two seconds of audio: later than this no audio comes any more"""

MAX_WAITING_ASIDE = 8
"""out-of-band responses waiting for the one being made"""

FAILURE_CODES = {"responder": "llm_error", "synthesizer": "tts_error"}


class Answers:
    """Starts, feeds and ends responses; keeps the heard ledger.

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
        self.playback = Playback()
        self.far_end: FarEnd | None = None
        """follows what is played where an echo canceller needs it"""
        self.server_tools: ServerTools | None = None
        """takes the calls of tools that the server runs"""
        self._conversation = conversation
        self._outbox = outbox
        self._extension = extension
        self._main, self._aside = main, aside
        self._next_id = next_id
        self._watchdog_s = watchdog_s
        self._aside_active: Response | None = None
        self._aside_waiting: deque[Response] = deque()
        self._far_decoder: WireDecoder | None = None
        self._ducked_since_s: float | None = None
        self._paused_until_s: float | None = None
        self.speculation = Speculation(conversation, outbox, main, next_id)
        self.interjections = Interjections(outbox, aside, next_id)
        self._said_aside = SaidAside()
        self._sent_audio = SentAudio()
        self._suspended: Suspended | None = None
        self._spoken: tuple[Response, str] | None = None
        """the newest response that was heard, and its message"""

    # ---------------------------------------------------------------------------------------------------- start

    def start(
        self, plan: ResponsePlan, timeline: Timeline, item_id: str | None, now_s: float, say: str | None, ready: bool
    ) -> Response:
        """Announce a response of the conversation and, when `ready`, give it to the pipeline. None may be active.

        One that was prepared for the conversation as it is now is taken instead of a new one.
        """
        self.give_up()
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
        self._outbox.act(Hold(False, self.playback.ends_s() * 1000 - now_s * 1000))
        self._outbox.act(Interjected("filler"))

    def say_aside(self, plan: ResponsePlan, kind: str, now_s: float) -> Response | None:
        """Say the phrase that was prepared as a response out of the conversation, which stops and delays nothing."""
        pieces = self.interjections.use()
        if not pieces:
            return None
        response = Response(self._next_id("resp_"), 0, plan, None, self._outbox, Timeline())
        response.announce()
        for piece in pieces:
            response.audio(piece)
            self._follow_far_end(response, piece, now_s)
            response.send_audio(piece)
        entry = response.entry
        response.finish("completed")
        if entry is not None and entry.ledger is not None:
            self._said_aside.add(entry.item.id, entry.ledger, now_s)
        self._outbox.act(Interjected(kind))
        return response

    # --------------------------------------------------------------------------------------------------- output

    def take(self, message: Output, now_s: float) -> None:
        """A result of the pipeline; what does not belong to a response being made is stale and dropped."""
        if self.interjections.take(message):
            return
        response = self._owner(message)
        suspended = self._suspended
        if response is None and suspended is not None and suspended.response.source_id == message.response_id:
            suspended.later.append(message)
            if len(suspended.later) > MAX_LATER:
                self.give_up()
            return
        if response is None:
            self._outbox.act(StaleDropped())
            return
        response.deadline_s = now_s + self._watchdog_s
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
                if message.name in ("llm_first_token", "tts_first_audio"):
                    response.timeline.mark(message.name, message.at_s)
            case ResponseEnd(status=status, reason=reason):
                details: JsonObject | None = None
                if status == "incomplete":
                    details = incomplete(reason or "max_output_tokens")
                elif status == "failed":
                    details = failed(reason or "internal_error", message.message)
                self._finish(response, now_s, status, details, message)
            case StageFailed(stage=stage, error=error):
                self._outbox.act(StageError(stage))
                code = FAILURE_CODES.get(stage, "internal_error")
                self._finish(response, now_s, "failed", failed(code, error))
            case _:
                pass

    def _owner(self, message: Output) -> Response | None:
        for response in (self.active, self._aside_active):
            if response is not None and response.source_id == message.response_id and response.dispatched:
                return response
        return None

    def _audio(self, response: Response, audio: WireAudio, now_s: float, is_answer: bool = True) -> None:
        words = response.audio(audio)
        message_id = response.message_id
        if message_id is not None:
            self._extension.words(response.id, message_id, words)
            if response is self.active:
                self._follow_far_end(response, audio, now_s)
                self.playback.sent(message_id, audio.duration_ms, now_s)
                self._spoken = (response, message_id)
                self._sent_audio.add(message_id, audio, self.playback.played_ms(message_id, now_s))
        response.send_audio(audio)
        if audio.payload and is_answer:
            response.timeline.mark("first_audio_sent", now_s)

    def _follow_far_end(self, response: Response, audio: WireAudio, now_s: float) -> None:
        if self.far_end is None or not audio.payload:
            return
        decoder = self._far_decoder
        if decoder is None or decoder.format != response.plan.output_format:
            decoder = self._far_decoder = WireDecoder(response.plan.output_format)
        self.far_end.add(decoder.feed(audio.payload), max(self.playback.ends_s(), now_s), now_s)

    def _stop_playback(self, now_s: float) -> list[str]:
        if self.far_end is not None:
            self.far_end.stop(now_s)
        return self.playback.stop(now_s)

    # ------------------------------------------------------------------------------------------------ interrupt

    def is_audible(self, now_s: float) -> bool:
        """The agent is heard."""
        return self.playback.is_audible(now_s)

    def spoken_ms(self, now_s: float) -> tuple[float | None, float | None]:
        """How much of the newest message has sounded, and how much more will; None for what is not known yet."""
        if self._spoken is None:
            return None, None
        played_ms = self.playback.played_ms(self._spoken[1], now_s)
        is_made = self.active is None and self._suspended is None
        return played_ms, max(0.0, self.playback.ends_s() - now_s) * 1000 if is_made else None

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

    def pause(self, now_s: float) -> bool:
        """Fall silent at the sample, to `unpause` or to `interrupt`; only our page can. False when it cannot be done.

        The response stays active and nothing is sent again, which is why a client that can do it is better off than
        with `suspend`. The reference of an echo canceller could not follow.
        """
        if not self._extension.wants("pause") or self.far_end is not None or not self.playback.is_audible(now_s):
            return False
        self.give_up()
        self.playback.pause(now_s)
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
        self.playback.resume(now_s)
        self._extension.resume()
        self._outbox.act(Hold(False, max(0.0, self.playback.ends_s() - now_s) * 1000))
        self._outbox.act(WentOn(reason))

    def interrupt(self, now_s: float, reason: Literal["turn_detected", "client_cancelled"]) -> bool:
        """Stop speaking at once; what was heard by now is all that remains.

        True when a response ended of which nothing was heard: what it was to answer is still unanswered.
        """
        self.give_up()
        response = self.active
        audible = self.playback.is_audible(now_s) or self.is_paused
        if self.is_paused:
            self._paused_until_s = None
            self._outbox.act(Hold(False))
        if response is not None:
            played_ms = self.playback.played_ms(response.message_id or "", now_s)
            self._main.next()
            self._finish(response, now_s, "cancelled", cancelled(reason), interrupted_at_ms=round(played_ms))
        self.go_on()
        if reason == "turn_detected" and (response is not None or audible):
            self._outbox.act(BargedIn())
        for item_id in self._stop_playback(now_s):
            self._cut(item_id, self.playback.played_ms(item_id, now_s))
        return response is not None and not response.is_interjection and not self.was_heard(response)

    def suspend(self, now_s: float) -> bool:
        """Fall silent like `interrupt`, but able to `resume` with what has not been heard, until `give_up`.

        True, as of `interrupt`, when a response ended of which nothing was heard: such a one cannot go on.
        """
        spoken, response = self._spoken, self.active
        if spoken is None or not self.playback.is_audible(now_s) or response not in (None, spoken[0]):
            return self.interrupt(now_s, "turn_detected")
        self.give_up()
        message_id = spoken[1]
        cut = self._stop_playback(now_s)
        played_ms = self.playback.played_ms(message_id, now_s)
        if response is not None:
            self._finish(response, now_s, "cancelled", cancelled("turn_detected"), interrupted_at_ms=round(played_ms))
        self.go_on()
        self._outbox.act(Hold(True))
        self._suspended = Suspended(spoken[0], message_id, played_ms, response is None, now_s + MAX_SUSPENDED_S)
        for item_id in cut:
            self._cut(item_id, self.playback.played_ms(item_id, now_s))
        return False

    def resume(self, now_s: float, reason: str) -> None:
        """It was no interruption: say what has not been heard, as a response of its own."""
        self.go_on()
        suspended, self._suspended = self._suspended, None
        if suspended is None:
            return
        before, entry = suspended.response, self._conversation.get(suspended.message_id)
        rest, filler_chars = Rest(), 0
        if entry is not None and entry.ledger is not None:
            entry.goes_on = True
            filler_chars = len(entry.ledger.text[entry.heard_chars or 0 : entry.filler_chars].strip())
            rest = self._sent_audio.unheard(
                suspended.message_id, entry.ledger, suspended.played_ms, before.plan.output_format
            )
        self._outbox.act(Hold(False, rest.duration_ms))
        self._outbox.act(WentOn(reason))
        if suspended.is_made and not rest.pieces:
            return
        response = Response(
            self._next_id("resp_"),
            before.generation,
            before.plan,
            self._conversation,
            self._outbox,
            Timeline(),
            before.item_id,
        )
        response.source_id = before.source_id
        response.is_interjection = before.is_interjection
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

    def give_up(self) -> None:
        """What is suspended will not be resumed: it was an interruption."""
        if self._suspended is not None:
            self._suspended = None
            self._main.next()
            self._outbox.act(Hold(False))
            self._outbox.act(BargedIn())

    @property
    def is_suspended(self) -> bool:
        """Silent while it is undecided whether the user interrupted."""
        return self._suspended is not None or self.is_paused

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
        entry = self._conversation.get(item_id)
        if (aside := self._said_aside.get(item_id)) is not None:
            self._said_aside.playback.reported(item_id, audio_end_ms, True, now_s)
            return min(audio_end_ms, round(aside.audio_ms))
        if entry is None:
            raise ProtocolError("item_truncate_invalid_item_id", f"Item {item_id!r} does not exist", "item_id")
        if entry.ledger is None:
            raise ProtocolError("unsupported_content_type", f"Item {item_id!r} holds no audio of the model", "item_id")
        sent_ms = entry.ledger.audio_ms
        if audio_end_ms > sent_ms + 1000:
            raise ProtocolError(
                "invalid_value",
                f"audio_end_ms must be at most {round(sent_ms)}, the audio sent, got {audio_end_ms}",
                "audio_end_ms",
            )
        played_ms = min(audio_end_ms, round(sent_ms))
        self._correct_suspended(item_id, played_ms)
        self.playback.reported(item_id, played_ms, True, now_s)
        self._cut(item_id, played_ms)
        return played_ms

    def played(self, item_id: str, played_ms: float, ended: bool, now_s: float) -> None:
        """The client reports its playback."""
        if self._said_aside.get(item_id) is not None:
            self._said_aside.playback.reported(item_id, played_ms, ended, now_s)
            return
        if ended:
            self._correct_suspended(item_id, played_ms)
        self.playback.reported(item_id, played_ms, ended, now_s)
        entry = self._conversation.get(item_id)
        if ended and entry is not None and entry.heard_chars is not None:
            self._cut(item_id, played_ms)

    def _correct_suspended(self, item_id: str, played_ms: float) -> None:
        """The client knows better where it stopped."""
        if self._suspended is not None and self._suspended.message_id == item_id:
            self._suspended.played_ms = played_ms

    def was_heard(self, response: Response) -> bool:
        """Whether anything of it reached the user."""
        entries = [self._conversation.get(item.id) for item in response.output]
        return any(
            entry is not None and (entry.heard_chars is None or entry.heard_chars > entry.filler_chars)
            for entry in entries
        )

    def _cut(self, item_id: str, played_ms: float) -> None:
        entry = self._conversation.get(item_id)
        if entry is None or entry.ledger is None:
            return
        entry.heard_chars = entry.ledger.heard_chars(played_ms)
        self._extension.heard(item_id, entry.heard_text, entry.heard_chars, round(played_ms))

    # ------------------------------------------------------------------------------------------------------ end

    def watch(self, now_s: float) -> None:
        """The watchdog: a response nothing was heard of for too long has failed, and its lane is replaced."""
        if self._ducked_since_s is not None and now_s >= self._ducked_since_s + MAX_DUCKED_S:
            self.go_on()
        if self._suspended is not None and now_s >= self._suspended.deadline_s:
            self.give_up()
        if self._paused_until_s is not None and now_s >= self._paused_until_s:
            self.unpause(now_s, "silence")
        for response, lane in ((self.active, "main"), (self._aside_active, "aside")):
            if response is not None and response.dispatched and now_s >= response.deadline_s:
                (self._main if lane == "main" else self._aside).next()
                self._outbox.act(ReplaceLane("main" if lane == "main" else "aside"))
                self._outbox.act(StageError("watchdog"))
                seconds = f"{self._watchdog_s:g}"
                self._finish(
                    response, now_s, "failed", failed("internal_error", f"No progress for {seconds} s, given up")
                )

    def deadlines_s(self) -> list[float]:
        responses = (self.active, self._aside_active)
        deadlines = [response.deadline_s for response in responses if response is not None and response.dispatched]
        if self._ducked_since_s is not None:
            deadlines.append(self._ducked_since_s + MAX_DUCKED_S)
        if self._suspended is not None:
            deadlines.append(self._suspended.deadline_s)
        if self._paused_until_s is not None:
            deadlines.append(self._paused_until_s)
        return deadlines

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
        response.finish(status, details, None if end is None else end.usage)
        self._extension.metrics(response, interrupted_at_ms)
        reason = None if details is None else details.get("reason") or details.get("error", {}).get("code")
        spoken_turn = response.timeline.at_s("speech_end") is not None
        self._outbox.act(ResponseFinished(status, reason, response.timeline, round(response.audio_ms), spoken_turn))
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
