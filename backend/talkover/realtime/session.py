"""The protocol core of one session: client frames, stage reports and time in, actions out.

No socket, thread, clock or model: the shell (`session_thread.py`) calls `handle` with what happened and the monotonic
time, and carries out the actions it returns. All state of the session lives here and below; one thread changes it.

What happened goes to the part that it concerns: the user's audio to `Hearing`, words to `UserTurns`, what the pipeline
made to `Answers`. Then `Floor` says who speaks next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from talkover.llm.history import History
from talkover.messages import (
    CallAhead,
    CallerKnown,
    Output,
    ResponseEnd,
    StageFailed,
    SummaryMade,
    TextAhead,
    ToolFinished,
    Transcript,
    TurnOpinion,
    VoiceOpinion,
)
from talkover.metrics import Timeline
from talkover.pipeline.cancel import Generations
from talkover.pipeline.receiver import Receiver
from talkover.realtime.absence import Absence
from talkover.realtime.actions import Action, Close, NextId, Outbox, StageError, Summarize
from talkover.realtime.answers import Answers
from talkover.realtime.call import Call
from talkover.realtime.caller_memory import CallerMemory
from talkover.realtime.conversation import Conversation, Entry
from talkover.realtime.early_work import EarlyWork
from talkover.realtime.errors import ProtocolError, server_error
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
from talkover.realtime.floor import Floor
from talkover.realtime.hearing import Hearing
from talkover.realtime.ids import new_id, seeded_ids
from talkover.realtime.items import ContentPart, Item
from talkover.realtime.listening import Listening
from talkover.realtime.owed import Owed
from talkover.realtime.parameters import ResolveVoice
from talkover.realtime.phrases import remark
from talkover.realtime.recording_notice import RecordingNotice
from talkover.realtime.server_tools import ServerTools
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.settings import ResponseOptions, ResponsePlan, SessionSettings
from talkover.realtime.situation import Situation
from talkover.realtime.snapshot import SessionState, Snapshot, entries_of, item_snapshots
from talkover.realtime.user_turns import UserTurn, UserTurns
from talkover.vad.decision_log import Write, voice_line
from talkover.vad.frame_sound import FrameSounds

SERVER_SHUTDOWN = "server shutdown"
"""why a session ends that was not at fault; closed with 1001"""
RECOGNIZER = "recognizer"
"""the stage without which there is no turn"""
MAX_BREAKS = 3
"""steps that may raise; a fault that comes again and again ends the session"""
BROKE = "The session met an internal error and listens again"


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection is there: what happens first."""


@dataclass(frozen=True, slots=True)
class Detached:
    """The client's socket was lost, and it may come back: nothing that is sent arrives."""


@dataclass(frozen=True, slots=True)
class Attached:
    """The client is back, on another socket."""


@dataclass(frozen=True, slots=True)
class LaneFull:
    """The pipeline did not take a request."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Broke:
    """The step before raised: whatever it was about is in an unknown state."""

    error: str
    """type of the exception"""


@dataclass(frozen=True, slots=True)
class ServerStops:
    """The server shuts down: the session says goodbye and ends."""


Report = (
    TextAhead | Transcript | TurnOpinion | VoiceOpinion | SummaryMade | CallerKnown | ToolFinished | CallAhead | Output
)
Frame = str | bytes
Happened = Opened | Detached | Attached | Frame | Report | LaneFull | Broke | ServerStops | None
"""None: only time has passed"""


class RealtimeSession:
    """One conversation."""

    def __init__(
        self,
        options: SessionOptions,
        sounds: FrameSounds,
        main: Generations,
        aside: Generations,
        next_id: NextId | None = None,
        record: Write | None = None,
    ) -> None:
        """`sounds` measures the user's audio. `next_id` makes ids, else they are made as `options` say. `record` takes
        the lines of the decision log. Where `options` have a conversation that goes on, its client is away, and the
        first to happen is `Attached`."""
        kept = options.kept
        if next_id is None:
            next_id = seeded_ids(options.id_seed) if options.id_seed else new_id
        self.id = next_id("sess_") if kept is None else kept.state.session_id
        if record is not None:
            options = replace(options, resolve_voice=_recorded_voices(options.resolve_voice, record))
        self._options = options
        self._sounds = sounds
        self._main, self._aside = main, aside
        self._next_id = next_id
        self._record = record
        self._settings = options.settings
        self._expires_s = math.inf
        self._closed = False
        self._breaks = 0
        outbox = self._outbox = Outbox(next_id)
        self._extension = Extension(outbox, options.info)
        conversation = self._conversation = Conversation(
            next_id("conv_") if kept is None else kept.state.conversation_id
        )
        if options.history_tokens is not None:
            conversation.history = History(options.history_tokens)
        self._tools = ServerTools(
            conversation, outbox, self._extension, next_id, options.toolbox, options.tool_limits, self.id
        )
        self._memory = CallerMemory(options.memory is not None, options.memory_tools, conversation, outbox)
        self._situation = Situation(conversation)
        self._situation.expect_for(options.settings.server_tools)
        self._call = Call(options.greeting)
        self._notice = RecordingNotice(options.recording, conversation, self._extension, outbox)
        self._assemble(Receiver(sounds, record, 0.0 if kept is None else kept.state.input_ms), 0.0)
        if kept is not None:
            self._restore(kept)

    def _assemble(self, receiver: Receiver, now_s: float) -> None:
        """What listens and answers, at its beginning; the conversation and what tools do for it stay."""
        options, conversation, outbox, extension = self._options, self._conversation, self._outbox, self._extension
        next_id, s2s = self._next_id, self._settings.s2s
        self._receiver = receiver
        turns = self._turns = UserTurns(
            conversation, receiver, outbox, extension, next_id, options.asr_timeout_s, self._turn_done
        )
        answers = self._answers = Answers(
            conversation, outbox, extension, self._main, self._aside, next_id, options.response_timeout_s
        )
        answers.server_tools = self._tools
        manners = (s2s and s2s.manners) or options.manners
        self._listening = Listening(manners, answers, turns, receiver, extension, outbox, self._plan)
        answers.apology = lambda: remark("broke_down", self._listening.language)
        self._floor = Floor(
            conversation,
            turns,
            answers,
            self._tools,
            self._call,
            self._notice,
            self._listening,
            extension,
            outbox,
            self._plan,
        )
        self._early_work = EarlyWork(options, conversation, turns, answers, outbox, self._plan)
        self._hearing = Hearing(
            options, receiver, self._situation, turns, answers, self._floor, self._early_work, extension, outbox
        )
        self._absence = Absence(conversation, turns, answers, self._floor, extension, outbox)
        self._hearing.configure(self._settings, None, now_s)

    # --------------------------------------------------------------------------------------------- for the shell

    def handle(self, happened: Happened, now_s: float) -> list[Action]:
        """One step: what happened, and when. Returns what is to be done, in order.

        Frames may only be given while `ready_for_frames`.
        """
        if self._closed:
            return []
        match happened:
            case None:
                pass
            case Opened():
                self._open(now_s)
            case Detached():
                self._absence.left(now_s)
            case Attached():
                self._expires_s = min(self._expires_s, now_s + self._options.lifetime_s)
                self._hearing.client_back(now_s)
                self._absence.back(self._session_wire(), self._receiver.received_ms, now_s)
            case LaneFull(response_id):
                self._lane_full(response_id, now_s)
            case Broke():
                self._begin_anew(now_s)
            case ServerStops():
                self._floor.server_stops(now_s)
            case str() | bytes():
                self._frame(happened, now_s)
            case _:
                self._report(happened, now_s)
        if self._hearing.is_busy:
            self._hearing.step(now_s)
        self._hearing.watch(now_s)
        self._turns.watch(now_s)
        self._answers.watch(now_s)
        self._absence.watch(now_s)
        if now_s >= self._expires_s:
            self._outbox.send(ProtocolError("session_expired", "The session has reached its maximum duration").event())
            self._close(1001, "session expired")
        elif self._floor.departs(now_s):
            self._close(1001, SERVER_SHUTDOWN)
        elif (hangs_up := self._floor.watch(self._add_silence, now_s)) is not None:
            self._extension.call_ended()
            self._close(1000, hangs_up)
        return self._outbox.take()

    @property
    def ready_for_frames(self) -> bool:
        """False while audio of an earlier frame is still being worked off."""
        return not self._hearing.is_busy

    @property
    def awaits_words(self) -> bool:
        """True while a final transcript has been asked for and has not come."""
        return self._turns.is_finalising or self._turns.is_awaiting

    def wait_s(self, now_s: float) -> float:
        """Seconds after which `handle(None)` is due at the latest."""
        if self._hearing.is_busy:
            return 0.0
        parts = (self._hearing, self._turns, self._answers, self._absence, self._floor)
        due_s = min([self._expires_s, *(at_s for part in parts for at_s in part.deadlines_s())])
        return max(0.0, due_s - now_s)

    def snapshot(self, now_s: float) -> Snapshot:
        """The conversation as it stands, to go on from when this process is no more."""
        turns, answers, history = self._turns, self._answers, self._conversation.history
        owed = self._absence.owed or (Owed("") if self._floor.owes_answer else answers.owed(now_s))
        items = item_snapshots(self._conversation, answers.spoken.playback, turns.unknown_ids, now_s)
        unknown_from_ms = turns.unknown_from_ms
        state = SessionState(
            self.id,
            self._conversation.id,
            self._options.model,
            self._options.expires_at,
            replace(self._settings, server_tools=()),
            tuple(kept.item.id for kept in items),
            "" if history is None else history.summary,
            () if history is None else tuple(sorted(history.covered)),
            self._receiver.received_ms if unknown_from_ms is None else unknown_from_ms,
            owed,
        )
        return Snapshot(state, items)

    def _restore(self, kept: Snapshot) -> None:
        state = kept.state
        self._settings = replace(state.settings, server_tools=self._options.settings.server_tools)
        self._conversation.restore(entries_of(kept.items), state.summary, state.summarised)
        self._absence.owed = state.owed
        self._floor.is_held = True
        self._extension.restore(state.settings.s2s)
        self._situation.expect_for((*self._settings.tools, *self._settings.server_tools))
        self._tools.language = self._settings.language
        self._configure(self._settings)
        self._hearing.configure(self._settings, None, 0.0)

    # --------------------------------------------------------------------------------------------- stage reports

    def _report(self, report: Report, now_s: float) -> None:
        match report:
            case TextAhead(response_id, text, last):
                self._answers.texts.add(response_id, text, last)
            case Transcript():
                if self._turns.transcript(report, now_s):
                    self._early_work.words(report, self._floor.can_prepare)
            case TurnOpinion():
                self._turns.opinion(report)
            case VoiceOpinion():
                self._turns.voice_opinion(report)
            case StageFailed(response_id=None):
                self._outbox.act(StageError(report.stage))
                if report.stage == RECOGNIZER:  # the models beside it only fall silent
                    self._turns.failed(report.item_id, report.error, now_s)
            case ToolFinished():
                self._floor.tool_finished(report, now_s)
                self._memory.signalled(report.signal)
            case CallAhead():
                self._floor.called_ahead(report, now_s)
            case CallerKnown():
                self._memory.known(report)
            case SummaryMade():
                self._conversation.summarised(report)
            case _:
                self._answers.take(report, now_s)
                if isinstance(report, ResponseEnd) and (prompt := self._conversation.summary_wanted()) is not None:
                    self._outbox.act(Summarize(prompt))

    def _turn_done(self, turn: UserTurn, text: str | None, now_s: float) -> None:
        """A user turn was understood (text), empty (""), or recognition failed (None)."""
        self._early_work.turn_done(turn, text)
        self._floor.turn_done(turn, text, self._hearing.is_addressed(turn, now_s), now_s)

    # --------------------------------------------------------------------------------------------- client events

    def _frame(self, frame: Frame, now_s: float) -> None:
        event: ClientEvent | None = None
        try:
            event = parse_client_event(frame, self._next_id)
            self._client_event(event, now_s)
        except ProtocolError as error:
            caused_by = error.event_id if event is None else event.event_id
            self._outbox.send(error.caused_by(caused_by).event())

    def _client_event(self, event: ClientEvent, now_s: float) -> None:
        match event:
            case AudioAppend():
                self._hearing.push(event.audio, self._settings.input_format)
            case AudioCommit():
                self._answers.speculation.discard()
                self._turns.commit(now_s)
                self._hearing.settle(now_s)
            case AudioClear():
                self._turns.clear()
                self._hearing.settle(now_s)
                self._outbox.send({"type": "input_audio_buffer.cleared"})
            case SessionUpdate():
                self._update(event.session, now_s)
                self._call.configured(now_s)
                s2s = self._settings.s2s
                self._notice.configured(None if s2s is None else s2s.recording, now_s)
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
                self._absence.told(event.item_id, now_s)
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
                self._floor.nothing_due()
            case PlaybackUpdated():
                self._answers.played(event.item_id, event.audio_played_ms, event.ended, now_s)
                if event.ended:
                    self._absence.told(event.item_id, now_s)

    def _entry(self, item_id: str, code: str) -> Entry:
        entry = self._conversation.get(item_id)
        if entry is None:
            raise ProtocolError(code, f"Item {item_id!r} does not exist", "item_id")
        return entry

    def _update(self, patch: JsonObject, now_s: float) -> None:
        before = self._settings
        self._settings = updated_settings(before, patch, self._options)
        self._outbox.send({"type": "session.updated", "session": self._session_wire()})
        self._take_effect(before, now_s)

    def _take_effect(self, before: SessionSettings, now_s: float) -> None:
        """Of settings that were `before`, and have been told to the client."""
        updated = self._settings
        if updated.s2s != before.s2s:
            s2s = updated.s2s
            self._extension.configure(s2s)
            self._configure(updated)
        if self._settings.tools != before.tools or self._settings.server_tools != before.server_tools:
            self._situation.expect_for((*self._settings.tools, *self._settings.server_tools))
        self._tools.language = self._settings.language
        self._hearing.configure(self._settings, before, now_s)

    def _configure(self, settings: SessionSettings) -> None:
        """What a client of the extension asks for beyond events."""
        s2s = settings.s2s
        self._listening.configure((s2s and s2s.manners) or self._options.manners)
        if self._memory.caller_is(None if s2s is None else s2s.caller):
            self._settings = replace(settings, server_tools=self._memory.offered(settings.server_tools))

    def _create_item(self, event: ItemCreate, now_s: float) -> None:
        item = event.item
        self._floor.user_wrote()
        if item.role == "user" and item.type == "message":
            self._notice.user_wrote(item.text)
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
        self._floor.begin(plan, timeline, now_s)

    # ---------------------------------------------------------------------------------------------------- inside

    def _open(self, now_s: float) -> None:
        self._expires_s = now_s + self._options.lifetime_s
        self._call.opened(now_s)
        self._notice.opened(now_s)
        before = self._settings
        self._settings = self._options.begins_with or before
        self._outbox.send({"type": "session.created", "session": self._session_wire()})
        if self._settings is not before:
            self._take_effect(before, now_s)

    def _lane_full(self, response_id: str, now_s: float) -> None:
        active = self._answers.active
        if self._answers.interjections.refused(response_id) or self._answers.speculation.refused(response_id):
            return
        if active is not None and active.id == response_id:
            self._answers.refuse(active, now_s)

    def _begin_anew(self, now_s: float) -> None:
        """A fault of ours: whatever it was about is ended, and the session listens again; not without end."""
        self._breaks += 1
        self._outbox.send(server_error("internal_error", BROKE))
        was_waited_for = self._answers.active is not None or self._turns.is_awaiting or self._turns.open is not None
        is_held = self._floor.is_held
        self._hearing.settle(now_s)
        self._turns.abandon()
        self._answers.abandon(BROKE, now_s)
        if self._breaks > MAX_BREAKS:
            self._close(1011, "internal error")
            return
        self._sounds.reset()
        absence = self._absence
        self._assemble(Receiver(self._sounds, self._record, self._receiver.received_ms), now_s)
        self._absence.owed = absence.owed
        self._floor.is_held = is_held
        if was_waited_for:
            self._floor.apologise(now_s)

    def _add_silence(self) -> None:
        """The protocol's idle timeout: the user's silence becomes an item, to be answered."""
        detection = self._settings.turn_detection
        idle_ms = (detection and detection.idle_timeout_ms) or 0
        end_ms = round(self._receiver.now_ms)
        item = Item(
            self._next_id("item_"), "message", role="user", content=(ContentPart("input_audio", transcript=""),)
        )
        self._outbox.send(
            {
                "type": "input_audio_buffer.timeout_triggered",
                "audio_start_ms": max(0, end_ms - idle_ms),
                "audio_end_ms": end_ms,
                "item_id": item.id,
            }
        )
        self._turns.add_item(item)

    def _close(self, code: int, reason: str) -> None:
        self._outbox.act(Close(code, reason))
        self._closed = True

    def _plan(self) -> ResponsePlan:
        return ResponseOptions().resolve(self._settings, self._options.resolve_voice)

    def _session_wire(self) -> JsonObject:
        return self._settings.wire(self.id, self._options.model, self._options.expires_at)


def _recorded_voices(resolve_voice: ResolveVoice, record: Write) -> ResolveVoice:
    """Voices come and go while the server runs: which one was there is part of the log."""

    def resolve(name: str) -> str | None:
        found = resolve_voice(name)
        record(voice_line(name, found))
        return found

    return resolve


def updated_settings(settings: SessionSettings, patch: JsonObject, options: SessionOptions) -> SessionSettings:
    """`settings` with the `session` of a `session.update` merged in. Raises ProtocolError."""
    updated = settings.updated(patch, options.resolve_voice)
    if asks_for_echo_cancellation(updated) and options.echo_canceller is None:
        message = "'server' needs vad.echo_canceller in the server's configuration; must be 'client' here"
        raise ProtocolError("invalid_value", message, "session.s2s.echo_cancellation")
    if updated.s2s is not None and updated.s2s.recording and options.recording is None:
        message = "true needs recording.path in the server's configuration; must be false here"
        raise ProtocolError("invalid_value", message, "session.s2s.recording")
    return updated


def asks_for_echo_cancellation(settings: SessionSettings) -> bool:
    """Whether the client wants the server to take the agent's echo out of its microphone."""
    return settings.s2s is not None and settings.s2s.echo_cancellation == "server"
