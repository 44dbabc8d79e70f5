"""The protocol core of one session: client frames, stage reports and time in, actions out.

No socket, thread, clock or model: the shell (`server.py`) calls `handle` with what happened and the monotonic time, and
carries out the actions it returns. All state of the session lives here and is changed by one thread.

An answer is *due* once a user turn was understood. It is started as soon as the line is free: nobody speaks, no
transcript is awaited, no response is active. So two utterances in a row get one answer, a cough that interrupts an
answer nothing was heard of does not lose it, and a response that may not be interrupted is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from talkover.engines import VadStream
from talkover.llm.history import History
from talkover.memory.store import MemoryStore
from talkover.messages import (
    CallAhead,
    CallerKnown,
    FunctionTool,
    Output,
    PromptMessage,
    ResponseEnd,
    Samples,
    StageFailed,
    SummaryMade,
    ToolFinished,
    Transcript,
    TurnOpinion,
    VoiceOpinion,
    VoiceQuestion,
)
from talkover.metrics import Timeline
from talkover.pipeline.cancel import Generations
from talkover.pipeline.far_end import CaptureClock, FarEnd
from talkover.pipeline.passages import PassageOptions
from talkover.pipeline.receiver import InputOverflow, Receiver, ReceiverEvent, SpeechPiece
from talkover.realtime.actions import (
    Action,
    AskSpeakerModel,
    AskTurnModel,
    Close,
    LookUp,
    NextId,
    Outbox,
    StageError,
    Summarize,
    UseMemory,
)
from talkover.realtime.answers import Answers
from talkover.realtime.behaviour import Manners
from talkover.realtime.call import Call, Greet, HandOver, HangUp
from talkover.realtime.conversation import Conversation, Entry, prompt_messages
from talkover.realtime.decisions import taken
from talkover.realtime.errors import ProtocolError
from talkover.realtime.events import (
    AudioAppend,
    AudioClear,
    AudioCommit,
    ClientEvent,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    PlaybackUpdated,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
    parse_client_event,
)
from talkover.realtime.extension import Extension
from talkover.realtime.fields import JsonObject
from talkover.realtime.ids import new_id
from talkover.realtime.items import ContentPart, Item
from talkover.realtime.listening import Listening
from talkover.realtime.lookahead import Lookahead
from talkover.realtime.phrases import METADATA_KEY
from talkover.realtime.response import Response
from talkover.realtime.server_tools import ServerTools
from talkover.realtime.settings import ResponseOptions, ResponsePlan, SessionSettings, TurnDetection
from talkover.realtime.situation import Situation
from talkover.realtime.speculation import MAX_TRIES
from talkover.realtime.tool_runs import ToolLimits
from talkover.realtime.user_turns import UserTurn, UserTurns, prompt_message
from talkover.tools.tool import Toolbox
from talkover.vad.decision_log import Write
from talkover.vad.echo import ADAPTS_WITHIN_S, EchoCanceller
from talkover.vad.endpointing import TurnOptions
from talkover.vad.lexical import looks_finished
from talkover.vad.turn_events import (
    InterruptionConfirmed,
    LikelyEnd,
    OnsetDropped,
    SpeechEnded,
    SpeechOnset,
    SpeechResumed,
    SpeechRetracted,
    SpeechStarted,
)

WORTH_PREPARING = 0.3
"""how finished an utterance must look for its answer to be prepared"""
MAX_IDLE_PROMPTS = 3
"""times in a row that silence is answered before the agent just waits"""

NOT_UNDERSTOOD = "Sorry, I could not hear that properly. Could you say it again?"
"""spoken when recognition failed: the user must not wait for an answer that never comes"""

RECOGNIZER = "recognizer"
"""the stage without which there is no turn"""
LEARNT_FROM_S = 1.5
"""audio of a turn, pre-roll included, that the caller's voice is learnt from"""
MAX_TURN_MESSAGES = 6
"""of the conversation that a turn model gets to see"""

Report = Transcript | TurnOpinion | VoiceOpinion | SummaryMade | CallerKnown | ToolFinished | CallAhead | Output
Frame = str | bytes


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What the server decides for every session."""

    model: str
    expires_at: int
    """seconds since the epoch, as told to the client"""
    lifetime_s: float
    settings: SessionSettings
    vad_options: TurnOptions
    """thresholds the protocol has no field for"""
    pre_roll_ms: int
    asr_timeout_s: float
    response_timeout_s: float
    """without any progress of the pipeline for so long a response has failed"""
    resolve_voice: Callable[[str], str | None]
    info: JsonObject
    """told to clients of the extension"""
    passages: PassageOptions = PassageOptions()
    """how documents take part in answers"""
    toolbox: Toolbox = field(default_factory=Toolbox)
    """what the server runs for the model"""
    tool_limits: ToolLimits = ToolLimits()
    history_tokens: int | None = None
    """of the conversation in a prompt; what is older is summarised; None: prompts hold all there is"""
    memory: MemoryStore | None = None
    """remembers callers who consent; None: nobody"""
    memory_tools: tuple[FunctionTool, ...] = ()
    """offered where it is known who calls"""
    greeting: str = ""
    """what the agent opens a conversation with; empty: it waits"""
    echo_canceller: Callable[[], EchoCanceller] | None = None
    """makes one for a session; None: clients have to cancel their echo themselves"""
    turn_model: Literal["hears", "reads"] | None = None
    """what the turn model judges by; None: there is none"""
    knows_voices: bool = False
    """there is a speaker model"""
    manners: Manners = Manners()
    """what the agent does while it has no answer to give"""


class RealtimeSession:
    """One conversation."""

    def __init__(
        self,
        options: SessionOptions,
        vad: VadStream,
        main: Generations,
        aside: Generations,
        next_id: NextId = new_id,
        record: Write | None = None,
    ) -> None:
        """`record` takes the lines of the decision log."""
        self.id = next_id("sess_")
        self._options = options
        self._next_id = next_id
        self._settings = options.settings
        self._outbox = Outbox(next_id)
        self._extension = Extension(self._outbox, options.info)
        self._conversation = Conversation(next_id("conv_"))
        self._receiver = Receiver(vad, record)
        self._capture_clock = CaptureClock()
        self._turns = UserTurns(
            self._conversation,
            self._receiver,
            self._outbox,
            self._extension,
            next_id,
            options.asr_timeout_s,
            self._turn_done,
        )
        self._answers = Answers(
            self._conversation, self._outbox, self._extension, main, aside, next_id, options.response_timeout_s
        )
        self._tools = self._answers.server_tools = ServerTools(
            self._conversation,
            self._outbox,
            self._extension,
            next_id,
            options.toolbox,
            options.tool_limits,
            self.id,
        )
        self._situation = Situation(self._conversation)
        self._situation.expect_for(options.settings.server_tools)
        self._lookahead = Lookahead()
        self._call = Call(options.greeting)
        self._caller: str | None = None
        if options.history_tokens is not None:
            self._conversation.history = History(options.history_tokens)
        self._listening = Listening(
            options.manners, self._answers, self._turns, self._receiver, self._extension, self._outbox, self._plan
        )
        self._due: UserTurn | None = None
        self._answering: UserTurn | None = None
        self._apology_due = False
        self._idle_from_s: float | None = None
        self._idle_prompts = 0
        self._expires_s = 0.0
        self._closed = False
        self._apply_echo_cancellation()
        self._apply_turn_detection(None, 0.0)

    # --------------------------------------------------------------------------------------------- for the shell

    def open(self, now_s: float) -> list[Action]:
        """The connection is there."""
        self._expires_s = now_s + self._options.lifetime_s
        self._call.opened(now_s)
        self._outbox.send({"type": "session.created", "session": self._session_wire()})
        return self._outbox.take()

    def handle(self, happened: Frame | Report | None, now_s: float) -> list[Action]:
        """A client's frame, a stage's report, or None when only time has passed. Returns what is to be done, in order.

        Frames may only be given while `ready_for_frames`.
        """
        if self._closed:
            return []
        if isinstance(happened, (str, bytes)):
            self._frame(happened, now_s)
        elif isinstance(happened, Transcript):
            if self._turns.transcript(happened, now_s):
                self._look_ahead(happened)
                if happened.final:
                    self._ask_turn_model(reads=True)
                    self._speculate(happened)
        elif isinstance(happened, TurnOpinion):
            self._turns.opinion(happened)
        elif isinstance(happened, VoiceOpinion):
            self._turns.voice_opinion(happened)
        elif isinstance(happened, StageFailed) and happened.response_id is None:
            self._outbox.act(StageError(happened.stage))
            if happened.stage == RECOGNIZER:  # the models beside it only fall silent
                self._turns.failed(happened.item_id, happened.error, now_s)
        elif isinstance(happened, ToolFinished):
            self._tools.finished(happened, now_s)
            self._call.signalled(happened.signal, now_s)
            self._use_memory(happened.signal)
        elif isinstance(happened, CallerKnown):
            self._conversation.known = happened.notes if happened.caller == self._caller else ()
        elif isinstance(happened, SummaryMade):
            self._conversation.summarised(happened)
        elif isinstance(happened, CallAhead):
            self._call_ahead(happened, now_s)
        elif happened is not None:
            self._answers.take(happened, now_s)
            if isinstance(happened, ResponseEnd) and (prompt := self._conversation.summary_wanted()) is not None:
                self._outbox.act(Summarize(prompt))
        if self._receiver.is_busy:
            self._hear(now_s)
        self._watch(now_s)
        self._answer_if_due(now_s)
        self._speak_for_tools(now_s)
        self._go_through_call(now_s)
        if not self._closed:
            self._closed = self._listening.watch(self._answering, self._quiet_from_s(), now_s)
        return self._outbox.take()

    @property
    def ready_for_frames(self) -> bool:
        """False while audio of an earlier frame is still being worked off."""
        return not self._receiver.is_busy

    @property
    def awaits_words(self) -> bool:
        """True while a final transcript has been asked for and has not come."""
        return self._turns.is_finalising or self._turns.is_awaiting

    def wait_s(self, now_s: float) -> float:
        """Seconds after which `handle(None)` is due at the latest."""
        if self._receiver.is_busy:
            return 0.0
        deadlines = [self._expires_s, self._listening.due_s, *self._turns.deadlines_s(), *self._answers.deadlines_s()]
        idle_at_s = self._idle_at_s()
        if idle_at_s is not None:
            deadlines.append(idle_at_s)
        tools_at_s = self._tools.deadline_s(self._line_is_free, self._answers.playback.ends_s())
        call_at_s = self._call.deadline_s(self._line_is_free, self._answers.playback.ends_s())
        deadlines += [at_s for at_s in (tools_at_s, call_at_s) if at_s is not None]
        return max(0.0, min(deadlines) - now_s)

    def refuse(self, response_id: str, now_s: float) -> list[Action]:
        """The pipeline did not take a request."""
        active = self._answers.active
        if self._answers.interjections.refused(response_id):
            return self._outbox.take()
        if not self._answers.speculation.refused(response_id) and active is not None and active.id == response_id:
            self._answers.refuse(active, now_s)
        return self._outbox.take()

    # --------------------------------------------------------------------------------------------- client events

    def _frame(self, frame: Frame, now_s: float) -> None:
        event: ClientEvent | None = None
        try:
            event = parse_client_event(frame)
            self._client_event(event, now_s)
        except ProtocolError as error:
            caused_by = error.event_id if event is None else event.event_id
            self._outbox.send(error.caused_by(caused_by).event())

    def _client_event(self, event: ClientEvent, now_s: float) -> None:
        match event:
            case AudioAppend():
                self._receiver.push(event.audio, self._settings.input_format)
            case AudioCommit():
                self._answers.speculation.discard()
                self._turns.commit(now_s)
                self._settle(now_s)
            case AudioClear():
                self._turns.clear()
                self._settle(now_s)
                self._outbox.send({"type": "input_audio_buffer.cleared"})
            case SessionUpdate():
                self._update(event.session, now_s)
                self._call.configured(now_s)
            case ItemCreate():
                self._create_item(event, now_s)
            case ItemRetrieve(item_id=item_id):
                entry = self._entry(item_id, "item_retrieve_invalid_item_id")
                item = self._conversation.heard_item(entry)
                self._outbox.send({"type": "conversation.item.retrieved", "item": item.wire(with_audio=True)})
            case ItemDelete(item_id=item_id):
                self._entry(item_id, "item_delete_invalid_item_id")
                self._conversation.delete(item_id)
                self._outbox.send({"type": "conversation.item.deleted", "item_id": item_id})
            case ItemTruncate():
                played_ms = self._answers.truncate(event.item_id, event.audio_end_ms, now_s)
                self._outbox.send(
                    {
                        "type": "conversation.item.truncated",
                        "item_id": event.item_id,
                        "content_index": event.content_index,
                        "audio_end_ms": played_ms,
                    }
                )
            case ResponseCreate():
                self._create_response(event.options, now_s)
            case ResponseCancel(response_id=response_id):
                self._answers.cancel(response_id, now_s)
                self._due = None
            case PlaybackUpdated():
                self._answers.played(event.item_id, event.audio_played_ms, event.ended, now_s)

    def _entry(self, item_id: str, code: str) -> Entry:
        entry = self._conversation.get(item_id)
        if entry is None:
            raise ProtocolError(code, f"Item {item_id!r} does not exist", "item_id")
        return entry

    def _update(self, patch: JsonObject, now_s: float) -> None:
        before = self._settings
        updated = before.updated(patch, self._options.resolve_voice)
        if asks_for_echo_cancellation(updated) and self._options.echo_canceller is None:
            message = "'server' needs vad.echo_canceller in the server's configuration; must be 'client' here"
            raise ProtocolError("invalid_value", message, "session.s2s.echo_cancellation")
        self._settings = updated
        self._outbox.send({"type": "session.updated", "session": self._session_wire()})
        if self._settings.tools != before.tools:
            self._situation.expect_for((*self._settings.tools, *self._settings.server_tools))
        if self._settings.s2s != before.s2s:
            self._extension.configure(self._settings.s2s)
            self._caller_is(None if self._settings.s2s is None else self._settings.s2s.caller)
            self._apply_echo_cancellation()
            s2s = self._settings.s2s
            self._listening.configure((s2s and s2s.manners) or self._options.manners)
        if _detection(self._settings) != _detection(before):
            self._apply_turn_detection(before.turn_detection, now_s)
        self._turns.settings = self._settings
        self._tools.language = self._settings.language

    def _apply_echo_cancellation(self) -> None:
        """The server cancels the echo where it can and the client has not said that it does so itself."""
        s2s, make = self._settings.s2s, self._options.echo_canceller
        cancels = make is not None and (s2s is None or s2s.echo_cancellation != "client")
        if cancels and self._answers.far_end is not None:
            return
        self._receiver.cancel_echo(make() if make is not None and cancels else None)
        self._answers.far_end = FarEnd() if cancels else None

    def _apply_turn_detection(self, before: TurnDetection | None, now_s: float) -> None:
        detection = self._settings.turn_detection
        self._turns.settings = self._settings
        self._idle_prompts = 0
        self._settle(now_s)
        if detection is None:
            self._receiver.configure(None, 0)
            if before is not None:
                self._turns.drop()
                self._receiver.open_all()
            return
        if before is None:
            self._turns.drop()
        self._receiver.configure(
            turn_options(detection, self._vad_options()),
            max(detection.prefix_padding_ms, self._options.pre_roll_ms),
        )

    def _vad_options(self) -> TurnOptions:
        """The server's, with what a client of the extension tuned."""
        barge_in_ms = _barge_in_ms(self._settings)
        options = self._options.vad_options
        return options if barge_in_ms is None else replace(options, barge_in_ms=barge_in_ms)

    def _settle(self, now_s: float) -> None:
        """The client took the sound that was being judged away: the agent is as it was told to be."""
        self._turns.announce()
        self._answers.unpause(now_s, "silence")
        self._answers.go_on()
        self._answers.give_up()
        self._answers.speculation.discard()

    def _create_item(self, event: ItemCreate, now_s: float) -> None:
        item = event.item
        self._listening.user_was_active()
        previous = self._conversation.create(item, event.previous_item_id)
        for event_type in ("conversation.item.added", "conversation.item.done"):
            self._outbox.send({"type": event_type, "previous_item_id": previous, "item": item.wire()})
        for part in item.content:
            if part.type == "input_audio" and part.audio and part.transcript is None:
                self._turns.transcribe_item(item, part.audio, self._settings.input_format, now_s)
                break

    def _create_response(self, options: ResponseOptions, now_s: float) -> None:
        plan = options.resolve(self._settings, self._options.resolve_voice)
        self._conversation.check_inputs(plan)
        timeline = Timeline()
        timeline.mark("requested", now_s)
        if plan.out_of_band:
            self._answers.start_aside(plan, timeline, now_s)
            return
        active = self._answers.active
        if active is not None:
            raise ProtocolError(
                "conversation_already_has_active_response",
                f"Conversation already has an active response: {active.id}. Wait until it is done",
            )
        self._due = None
        self._begin(plan, timeline, None, now_s)

    # ------------------------------------------------------------------------------------------------- the user

    def _hear(self, now_s: float) -> None:
        detection = self._settings.turn_detection
        may_interrupt = detection is None or detection.interrupt_response
        audible = self._answers.is_audible(now_s)
        dialogue = self._situation.dialogue(*self._answers.spoken_ms(now_s))
        far_end = self._answers.far_end
        if far_end is not None and far_end.referenced_s < ADAPTS_WITHIN_S:
            dialogue = replace(dialogue, is_echoing=True)
        self._receiver.in_dialogue(dialogue)
        for event in self._receiver.step(audible, self._far_end(now_s)):
            self._receiver_event(event, may_interrupt, audible, now_s)

    def _far_end(self, now_s: float) -> Callable[[int], Samples] | None:
        far_end = self._answers.far_end
        if far_end is None:
            return None
        return lambda n_samples: far_end.window(self._capture_clock.heard_until_s(n_samples, now_s), n_samples)

    def _receiver_event(self, event: ReceiverEvent, may_interrupt: bool, audible: bool, now_s: float) -> None:
        if (decision := taken(event, audible, may_interrupt)) is not None:
            self._extension.decided(decision.decision, decision.reason, decision.at_ms, **decision.details)
        match event:
            case SpeechOnset():
                if audible:
                    self._turns.onset()
                    if may_interrupt and event.is_near:
                        self._answers.duck(now_s)
            case OnsetDropped():
                self._turns.dropped()
                self._answers.go_on()
            case SpeechStarted():
                self._idle_prompts = 0
                self._call.user_spoke()
                self._listening.user_was_active()
                paused = may_interrupt and not event.is_certain and self._answers.pause(now_s)
                self._turns.started(event, announced=not paused)
                if paused:
                    return
                if may_interrupt:
                    self._interrupt(event.is_certain, now_s)
                else:
                    self._answers.go_on()
            case InterruptionConfirmed():
                if self._answers.is_paused:
                    self._turns.announce()
                    self._interrupt(True, now_s)
                self._answers.give_up()
            case SpeechRetracted():
                self._turns.retracted()
                if self._answers.is_paused:
                    self._answers.unpause(now_s, event.reason)
                else:
                    self._answers.resume(now_s, event.reason)
            case SpeechPiece():
                self._turns.piece(event)
                if self._options.knows_voices and (question := self._turns.voice_question()) is not None:
                    self._outbox.act(AskSpeakerModel(question))
            case LikelyEnd():
                self._turns.likely_end(event)
                self._ask_turn_model(reads=False)
            case SpeechResumed():
                self._answers.speculation.discard()
                self._turns.resumed(event)
            case SpeechEnded():
                self._turns.ended(event, now_s)
            case InputOverflow(dropped_ms=dropped_ms):
                message = (
                    f"Without turn detection a commit is due every 5 minutes of audio; {dropped_ms} ms were dropped"
                )
                self._outbox.send(ProtocolError("invalid_value", message, "audio").event())

    def _interrupt(self, is_certain: bool, now_s: float) -> None:
        answers = self._answers
        cut_off = answers.active
        unheard = answers.interrupt(now_s, "turn_detected") if is_certain else answers.suspend(now_s)
        if unheard and cut_off is not None:
            self._tools.unheard(cut_off)
        if unheard and self._answering is not None and detection_answers(self._settings):
            self._due = UserTurn(self._answering.item_id)
            self._due.timeline.mark("requested", now_s)

    def _turn_done(self, turn: UserTurn, text: str | None, now_s: float) -> None:
        """A user turn was understood (text), empty (""), or recognition failed (None)."""
        answers = turn.answered_automatically and detection_answers(self._settings)
        self._listening.heard(text or "", self._language_of(turn))
        if text and self._options.knows_voices and not turn.over_agent and turn.audio_s >= LEARNT_FROM_S:
            self._outbox.act(AskSpeakerModel(VoiceQuestion(turn.item_id, np.concatenate(turn.audio), is_caller=True)))
        if self._is_for_tools(text or "", turn.timeline.at_s("speech_end") or now_s) and answers:
            self._answers.speculation.discard()
            self._due = None
            return
        if answers and text is None:
            self._apology_due = True
        if answers and text != "":
            self._due = turn
        active = self._answers.active
        if active is not None and not active.dispatched and not self._turns.is_awaiting:
            self._answers.dispatch(active, now_s)

    def _ask_turn_model(self, reads: bool) -> None:
        """At a likely end: at once where it hears, with the words where it `reads`."""
        if self._options.turn_model != ("reads" if reads else "hears"):
            return
        question = self._turns.question()
        if question is not None:
            spoken = (one for one in prompt_messages(self._conversation.entries()) if isinstance(one, PromptMessage))
            messages = (*spoken, *question.messages)[-MAX_TURN_MESSAGES:]
            self._outbox.act(AskTurnModel(replace(question, messages=messages)))

    def _speculate(self, transcript: Transcript) -> None:
        """Prepare the answer to an utterance that is likely to be over."""
        turn = self._turns.open
        answers = self._answers
        free = answers.active is None and not answers.is_suspended and self._due is None and not self._turns.is_awaiting
        if turn is None or not free or not turn.answered_automatically or not detection_answers(self._settings):
            return
        if turn.speculations >= MAX_TRIES or looks_finished(transcript.text) < WORTH_PREPARING or not transcript.text:
            return
        turn.speculations += 1
        plan = self._plan()
        answers.speculation.prepare(plan, prompt_message(transcript))

    def _look_ahead(self, transcript: Transcript) -> None:
        """Have the documents searched for what is being asked; an engine without documents ignores it."""
        if self._conversation.get(transcript.item_id) is None:
            question = self._lookahead.hear(transcript, self._conversation.last_user_text())
            if question is not None:
                self._outbox.act(LookUp(question))

    # ------------------------------------------------------------------------------------------------ the tools

    @property
    def _line_is_free(self) -> bool:
        """Nobody speaks, and nothing is being answered, awaited or undecided."""
        answers, turns = self._answers, self._turns
        speaking = turns.open is not None and turns.open.answered_automatically
        busy = answers.active is not None or answers.is_suspended or self._due is not None
        return not (busy or speaking or turns.is_awaiting)

    def _is_for_tools(self, text: str, quiet_since_s: float) -> bool:
        """Whether the user's words answer a tool's question or call its work off."""
        question = self._tools.question
        return self._tools.user_said(text, quiet_since_s, question is not None and self._answers.was_heard(question))

    def _call_ahead(self, call: CallAhead, now_s: float) -> None:
        if self._answers.speculation.is_making(call.response_id):
            self._tools.called_ahead(call.name, call.arguments, now_s)

    def _speak_for_tools(self, now_s: float) -> None:
        """Fill a wait, ask for consent, or have a result told."""
        if self._tools.is_idle:
            return
        speech = self._tools.step(self._line_is_free, self._answers.playback.ends_s(), now_s)
        if speech is None:
            return
        self._answers.speculation.discard()
        timeline = Timeline()
        timeline.mark("requested", now_s)
        plan = speech.plan(ResponseOptions().resolve(self._settings, self._options.resolve_voice))
        self._tools.begun(speech, self._begin(plan, timeline, None, now_s, speech.say))
        if speech.say is not None:
            self._answering = None

    def _caller_is(self, caller: str | None) -> None:
        """The client says who calls: what is remembered of them is read, and the tools for it are offered."""
        if self._options.memory is None or caller == self._caller:
            return
        self._caller, self._conversation.known = caller, ()
        own = tuple(tool for tool in self._settings.server_tools if tool not in self._options.memory_tools)
        self._settings = replace(self._settings, server_tools=(*own, *(self._options.memory_tools if caller else ())))
        self._situation.expect_for((*self._settings.tools, *self._settings.server_tools))
        if caller is not None:
            self._outbox.act(UseMemory(caller))

    def _use_memory(self, signal: str) -> None:
        kind, _, note = signal.partition(":")
        if self._caller is not None and kind in ("remember", "forget"):
            self._outbox.act(UseMemory(self._caller, kind, note))

    def _go_through_call(self, now_s: float) -> None:
        """Greet, hand over to a human, hang up."""
        has_begun = self._conversation.last_id is not None
        step = self._call.step(self._line_is_free, has_begun, self._answers.playback.ends_s(), now_s)
        match step:
            case Greet(text):
                timeline = Timeline()
                timeline.mark("requested", now_s)
                plan = ResponseOptions().resolve(self._settings, self._options.resolve_voice)
                self._begin(replace(plan, metadata={METADATA_KEY: "greeting"}), timeline, None, now_s, text)
                self._answering = None
            case HandOver(reason):
                self._extension.handover(reason, self._conversation)
            case HangUp():
                self._extension.call_ended()
                self._close(1000, "call ended")
            case None:
                pass

    # ------------------------------------------------------------------------------------------------ the agent

    def _answer_if_due(self, now_s: float) -> None:
        busy = self._answers.active is not None or self._turns.is_awaiting
        speaking = self._turns.open is not None and self._turns.open.answered_automatically
        if self._due is None or busy or speaking:
            return
        turn, self._due = self._due, None
        plan = self._plan()
        self._begin(plan, turn.timeline, turn, now_s, NOT_UNDERSTOOD if self._apology_due else None)
        self._apology_due = False

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

    # --------------------------------------------------------------------------------------------------- time

    def _watch(self, now_s: float) -> None:
        self._turns.watch(now_s)
        self._answers.watch(now_s)
        quiet = (
            not self._tools.is_running
            and self._answers.active is None
            and self._turns.open is None
            and not self._turns.is_awaiting
        )
        if not quiet:
            self._idle_from_s = None
        elif self._idle_from_s is None:
            self._idle_from_s = now_s
        idle_at_s = self._idle_at_s()
        if idle_at_s is not None and now_s >= idle_at_s:
            self._prompt_idle_user(now_s)
        if now_s >= self._expires_s:
            self._outbox.send(ProtocolError("session_expired", "The session has reached its maximum duration").event())
            self._close(1001, "session expired")

    def _close(self, code: int, reason: str) -> None:
        self._outbox.act(Close(code, reason))
        self._closed = True

    def _quiet_from_s(self) -> float | None:
        """Since when the user is silent and nothing is due; None when the protocol's idle timeout is in charge."""
        detection = self._settings.turn_detection
        if detection is None or detection.idle_timeout_ms is not None or self._idle_from_s is None or self._due:
            return None
        if not detection.create_response or self._conversation.last_id is None:
            return None
        return max(self._idle_from_s, self._answers.playback.ends_s())

    def _language_of(self, turn: UserTurn) -> str | None:
        """What the recogniser found, or the client says."""
        found = None if turn.transcript is None else turn.transcript.language
        return found or self._settings.language

    def _plan(self) -> ResponsePlan:
        return ResponseOptions().resolve(self._settings, self._options.resolve_voice)

    def _idle_at_s(self) -> float | None:
        """When silence is answered; None when it is not."""
        detection = self._settings.turn_detection
        if detection is None or detection.idle_timeout_ms is None or self._idle_from_s is None:
            return None
        if self._idle_prompts >= MAX_IDLE_PROMPTS or self._conversation.last_id is None:
            return None
        return max(self._idle_from_s, self._answers.playback.ends_s()) + detection.idle_timeout_ms / 1000

    def _prompt_idle_user(self, now_s: float) -> None:
        self._idle_prompts += 1
        detection = self._settings.turn_detection
        idle_ms = detection.idle_timeout_ms if detection is not None else None
        end_ms = round(self._receiver.now_ms)
        item = Item(
            self._next_id("item_"), "message", role="user", content=(ContentPart("input_audio", transcript=""),)
        )
        self._outbox.send(
            {
                "type": "input_audio_buffer.timeout_triggered",
                "audio_start_ms": max(0, end_ms - (idle_ms or 0)),
                "audio_end_ms": end_ms,
                "item_id": item.id,
            }
        )
        self._turns.add_item(item)
        timeline = Timeline()
        timeline.mark("requested", now_s)
        plan = self._plan()
        self._begin(plan, timeline, None, now_s)

    def _session_wire(self) -> JsonObject:
        return self._settings.wire(self.id, self._options.model, self._options.expires_at)


def asks_for_echo_cancellation(settings: SessionSettings) -> bool:
    """Whether the client wants the server to take the agent's echo out of its microphone."""
    return settings.s2s is not None and settings.s2s.echo_cancellation == "server"


def _detection(settings: SessionSettings) -> tuple[TurnDetection | None, int | None]:
    """All that tells how turns are found."""
    return settings.turn_detection, _barge_in_ms(settings)


def _barge_in_ms(settings: SessionSettings) -> int | None:
    return None if settings.s2s is None else settings.s2s.barge_in_ms


def detection_answers(settings: SessionSettings) -> bool:
    """Whether the end of a turn brings a response by itself."""
    return settings.turn_detection is not None and settings.turn_detection.create_response


def turn_options(detection: TurnDetection, defaults: TurnOptions) -> TurnOptions:
    """The endpointer's options for the protocol's turn detection."""
    return TurnOptions(
        mode=detection.type,
        threshold=detection.threshold if detection.type == "server_vad" else defaults.threshold,
        silence_duration_ms=detection.silence_duration_ms,
        eagerness=detection.eagerness,
        min_speech_ms=defaults.min_speech_ms,
        barge_in_ms=defaults.barge_in_ms,
        max_utterance_ms=defaults.max_utterance_ms,
    )
