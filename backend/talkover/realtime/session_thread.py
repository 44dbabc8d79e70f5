"""The thread of one session: feeds the protocol core and carries out its actions. The core decides, this only does."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from talkover.engines import Engines, IsStale, SpeakerModel, TurnModel, answers_from_documents
from talkover.messages import (
    CallerKnown,
    Prompt,
    SpeechDropped,
    SpeechSegment,
    StageFailed,
    SummaryMade,
    Transcript,
    TurnOpinion,
    TurnQuestion,
    VoiceOpinion,
    VoiceQuestion,
)
from talkover.metrics import Metrics, TurnMetrics
from talkover.pipeline.cancel import Generations
from talkover.pipeline.lane import Lane
from talkover.pipeline.memory_keeper import MemoryKeeper, MemoryRequest
from talkover.pipeline.passages import PassageFinder
from talkover.pipeline.queues import Inbox
from talkover.pipeline.recognizer import Recognizer
from talkover.pipeline.stage import StageThread
from talkover.pipeline.summarizer import Summarizer
from talkover.pipeline.tool_runner import ToolRunner
from talkover.pipeline.turn_judge import TurnJudge
from talkover.pipeline.voice_judge import VoiceJudge
from talkover.realtime.actions import (
    Action,
    AskSpeakerModel,
    AskTurnModel,
    AudioHeard,
    BargedIn,
    Close,
    Commit,
    Counted,
    Heard,
    Hold,
    Interjected,
    LaneName,
    LookUp,
    OfferResume,
    Recognize,
    Record,
    ReplaceLane,
    ReplaceRecognizer,
    Respond,
    ResponseFinished,
    RunTool,
    Send,
    Speculated,
    StageError,
    StaleDropped,
    StopTool,
    Summarize,
    TurnFinished,
    TurnLeft,
    UseMemory,
    Voiced,
    WentOn,
)
from talkover.realtime.decision_file import DecisionFile
from talkover.realtime.events import encode_event
from talkover.realtime.fields import JsonObject
from talkover.realtime.ids import new_id, seeded_ids
from talkover.realtime.keeper import SessionKeeper
from talkover.realtime.observer import InnerObserver, MakeObserver
from talkover.realtime.outlet import Attach, Away, Detach, Outlet
from talkover.realtime.session import (
    Attached,
    Broke,
    Detached,
    Happened,
    LaneFull,
    Opened,
    RealtimeSession,
    ServerStops,
)
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.watchdog import Pulse
from talkover.vad.frame_sound import MeasuredSounds
from talkover.vad.steady import SteadyVad

log = logging.getLogger(__name__)

MAX_REPORTS = 256
MAX_SPEECH_PIECES = 512
"""about 30 s of speech waiting for recognition; then the socket is read no further"""
MAX_MEMORY_REQUESTS = 16
MAX_TURN_QUESTIONS = 2
"""waiting for the turn model; one that is not asked any more is answered for nothing"""
MAX_VOICE_QUESTIONS = 4
MAX_REPLACEMENTS = 6
"""stuck engines a session survives; an answer and the apology for it may meet one each"""
JOIN_S = 5.0
LONGEST_WAIT_S = 60.0
"""when nothing is due at all: clocks of platforms have an end"""


class SessionThread:
    """One session at work."""

    def __init__(
        self,
        options: SessionOptions,
        engines: Engines,
        lead_ms: int | None,
        outlet: Outlet,
        metrics: Metrics,
        max_frame_bytes: int,
        on_frame_room: Callable[[], None],
        rename: Callable[[JsonObject], JsonObject | None] | None = None,
        decision_log: Path | None = None,
        observers: Sequence[MakeObserver] = (),
        away: Away | None = None,
        keeper: SessionKeeper | None = None,
    ) -> None:
        """`rename` changes events on the last step, for clients of the beta protocol. `decision_log` is the folder for
        a file with all decisions of the session; one that cannot be written is done without. `observers` make those
        that look on. `away`: the session can outlive its socket. `keeper` keeps it in the journal; one that was kept
        begins with nobody attached. Raises OSError when observers cannot write.
        """
        self._engines = engines
        self._lead_ms = lead_ms
        self._outlet = outlet
        self._metrics = metrics
        self._rename = rename
        self._generations: dict[LaneName, Generations] = {"main": Generations(), "aside": Generations()}
        options = replace(options, id_seed=options.id_seed or secrets.token_hex(16))
        self._away = away
        self._keeper = keeper
        kept = options.kept
        self._is_new = kept is None
        # the first id that the core makes of the seed
        self.id = seeded_ids(options.id_seed)("sess_") if kept is None else kept.state.session_id
        self._observers = tuple(make(self.id, options) for make in observers)
        self._decisions = None if decision_log is None else DecisionFile(decision_log, self.id)
        self._inner_observers = tuple(one for one in self._observers if isinstance(one, InnerObserver))
        self._vad = SteadyVad(engines.vad.stream())
        self._core = RealtimeSession(
            options,
            MeasuredSounds(self._vad),
            self._generations["main"],
            self._generations["aside"],
            record=self._record if self._decisions is not None or self._inner_observers else None,
        )
        self.inbox: Inbox[Any] = Inbox(MAX_REPORTS, 2 * max_frame_bytes, on_frame_room)
        retriever = None if answers_from_documents(engines.llm) else engines.retriever
        self._passages = None if retriever is None else PassageFinder(retriever, options.passages, self.id)
        self._lanes: dict[LaneName, Lane] = {"main": self._new_lane("main")}
        self._recognizing = self._new_recognizer()
        self._summarizing: StageThread[Prompt, SummaryMade] | None = None
        self._memory = options.memory
        self._remembering: StageThread[MemoryRequest, CallerKnown] | None = None
        self._tools = ToolRunner(self._report, options.toolbox.slots, self.id)
        self._judging = None if engines.turn is None else self._new_judge(engines.turn)
        self._knowing = None if engines.speaker is None else self._new_voice_judge(engines.speaker)
        self._replacements = 0
        self._steps = 0
        self._is_in_step = False
        self._abandoned: list[Lane | StageThread[Any, Any]] = []
        self._thread = threading.Thread(target=self._run, name=f"receiver-{self.id}", daemon=True)

    def start(self) -> None:
        self._metrics.watch_queues(self.id, self._queue_depths)
        self._thread.start()

    def attach(self, outlet: Outlet) -> None:
        """The client has another socket; what it sends there is offered to the inbox after this."""
        self.inbox.put_behind_frames(Attach(outlet))

    def detach(self, outlet: Outlet) -> None:
        """That socket of the client is lost."""
        self.inbox.put_behind_frames(Detach(outlet))

    def say_goodbye(self) -> None:
        """The server stops: the session ends by itself, with a goodbye, within `departure.LONGEST_S`."""
        self.inbox.report(ServerStops(), lambda: False)

    def stop(self) -> None:
        """The connection is gone: everything in the works is stale. Does not wait."""
        self.inbox.close()
        for lane in tuple(self._lanes.values()):
            lane.close()
        self._recognizing.close()
        self._tools.close()
        if self._passages is not None:
            self._passages.close()
        for background in self._background:
            background.close()

    @property
    def thread_id(self) -> int | None:
        return self._thread.ident

    def pulse(self) -> Pulse:
        """For the watchdog."""
        return Pulse(self._steps, self._is_in_step or self.inbox.has_waiting)

    def give_up(self) -> None:
        """The watchdog found the thread stuck: the client may call again, and the thread ends when it can."""
        self._metrics.errors_total.labels("session").inc()
        self._outlet.close(1011, "the session was stuck")

    def join(self, timeout_s: float = JOIN_S) -> bool:
        """Wait for the session's threads; False when one is stuck in its engine."""
        self._thread.join(timeout_s)
        passages = () if self._passages is None else (self._passages,)
        workers = (*self._lanes.values(), self._recognizing, *self._background, *self._abandoned, *passages)
        return all(tuple(worker.join(timeout_s) for worker in workers)) and not self._thread.is_alive()

    # ---------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        core = self._core
        try:
            if self._is_new:
                self._step(Opened())
            while not self.inbox.is_closed:
                frames_wanted = core.ready_for_frames and self._recognizing.queue.has_room
                wait_s = self._wait_s(time.monotonic())
                happened = self.inbox.get(wait_s if frames_wanted or not core.ready_for_frames else 0.05, frames_wanted)
                match happened:
                    case Attach(outlet):
                        self._attach(outlet)
                    case Detach(outlet):
                        self._detach(outlet)
                    case _:
                        self._step(happened)
            if self._keeper is not None:
                self._keeper.keep(core, time.monotonic())
        except Exception:
            log.exception("session %s: internal error", self.id)
            self._metrics.errors_total.labels("session").inc()
            self._outlet.close(1011, "internal error")
        finally:
            self._metrics.forget_queues(self.id)
            self.stop()
            self._vad.close()
            for observer in self._observers:
                observer.closed()
            if self._decisions is not None:
                self._decisions.close()

    def _wait_s(self, now_s: float) -> float:
        """Until something is due for the core or the journal."""
        wait_s = min(self._core.wait_s(now_s), LONGEST_WAIT_S)
        return wait_s if self._keeper is None else min(wait_s, self._keeper.wait_s(now_s))

    def _attach(self, outlet: Outlet) -> None:
        self._detach(self._outlet)
        self._outlet = outlet
        self._step(Attached())

    def _detach(self, outlet: Outlet) -> None:
        """Not when the client has come back before its first socket was known to be lost."""
        if self._away is not None and outlet is self._outlet and outlet is not self._away:
            self._outlet = self._away
            self._step(Detached())

    def _step(self, happened: Happened) -> None:
        """One step of the core, and what it wants done."""
        self._is_in_step = True
        now_s = time.monotonic()
        for observer in self._observers:
            observer.happened(happened, now_s)
        try:
            actions = self._core.handle(happened, now_s)
        except Exception as error:
            if isinstance(happened, Broke):
                raise
            log.exception("session %s: internal error, it begins anew", self.id)
            self._metrics.errors_total.labels("session").inc()
            self._step(Broke(type(error).__name__))
            return
        for observer in self._observers:
            observer.decided(actions, now_s)
        self._perform(actions)
        self._steps += 1
        self._is_in_step = False
        if self._keeper is not None:
            if happened is not None or actions:
                self._keeper.something_happened(now_s)
            self._keeper.keep_if_due(self._core, now_s)

    def _record(self, line: bytes) -> None:
        if self._decisions is not None:
            self._decisions.write(line)
        for observer in self._inner_observers:
            observer.decided_within(line)

    def _perform(self, actions: list[Action]) -> None:
        """Carry out actions in order; events that follow each other go out together."""
        frames: list[str] = []
        for action in actions:
            if isinstance(action, Send):
                event = self._rename(action.event) if self._rename else action.event
                if event is not None:
                    frames.append(encode_event(event))
                continue
            if isinstance(action, OfferResume):
                frames += self._offer()
                continue
            if isinstance(action, Close) and frames:
                self._outlet.send(frames)
                frames = []
            self._do(action)
        if frames:
            self._outlet.send(frames)

    def _offer(self) -> list[str]:
        """The event with a token to come back with; none where the server offers none."""
        offer = None if self._away is None else self._away.offer()
        if offer is None:
            return []
        event = {"type": "s2s.session.resumable", "event_id": new_id("event_")}
        return [encode_event({**event, "token": offer.token, "expires_in_s": offer.expires_in_s})]

    def _do(self, action: Action) -> None:
        match action:
            case Recognize(item):
                if not self._recognizing.queue.try_put(item):
                    log.warning("session %s: the recognizer's queue is full, speech was dropped", self.id)
                    self._metrics.errors_total.labels("recognizer").inc()
            case LookUp(question):
                if self._passages is not None:
                    self._passages.look_ahead(question)
            case UseMemory(caller, change, note):
                self._use_memory(MemoryRequest(caller, change, note))
            case Summarize(prompt):
                self._summarize(prompt)
            case RunTool(run_id, tool, arguments, key, timeout_s):
                self._tools.start(run_id, tool, arguments, key, timeout_s)
            case StopTool(run_id):
                self._tools.stop(run_id)
            case AskTurnModel(question):
                if self._judging is not None:
                    self._judging.queue.try_put(question)
            case AskSpeakerModel(question):
                if self._knowing is not None:
                    self._knowing.queue.try_put(question)
            case Respond(lane, request):
                if not self._lane(lane).submit(request):
                    self._step(LaneFull(request.response_id))
            case Hold(on, sent_again_ms):
                sender = self._lane("main").sender
                sender.hold() if on else sender.release(sent_again_ms)
            case Commit(generation):
                self._lane("main").sender.commit(generation)
            case ReplaceLane(lane):
                self._replace(self._lanes.pop(lane))
                self._lanes[lane] = self._new_lane(lane)
            case ReplaceRecognizer():
                self._replace(self._recognizing)
                self._recognizing = self._new_recognizer()
            case Close(code, reason):
                self._outlet.close(code, reason)
            case Send() | OfferResume() | Heard() | Voiced() | Record():
                pass
            case _:
                self._count(action)

    def _count(self, action: Counted) -> None:
        metrics = self._metrics
        match action:
            case ResponseFinished(turn):
                self._log_response(turn)
            case TurnFinished(status):
                metrics.turns_total.labels(status).inc()
            case TurnLeft(item_id, reason):
                metrics.turns_left_total.labels(reason).inc()
                log.debug("session %s: %s is not answered: %s", self.id, item_id, reason)
            case BargedIn():
                metrics.barge_ins_total.inc()
            case WentOn(reason):
                metrics.wrong_stops_total.labels(reason).inc()
            case Speculated(outcome):
                metrics.speculations_total.labels(outcome).inc()
            case Interjected(kind):
                metrics.interjections_total.labels(kind).inc()
            case AudioHeard(duration_ms):
                metrics.audio_seconds_total.labels("in").inc(duration_ms / 1000)
            case StaleDropped():
                metrics.stale_dropped_total.inc()
            case StageError(stage):
                metrics.errors_total.labels(stage).inc()

    def _use_memory(self, request: MemoryRequest) -> None:
        """In a thread that begins with the first caller who is named."""
        if self._remembering is None and self._memory is not None:
            keeper = MemoryKeeper(self._memory)
            self._remembering = StageThread(keeper, self._report, _never_stale, MAX_MEMORY_REQUESTS, self.id)
        if self._remembering is not None and not self._remembering.queue.try_put(request):
            log.warning("session %s: the memory's queue is full, a request was dropped", self.id)

    def _summarize(self, prompt: Prompt) -> None:
        """In a thread that begins with the first long conversation."""
        if self._summarizing is None:
            summarizer = Summarizer(self._engines.llm)
            self._summarizing = StageThread(summarizer, self._report, _never_stale, 1, self.id)
        if not self._summarizing.queue.try_put(prompt):
            self._report(SummaryMade("", "the summarizer is busy"), _never_stale(prompt))

    def _log_response(self, turn: TurnMetrics) -> None:
        self._metrics.responses_total.labels(turn.status).inc()
        self._metrics.observe_turn(turn)
        log.info("session %s: response %s", self.id, turn.line(), extra={"session": self.id, "turn": turn.wire()})

    # ------------------------------------------------------------------------------------------------- threads

    def _report(self, item: Any, is_stale: IsStale) -> bool:
        return self.inbox.report(item, is_stale)

    def _lane(self, name: LaneName) -> Lane:
        if name not in self._lanes:
            self._lanes[name] = self._new_lane(name)
        return self._lanes[name]

    def _new_lane(self, name: LaneName) -> Lane:
        passages = self._passages if name == "main" else None
        label = f"{name}-{self.id}"
        tells_text = name == "main" and self._keeper is not None
        return Lane(self._engines, self._generations[name], self._report, self._lead_ms, label, passages, tells_text)

    def _new_recognizer(self) -> StageThread[SpeechSegment | SpeechDropped, Transcript | StageFailed]:
        return StageThread(Recognizer(self._engines.asr), self._report, _never_stale, MAX_SPEECH_PIECES, self.id)

    def _new_judge(self, model: TurnModel) -> StageThread[TurnQuestion, TurnOpinion | StageFailed]:
        return StageThread(TurnJudge(model), self._report, _never_stale, MAX_TURN_QUESTIONS, self.id)

    def _new_voice_judge(self, model: SpeakerModel) -> StageThread[VoiceQuestion, VoiceOpinion | StageFailed]:
        return StageThread(VoiceJudge(model), self._report, _never_stale, MAX_VOICE_QUESTIONS, self.id)

    @property
    def _background(self) -> tuple[StageThread[Any, Any], ...]:
        """What works beside the conversation, as far as there is any."""
        threads = (self._judging, self._knowing, self._summarizing, self._remembering)
        return tuple(thread for thread in threads if thread is not None)

    def _replace(self, worker: Lane | StageThread[Any, Any]) -> None:
        """Leave a stuck worker to end by itself. Raises RuntimeError when it happens too often."""
        worker.close()
        self._abandoned.append(worker)
        self._replacements += 1
        if self._replacements > MAX_REPLACEMENTS:
            raise RuntimeError(f"engines were stuck {self._replacements} times")

    def _queue_depths(self) -> dict[str, int]:
        depths = {"recognizer": len(self._recognizing.queue)}
        lane = self._lanes.get("main")
        return depths if lane is None else depths | lane.queue_depths()


def _never_stale(_item: object) -> IsStale:
    return lambda: False
