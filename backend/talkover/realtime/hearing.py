"""The user's side of a session: audio in, and what turn taking makes of it. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from talkover.audio import AudioFormat
from talkover.messages import Samples
from talkover.pipeline.far_end import CaptureClock, FarEnd
from talkover.pipeline.receiver import InputOverflow, Receiver, ReceiverEvent, SpeechPiece
from talkover.realtime.actions import AudioHeard, Outbox
from talkover.realtime.answers import Answers
from talkover.realtime.decisions import taken
from talkover.realtime.early_work import EarlyWork
from talkover.realtime.errors import ProtocolError
from talkover.realtime.extension import Extension
from talkover.realtime.floor import Floor
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.settings import SessionSettings
from talkover.realtime.situation import Situation
from talkover.realtime.turn_detection import TurnDetection
from talkover.realtime.user_turns import UserTurn, UserTurns
from talkover.vad.addressed import is_addressed
from talkover.vad.echo import ADAPTS_WITHIN_S
from talkover.vad.endpointing import TurnOptions
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

COUNTED_MS = 1000.0
"""grain in which heard audio is counted"""
MUTED_AFTER_S = 4.0
"""without audio for so long in the middle of an utterance, its silence will not come either: a client that mutes its
microphone sends nothing. Longer than most stalls of a network, which would cut the turn in two"""


class Hearing:
    """Tells the receiver what the agent is saying, and carries its events to turns, answers and the floor."""

    def __init__(
        self,
        options: SessionOptions,
        receiver: Receiver,
        situation: Situation,
        turns: UserTurns,
        answers: Answers,
        floor: Floor,
        early_work: EarlyWork,
        extension: Extension,
        outbox: Outbox,
    ) -> None:
        self._options = options
        self._receiver = receiver
        self._situation = situation
        self._turns = turns
        self._answers = answers
        self._floor = floor
        self._early_work = early_work
        self._extension = extension
        self._outbox = outbox
        self._capture_clock = CaptureClock()
        self._counted_ms = 0.0
        self._audio_at_s = 0.0
        """when audio was last heard"""
        self._passed_over_s: float | None = None
        """when a turn was last taken for somebody else's"""

    # -------------------------------------------------------------------------------------------------- settings

    def configure(self, settings: SessionSettings, before: SessionSettings | None, now_s: float) -> None:
        """Hear as the session is set up; `before` is how it was, None at its beginning."""
        self._turns.settings = settings
        if before is None or settings.s2s != before.s2s:
            self._apply_echo_cancellation(settings)
        if before is None or _detection(settings) != _detection(before):
            self._apply_turn_detection(settings, None if before is None else before.turn_detection, now_s)

    def _apply_echo_cancellation(self, settings: SessionSettings) -> None:
        """The server cancels the echo where it can and the client has not said that it does so itself."""
        s2s, make = settings.s2s, self._options.echo_canceller
        cancels = make is not None and (s2s is None or s2s.echo_cancellation != "client")
        if cancels and self._answers.spoken.far_end is not None:
            return
        self._receiver.cancel_echo(make() if make is not None and cancels else None)
        self._answers.spoken.far_end = FarEnd() if cancels else None

    def _apply_turn_detection(self, settings: SessionSettings, before: TurnDetection | None, now_s: float) -> None:
        detection = settings.turn_detection
        self._floor.turn_detection_changed()
        self.settle(now_s)
        if detection is None:
            self._receiver.configure(None, 0)
            if before is not None:
                self._turns.drop()
                self._receiver.open_all()
            return
        if before is None:
            self._turns.drop()
        self._receiver.configure(
            turn_options(detection, self._vad_options(settings)),
            max(detection.prefix_padding_ms, self._options.pre_roll_ms),
        )

    def _vad_options(self, settings: SessionSettings) -> TurnOptions:
        """The server's, with what a client of the extension tuned."""
        barge_in_ms = _barge_in_ms(settings)
        options = self._options.vad_options
        return options if barge_in_ms is None else replace(options, barge_in_ms=barge_in_ms)

    # ----------------------------------------------------------------------------------------------------- audio

    @property
    def is_busy(self) -> bool:
        """Audio of an earlier frame is still being worked off."""
        return self._receiver.is_busy

    def push(self, audio: bytes, audio_format: AudioFormat) -> None:
        """The client's audio, as it came; `step` works it off while `is_busy`."""
        self._receiver.push(audio, audio_format)

    def step(self, now_s: float) -> None:
        """Hear a bounded piece of what was pushed."""
        self._audio_at_s = now_s
        detection = self._turns.settings.turn_detection
        may_interrupt = (detection is None or detection.interrupt_response) and not self._floor.insists
        audible = self._answers.spoken.is_audible(now_s)
        dialogue = self._situation.dialogue(*self._answers.spoken_ms(now_s))
        far_end = self._answers.spoken.far_end
        if far_end is not None and far_end.referenced_s < ADAPTS_WITHIN_S:
            dialogue = replace(dialogue, is_echoing=True)
        self._receiver.in_dialogue(dialogue)
        events = self._receiver.step(audible, self._far_end(now_s))
        heard_ms = self._receiver.now_ms
        self._turns.arrivals.add(heard_ms, now_s)
        if heard_ms - self._counted_ms >= COUNTED_MS:
            self._outbox.act(AudioHeard(heard_ms - self._counted_ms))
            self._counted_ms = heard_ms
        for event in events:
            self._receiver_event(event, may_interrupt, audible, now_s)

    def watch(self, now_s: float) -> None:
        """An utterance in which the client fell silent is over."""
        if any(now_s >= at_s for at_s in self.deadlines_s()):
            self.settle(now_s)
            self._turns.fell_silent(now_s)

    def deadlines_s(self) -> list[float]:
        """When `watch` has something to do."""
        turn = self._turns.open
        waits = self._floor.is_held or self._answers.yielding.is_undecided
        is_due = turn is not None and turn.answered_automatically and not waits
        return [self._audio_at_s + MUTED_AFTER_S] if is_due else []

    def client_back(self, now_s: float) -> None:
        """Its audio goes on from here."""
        self._audio_at_s = now_s

    def is_addressed(self, turn: UserTurn, now_s: float) -> bool:
        """Whether a turn is meant for the agent; the page is told when it is not."""
        if not turn.answered_automatically or not self._turns.settings.answers_turns:
            return True
        since_s = None if self._passed_over_s is None else now_s - self._passed_over_s
        confidence = None if turn.transcript is None else turn.transcript.confidence
        if is_addressed(turn.is_distant, confidence, since_s):
            self._passed_over_s = None
            return True
        self._passed_over_s = now_s
        self._extension.decided("passed_over", "aside", self._receiver.now_ms)
        return False

    def settle(self, now_s: float) -> None:
        """The client took the sound that was being judged away: the agent is as it was told to be."""
        self._turns.announce()
        self._answers.yielding.unpause(now_s, "silence")
        self._answers.yielding.go_on()
        self._answers.yielding.give_up()
        self._answers.speculation.discard()

    def _far_end(self, now_s: float) -> Callable[[int], Samples] | None:
        far_end = self._answers.spoken.far_end
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
                        self._answers.yielding.duck(now_s)
            case OnsetDropped():
                self._turns.dropped()
                self._answers.yielding.go_on()
            case SpeechStarted():
                self._floor.user_spoke()
                paused = may_interrupt and not event.is_certain and self._answers.yielding.pause(now_s)
                self._turns.started(event, announced=not paused)
                if paused:
                    return
                if may_interrupt:
                    self._floor.interrupt(event.is_certain, now_s)
                else:
                    self._answers.yielding.go_on()
            case InterruptionConfirmed():
                if self._answers.yielding.is_paused:
                    self._turns.announce()
                    self._floor.interrupt(True, now_s)
                self._answers.yielding.give_up()
            case SpeechRetracted():
                self._turns.retracted()
                if self._answers.yielding.is_paused:
                    self._answers.yielding.unpause(now_s, event.reason)
                else:
                    self._answers.resume(now_s, event.reason)
            case SpeechPiece():
                self._turns.piece(event)
                self._early_work.sound()
            case LikelyEnd():
                self._turns.likely_end(event)
                self._early_work.likely_end()
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


def _detection(settings: SessionSettings) -> tuple[TurnDetection | None, int | None]:
    """All that tells how turns are found."""
    return settings.turn_detection, _barge_in_ms(settings)


def _barge_in_ms(settings: SessionSettings) -> int | None:
    return None if settings.s2s is None else settings.s2s.barge_in_ms


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
