"""The user's side of a session: utterances from onset to final transcript. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from talkover.audio import INPUT_RATE_HZ, WireDecoder, samples_to_ms
from talkover.messages import (
    AudioFormat,
    PromptMessage,
    Samples,
    SpeechDropped,
    SpeechSegment,
    Transcript,
    TurnOpinion,
    TurnQuestion,
    VoiceOpinion,
    VoiceQuestion,
)
from talkover.metrics import Timeline
from talkover.pipeline.arrivals import Arrivals
from talkover.pipeline.receiver import Receiver, SpeechPiece
from talkover.realtime.actions import NextId, Outbox, Recognize, ReplaceRecognizer, TurnFinished
from talkover.realtime.conversation import Conversation, Entry
from talkover.realtime.errors import ProtocolError
from talkover.realtime.extension import Extension
from talkover.realtime.fields import JsonObject
from talkover.realtime.items import ContentPart, Item
from talkover.realtime.settings import SessionSettings
from talkover.vad.turn_events import LikelyEnd, SpeechEnded, SpeechResumed, SpeechStarted

MIN_COMMIT_MS = 100
PARTIAL_INTERVAL_MS = 100
"""partial transcripts go out at most this often, on the audio clock"""
UNCERTAIN_BELOW = 0.35
"""ASR confidence under which the responder is told that the words are a guess"""
MAX_AWAITED = 8
"""utterances waiting for their transcript; more means the recognizer is stuck"""

TURN_MODEL_SAMPLES = 8 * INPUT_RATE_HZ
"""what the longest-sighted turn model hears"""

COMPARED_SAMPLES = INPUT_RATE_HZ // 2
COMPARED_AFTER_S = 0.9
"""of audio, pre-roll included: then half a second of it is voice"""

EMPTY = np.zeros(0, np.float32)


@dataclass(slots=True)
class UserTurn:
    """One utterance of the user."""

    item_id: str
    answered_automatically: bool = True
    """turn detection ends it and a response follows; else the client commits and asks"""
    timeline: Timeline = field(default_factory=Timeline)
    revision: int = 0
    finalising: bool = False
    """the final transcript was asked for; what comes now is silence, or belongs to the next revision"""
    held: list[SpeechPiece] = field(default_factory=list[SpeechPiece])
    audio: list[Samples] = field(default_factory=list[Samples])
    last_partial_ms: int = -1000
    sent_stable: str = ""
    transcript: Transcript | None = None
    speculations: int = 0
    """answers prepared for it so far"""
    failure: str | None = None
    """why recognition of this revision failed"""
    is_distant: bool = False
    """so quiet that it may be somebody else's"""
    committed: bool = False
    over_agent: bool = False
    """it began while the agent was speaking"""
    voice_asked: bool = False
    """the speaker model was asked whose voice it is"""
    unannounced: JsonObject | None = None
    """its `speech_started`, held back while a client that can pause waits for the decision"""
    deadline_s: float = 0.0
    """the watchdog gives up on its transcript then"""

    start_ms: float | None = None
    """where it begins in the session's audio; None: it is no part of that"""

    @property
    def audio_s(self) -> float:
        return sum(piece.size for piece in self.audio) / INPUT_RATE_HZ


class UserTurns:
    """Follows the receiver's events and the recognizer's transcripts.

    `on_done(turn, text)` is called once for each committed utterance: with its text, "" when nothing was understood,
    None when recognition failed.
    """

    def __init__(
        self,
        conversation: Conversation,
        receiver: Receiver,
        outbox: Outbox,
        extension: Extension,
        next_id: NextId,
        asr_timeout_s: float,
        on_done: Callable[[UserTurn, str | None, float], None],
    ) -> None:
        self.open: UserTurn | None = None
        """the utterance being spoken"""
        self._undecided: UserTurn | None = None
        """a sound over the agent that is being recognised to see whether it becomes one"""
        self.arrivals = Arrivals()
        """of the audio that the receiver has worked off"""
        self._awaited: dict[str, UserTurn] = {}
        self._conversation = conversation
        self._receiver = receiver
        self._outbox = outbox
        self._extension = extension
        self._next_id = next_id
        self._asr_timeout_s = asr_timeout_s
        self._on_done = on_done
        self.settings = SessionSettings()

    @property
    def is_awaiting(self) -> bool:
        """True while a committed utterance has no transcript yet."""
        return bool(self._awaited)

    @property
    def is_finalising(self) -> bool:
        """True while what is being said may be over and its final transcript has not come."""
        turn = self.open or self._undecided
        return turn is not None and turn.finalising and turn.transcript is None and turn.failure is None

    @property
    def unknown_ids(self) -> frozenset[str]:
        """Items whose words are not known yet."""
        return frozenset(self._awaited)

    @property
    def unknown_from_ms(self) -> float | None:
        """Where in the session's audio the words begin that are not known yet; None: all are."""
        turns = (self.open, self._undecided, *self._awaited.values())
        return min((turn.start_ms for turn in turns if turn is not None and turn.start_ms is not None), default=None)

    # ---------------------------------------------------------------------------------------- from the receiver

    def onset(self) -> None:
        """A sound over the agent: its words are needed for the decision."""
        self.dropped()
        self._undecided = UserTurn(self._next_id("item_"), over_agent=True)

    def dropped(self) -> None:
        """The sound was nothing, or not meant for the agent."""
        if self._undecided is not None:
            self._outbox.act(Recognize(SpeechDropped(self._undecided.item_id)))
            self._undecided = None

    def retracted(self) -> None:
        """What was announced as speech was none: its audio is dropped and no item comes of it."""
        turn = self.open
        if turn is None:
            return
        if turn.unannounced is None:
            self._send_stopped(turn, self._receiver.now_ms)
            self._outbox.send({"type": "input_audio_buffer.cleared"})
        self._receiver.forget_utterance()
        self.drop()

    def started(self, event: SpeechStarted, announced: bool = True) -> None:
        """Speech, decided. Announces the coming item, or keeps that for `announce`."""
        turn = self.open = self._undecided or UserTurn(self._next_id("item_"))
        self._undecided = None
        detection = self.settings.turn_detection
        prefix_ms = detection.prefix_padding_ms if detection is not None else 0
        turn.unannounced = {
            "type": "input_audio_buffer.speech_started",
            "audio_start_ms": max(0, round(event.start_ms - prefix_ms)),
            "item_id": turn.item_id,
        }
        if announced:
            self.announce()

    def announce(self) -> None:
        """Tell what was held back: it is an utterance."""
        if self.open is not None and self.open.unannounced is not None:
            announcement, self.open.unannounced = self.open.unannounced, None
            self._outbox.send(announcement)

    def piece(self, piece: SpeechPiece) -> None:
        """Speech of the open utterance. Without turn detection the first piece opens one."""
        turn = self.open or self._undecided
        if turn is None:
            turn = self.open = UserTurn(self._next_id("item_"), answered_automatically=False)
        if turn.start_ms is None:
            turn.start_ms = piece.start_ms
        turn.audio.append(piece.samples)
        if turn.finalising:
            turn.held.append(piece)
        else:
            self._recognize(turn, piece)

    def likely_end(self, event: LikelyEnd) -> None:
        """Have the final transcript made before the end of the turn is certain."""
        turn = self.open or self._undecided
        if turn is not None:
            turn.revision = event.revision
            turn.finalising = True
            self._finalise(turn, round(event.end_ms))

    def resumed(self, event: SpeechResumed) -> None:
        """The user goes on: the transcript being finalised is stale."""
        turn = self.open or self._undecided
        if turn is None:
            return
        turn.revision = event.revision
        turn.finalising = False
        turn.transcript = turn.failure = None
        for piece in turn.held:
            self._recognize(turn, piece)
        turn.held.clear()

    def ended(self, event: SpeechEnded, now_s: float) -> None:
        """The turn is over."""
        turn = self.open
        if turn is None:
            return
        turn.is_distant = event.is_distant
        last_sound_ms = self._receiver.last_sound_ms(event.voiced_end_ms)
        turn.timeline.mark("speech_end", self.arrivals.heard_s(last_sound_ms, now_s))
        turn.timeline.mark("turn_end", now_s)
        self._send_stopped(turn, event.end_ms)
        self._receiver.forget_utterance()
        self._commit(turn, now_s)

    # ------------------------------------------------------------------------------------------ from the client

    def commit(self, now_s: float) -> None:
        """`input_audio_buffer.commit`. Raises ProtocolError under 100 ms of audio."""
        if self._receiver.buffered_ms < MIN_COMMIT_MS:
            raise ProtocolError(
                "input_audio_buffer_commit_empty",
                f"The buffer must hold at least {MIN_COMMIT_MS} ms of audio, it holds "
                f"{round(self._receiver.buffered_ms)} ms",
            )
        self._end_here(now_s, by_client=True)

    def fell_silent(self, now_s: float) -> None:
        """No audio comes any more in the middle of an utterance: it ends with what there is, and is answered."""
        turn = self.open
        if turn is None or not turn.answered_automatically:
            return
        self._send_stopped(turn, self._receiver.now_ms)
        self._end_here(now_s, by_client=False)

    def _end_here(self, now_s: float, by_client: bool) -> None:
        self.dropped()
        for piece in self._receiver.flush_piece():
            self.piece(piece)
        turn = self.open
        audio = self._receiver.commit()
        if turn is None:
            turn = UserTurn(self._next_id("item_"))
            self.open = turn
            end_ms = round(self._receiver.now_ms)
            self.piece(SpeechPiece(audio, end_ms - round(samples_to_ms(audio.size, INPUT_RATE_HZ)), end_ms))
        if by_client:
            turn.answered_automatically = False
        if turn.finalising and turn.held:
            turn.revision += 1
            for piece in turn.held:
                self._recognize(turn, piece)
            turn.finalising = False
            turn.transcript = turn.failure = None
        if not turn.finalising:
            self._finalise(turn, round(self._receiver.now_ms))
        turn.timeline.mark("speech_end", now_s)
        turn.timeline.mark("turn_end", now_s)
        self._commit(turn, now_s)

    def clear(self) -> None:
        """Drop the open utterance and the buffer."""
        self._receiver.clear()
        self.drop()

    def drop(self) -> None:
        """Forget the open utterance; its audio stays in the buffer."""
        self.dropped()
        if self.open is not None:
            self._outbox.act(Recognize(SpeechDropped(self.open.item_id)))
            self.open = None

    def abandon(self) -> None:
        """The session begins anew: whatever was said and is not understood yet is lost, and the client is told."""
        self.retracted()
        self.dropped()
        for turn in self._awaited.values():
            self._tell_failed(turn, "the session met an internal error")
        self._awaited.clear()

    def transcribe_item(self, item: Item, audio: bytes, audio_format: AudioFormat, now_s: float) -> None:
        """Recognise the audio of an item the client created."""
        decoder = WireDecoder(audio_format)
        samples = np.concatenate([decoder.feed(audio), decoder.flush()])
        turn = UserTurn(item.id, answered_automatically=False, committed=True)
        turn.audio.append(samples)
        turn.deadline_s = now_s + self._asr_timeout_s + turn.audio_s
        self._awaited[item.id] = turn
        self._outbox.act(Recognize(self._segment(turn, samples, 0, round(turn.audio_s * 1000), final=True)))

    # -------------------------------------------------------------------------------------- from the recognizer

    def transcript(self, transcript: Transcript, now_s: float) -> bool:
        """A partial or final transcript; False when it is stale."""
        turn = self._awaited.get(transcript.item_id)
        for live in (self.open, self._undecided):
            if live is not None and live.item_id == transcript.item_id:
                turn = live
        if turn is None or transcript.revision != turn.revision:
            return False
        if not turn.committed:
            self._receiver.hear(transcript.text, transcript.final, transcript.confidence)
        if transcript.final:
            turn.transcript = transcript
        if turn is not self._undecided:
            self._show_partial(turn, transcript)
        if transcript.final and turn.committed:
            self._done(turn, now_s)
        return True

    def question(self) -> TurnQuestion | None:
        """What a turn model is asked about the utterance being spoken, at its likely end; the conversation is added."""
        turn = self.open
        if turn is None or not turn.answered_automatically or not turn.finalising:
            return None
        audio = np.concatenate(turn.audio)[-TURN_MODEL_SAMPLES:] if turn.audio else EMPTY
        messages = () if turn.transcript is None else (PromptMessage("user", turn.transcript.text),)
        return TurnQuestion(turn.item_id, turn.revision, audio, messages)

    def opinion(self, opinion: TurnOpinion) -> None:
        """A turn model has answered; too late it is ignored."""
        turn = self.open
        if turn is not None and (turn.item_id, turn.revision) == (opinion.item_id, opinion.revision):
            self._receiver.consider(opinion.probability, opinion.revision)

    def voice_question(self) -> VoiceQuestion | None:
        """Asked once about what sounds over the agent, as soon as there is enough of it."""
        turn = self.open or self._undecided
        if turn is None or not turn.over_agent or turn.voice_asked or turn.audio_s < COMPARED_AFTER_S:
            return None
        turn.voice_asked = True
        return VoiceQuestion(turn.item_id, np.concatenate(turn.audio)[-COMPARED_SAMPLES:], is_caller=False)

    def voice_opinion(self, opinion: VoiceOpinion) -> None:
        """A speaker model has answered; too late it is ignored."""
        turn = self.open or self._undecided
        if turn is not None and turn.item_id == opinion.item_id:
            self._receiver.compare_voice(opinion.similarity)

    def failed(self, item_id: str | None, error: str, now_s: float) -> None:
        """Recognition of an utterance raised."""
        turn = self._awaited.get(item_id or "")
        if turn is not None:
            self._give_up(turn, error, now_s)
        elif self.open is not None and self.open.item_id == item_id:
            self.open.failure = error

    def watch(self, now_s: float) -> None:
        """The watchdog: an utterance without transcript for too long has failed."""
        for turn in list(self._awaited.values()):
            if now_s >= turn.deadline_s:
                self._outbox.act(ReplaceRecognizer())
                self._give_up(turn, "the recognizer did not answer in time", now_s)

    def deadlines_s(self) -> list[float]:
        return [turn.deadline_s for turn in self._awaited.values()]

    # --------------------------------------------------------------------------------------------------- inside

    def _segment(
        self, turn: UserTurn, samples: Samples, start_ms: int, end_ms: int, final: bool = False
    ) -> SpeechSegment:
        transcription = self.settings.transcription or {}
        hint = transcription.get("prompt") or ""
        return SpeechSegment(
            turn.item_id, samples, start_ms, end_ms, turn.revision, final, self.settings.language, hint
        )

    def _recognize(self, turn: UserTurn, piece: SpeechPiece) -> None:
        self._outbox.act(Recognize(self._segment(turn, piece.samples, piece.start_ms, piece.end_ms)))

    def _finalise(self, turn: UserTurn, end_ms: int) -> None:
        self._outbox.act(Recognize(self._segment(turn, EMPTY, end_ms, end_ms, final=True)))

    def _commit(self, turn: UserTurn, now_s: float) -> None:
        """The utterance becomes an item of the conversation."""
        self.open = None
        turn.committed = True
        turn.held.clear()
        item = Item(turn.item_id, "message", role="user", content=(ContentPart("input_audio"),))
        self.add_item(item)
        audio = np.concatenate(turn.audio) if turn.audio else EMPTY
        self._conversation.keep_audio(turn.item_id, audio, self.settings.input_format)
        turn.deadline_s = now_s + self._asr_timeout_s
        self._awaited[turn.item_id] = turn
        if turn.transcript is not None:
            self._done(turn, now_s)
        elif turn.failure is not None:
            self._give_up(turn, turn.failure, now_s)
        elif len(self._awaited) > MAX_AWAITED:
            self._give_up(next(iter(self._awaited.values())), "too many utterances wait for recognition", now_s)

    def add_item(self, item: Item) -> None:
        """Announce a user item at the end of the conversation."""
        previous = self._conversation.last_id
        self._outbox.send({"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": item.id})
        self._conversation.append(Entry(item))
        wire = item.wire()
        for event_type in ("conversation.item.added", "conversation.item.done"):
            self._outbox.send({"type": event_type, "previous_item_id": previous, "item": wire})

    def _show_partial(self, turn: UserTurn, transcript: Transcript) -> None:
        if not transcript.final and transcript.audio_end_ms - turn.last_partial_ms < PARTIAL_INTERVAL_MS:
            return
        turn.last_partial_ms = transcript.audio_end_ms
        self._extension.partial(transcript)
        if self.settings.transcription is not None and not transcript.final and turn.unannounced is None:
            self._send_stable(turn, transcript)

    def _send_stable(self, turn: UserTurn, transcript: Transcript) -> None:
        """The standard's transcription delta: text that will not be taken back."""
        stable = transcript.text[: transcript.stable_chars]
        if stable.startswith(turn.sent_stable) and len(stable) > len(turn.sent_stable):
            self._transcription_event(turn, "delta", delta=stable[len(turn.sent_stable) :])
            turn.sent_stable = stable

    def _done(self, turn: UserTurn, now_s: float) -> None:
        transcript = turn.transcript
        if transcript is None:
            return
        del self._awaited[turn.item_id]
        entry = self._conversation.get(turn.item_id)
        if entry is not None:
            entry.item = _with_transcript(entry.item, transcript.text)
            entry.uncertain = is_uncertain(transcript)
            entry.emotion, entry.events, entry.language = transcript.emotion, transcript.events, transcript.language
        self._extension.tags(transcript)
        if self.settings.transcription is not None:
            self._send_stable(turn, transcript)
            usage: JsonObject = {"type": "duration", "seconds": round(turn.audio_s, 2)}
            self._transcription_event(turn, "completed", transcript=transcript.text, usage=usage)
        turn.timeline.mark("transcript_final", transcript.at_s)
        self._outbox.act(TurnFinished("completed" if transcript.text else "empty"))
        self._on_done(turn, transcript.text, now_s)

    def _give_up(self, turn: UserTurn, error: str, now_s: float) -> None:
        del self._awaited[turn.item_id]
        self._tell_failed(turn, error)
        self._on_done(turn, None, now_s)

    def _tell_failed(self, turn: UserTurn, error: str) -> None:
        if self.settings.transcription is not None:
            failure: JsonObject = {"type": "server_error", "code": "asr_error", "message": error}
            self._transcription_event(turn, "failed", error=failure)
        self._outbox.act(TurnFinished("failed"))

    def _send_stopped(self, turn: UserTurn, end_ms: float) -> None:
        event_type = "input_audio_buffer.speech_stopped"
        self._outbox.send({"type": event_type, "audio_end_ms": round(end_ms), "item_id": turn.item_id})

    def _transcription_event(self, turn: UserTurn, kind: str, **fields: object) -> None:
        self._outbox.send(
            {
                "type": f"conversation.item.input_audio_transcription.{kind}",
                "item_id": turn.item_id,
                "content_index": 0,
                **fields,
            }
        )


def is_uncertain(transcript: Transcript) -> bool:
    return transcript.confidence is not None and transcript.confidence < UNCERTAIN_BELOW


def prompt_message(transcript: Transcript) -> PromptMessage:
    """What an utterance will be to the LLM once it is an item of the conversation."""
    return PromptMessage(
        "user",
        transcript.text,
        uncertain=is_uncertain(transcript),
        emotion=transcript.emotion,
        events=transcript.events,
        language=transcript.language,
    )


def _with_transcript(item: Item, transcript: str) -> Item:
    """The transcript goes to the item's audio part."""
    for index, part in enumerate(item.content):
        if part.type == "input_audio":
            return item.with_transcript(transcript, index)
    return item
