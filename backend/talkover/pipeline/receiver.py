"""Wire audio in, turn events and speech out: decoding, resampling, VAD, endpointing, pre-roll. No I/O, no clock.

Runs on the audio clock: whatever the pace at which audio arrives, the same samples give the same decisions. All times
are milliseconds of audio since the session began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from talkover.audio import (
    INPUT_RATE_HZ,
    SILENCE,
    VAD_FRAME_SAMPLES,
    AudioFormat,
    Chunker,
    WireDecoder,
    samples_to_ms,
)
from talkover.messages import Samples
from talkover.vad.decision_log import Write, last_sound_line, recorded
from talkover.vad.echo import EchoCanceller
from talkover.vad.endpointing import Endpointer, TurnOptions
from talkover.vad.frame_sound import FrameSounds
from talkover.vad.interruption import Dialogue
from talkover.vad.turn_events import OnsetDropped, SpeechEnded, SpeechOnset, SpeechRetracted, SpeechStarted, TurnEvent

STEP_BYTES = 9600
"""at most this much wire audio a step (200 ms of PCM at 24 kHz), so that a huge append never blocks the session"""
MIN_PIECE_SAMPLES = 2 * VAD_FRAME_SAMPLES
"""speech goes to the recognizer in pieces of 64 ms"""
IDLE_BUFFER_S = 30
"""audio kept for a manual commit while nobody speaks"""
MANUAL_BUFFER_S = 300
"""audio a client may buffer without turn detection before it must commit"""


@dataclass(frozen=True, slots=True)
class SpeechPiece:
    """Audio of the open utterance, new since the last piece."""

    samples: Samples
    """(n,) float32 at 16 kHz"""
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class InputOverflow:
    """More audio than may be buffered without a commit; the oldest was dropped."""

    dropped_ms: int


ReceiverEvent = TurnEvent | SpeechPiece | InputOverflow


class _Buffer:
    """The last samples of the session's input with their position, at most `max_samples`."""

    def __init__(self, position: int = 0) -> None:
        self._parts: deque[Samples] = deque()
        self.end = position
        self.size = 0

    def append(self, samples: Samples) -> None:
        self._parts.append(samples)
        self.end += samples.size
        self.size += samples.size

    def drop_before(self, position: int) -> int:
        """Forget samples before `position` (whole parts only). Returns how many."""
        dropped = 0
        while self._parts and self.start + self._parts[0].size <= position:
            part = self._parts.popleft()
            self.size -= part.size
            dropped += part.size
        return dropped

    @property
    def start(self) -> int:
        return self.end - self.size

    def since(self, position: int) -> Samples:
        """(n,) samples from `position`, or from the start of what is kept, to the end."""
        position = max(position, self.start)
        wanted: list[Samples] = []
        end = self.end
        for part in reversed(self._parts):
            begin = end - part.size
            if end <= position:
                break
            wanted.append(part if begin >= position else part[position - begin :])
            end = begin
        return np.concatenate(wanted[::-1]) if wanted else np.zeros(0, np.float32)

    def clear(self) -> None:
        self._parts.clear()
        self.size = 0


class Receiver:
    """The ear of one session."""

    def __init__(self, sounds: FrameSounds, record: Write | None = None, start_ms: float = 0.0) -> None:
        """`record` takes the lines of the decision log. `start_ms`: audio of the session that another one received."""
        self._sounds = sounds
        self._record = record
        self._echo_canceller: EchoCanceller | None = None
        self._decoder = WireDecoder(AudioFormat())
        self._options: TurnOptions | None = TurnOptions()
        self._prefix_ms = 300
        self._endpointer = recorded(Endpointer, record, TurnOptions())
        self._dialogue = Dialogue()
        self._frames = Chunker(VAD_FRAME_SAMPLES)
        self._buffer = _Buffer(round(start_ms * INPUT_RATE_HZ / 1000))
        self._waiting: deque[tuple[AudioFormat, bytes]] = deque()
        self._piece_start: int | None = None
        self._buffered_ms = 0.0
        self._overflow_reported = False
        self.received_ms = start_ms
        """audio pushed since the session began, by what it is on the wire"""
        if start_ms:
            self._endpointer.skip_to(self.now_ms)

    # ------------------------------------------------------------------------------------------------- settings

    def configure(self, options: TurnOptions | None, prefix_ms: int) -> None:
        """Turn detection from here on; None: the client commits. The buffered audio stays."""
        self._prefix_ms = prefix_ms
        if options is None:
            if self._options is not None:
                self._endpointer.reset()
                self._piece_start = None
        elif self._options is None:
            self._endpointer.reset()
            self._endpointer.skip_to(self.now_ms)
            self._endpointer.configure(options)
            self._sounds.reset()
            self._piece_start = None
        else:
            self._endpointer.configure(options)
        self._options = options

    def cancel_echo(self, canceller: EchoCanceller | None) -> None:
        """Take the agent's echo out of the microphone from here on; None: the client does so.

        What another canceller held back, less than 10 ms, is lost: clients choose before they speak.
        """
        self._echo_canceller = canceller

    @property
    def in_speech(self) -> bool:
        return self._options is not None and self._endpointer.in_speech

    @property
    def end_sample(self) -> int:
        """Samples processed so far."""
        return self._buffer.end

    @property
    def now_ms(self) -> float:
        """End of the audio processed so far."""
        return samples_to_ms(self._buffer.end, INPUT_RATE_HZ)

    @property
    def buffered_ms(self) -> float:
        """Audio since the last commit, as the client counts it: what the resampler holds included."""
        return self._buffered_ms

    # ---------------------------------------------------------------------------------------------------- audio

    def push(self, data: bytes, audio_format: AudioFormat) -> None:
        """Take wire audio of any length, cut anywhere. `step` works it off."""
        self.received_ms += audio_format.duration_ms(len(data))
        for begin in range(0, len(data), STEP_BYTES):
            self._waiting.append((audio_format, data[begin : begin + STEP_BYTES]))

    @property
    def is_busy(self) -> bool:
        """True while pushed audio waits for `step`."""
        return bool(self._waiting)

    def step(self, agent_audible: bool, far_end: Callable[[int], Samples] | None = None) -> list[ReceiverEvent]:
        """Work off the next 200 ms at most. Returns what happened in it, in order.

        `far_end` gives what the loudspeaker played during the next so many samples, for the echo canceller.
        """
        if not self._waiting:
            return []
        audio_format, data = self._waiting.popleft()
        if audio_format != self._decoder.format:
            self._decoder = WireDecoder(audio_format)
        samples = self._decoder.feed(data)
        self._buffered_ms += audio_format.duration_ms(len(data))
        if self._echo_canceller is not None and far_end is not None:
            samples = self._echo_canceller.feed(samples, far_end(samples.size))
        if self._options is None:
            self._buffer.append(samples)
            return self._manual_events()
        events: list[ReceiverEvent] = []
        for frame in self._frames.feed(samples):
            self._buffer.append(frame)
            events += self._frame_events(frame, agent_audible)
        return events

    def hear(self, text: str, final: bool, confidence: float | None) -> None:
        """The newest transcript of what is open, for decisions that look at words."""
        self._endpointer.hear(text, final, confidence)

    def consider(self, end_probability: float, revision: int) -> None:
        """A turn model's opinion on what is open, up to its likely end of this revision."""
        self._endpointer.consider(end_probability, revision)

    def compare_voice(self, similarity: float) -> None:
        """How much what is open is the caller's voice."""
        self._endpointer.compare_voice(similarity)

    def in_dialogue(self, dialogue: Dialogue) -> None:
        """What the agent is saying, or has said last."""
        if dialogue != self._dialogue:
            self._dialogue = dialogue
            self._endpointer.in_dialogue(dialogue)

    def commit(self) -> Samples:
        """End the open utterance here. Returns all its audio, or all that is buffered when nobody speaks."""
        self._drain()
        audio = self._buffer.since(self._buffer.start)
        self._restart()
        return audio

    def last_sound_ms(self, voiced_end_ms: float) -> float:
        """Where the last sound of the utterance ends whose voice the detector heard until `voiced_end_ms`."""
        start_ms = samples_to_ms(self._buffer.start, INPUT_RATE_HZ)
        ended_ms = self._sounds.last_sound_ms(self._buffer.since(self._buffer.start), voiced_end_ms - start_ms)
        if self._record is not None:
            self._record(last_sound_line(ended_ms))
        return start_ms + ended_ms

    def forget_utterance(self) -> None:
        """The utterance that has just ended was taken over: the buffer starts anew behind it."""
        self._buffer.clear()
        self._buffered_ms = 0.0

    def flush_piece(self) -> list[SpeechPiece]:
        """What of the open utterance has not been handed out yet."""
        self._drain()
        if self._options is not None and not self._endpointer.in_speech:
            return []
        return self._piece(0)

    def clear(self) -> None:
        """Drop the buffer and an open utterance."""
        self._drain()
        self._restart()

    def open_all(self) -> None:
        """Without turn detection: hand out all that is buffered as the beginning of an utterance."""
        self._piece_start = self._buffer.start if self._buffer.size else None

    # --------------------------------------------------------------------------------------------------- inside

    def _restart(self) -> None:
        self._buffer.clear()
        self._buffered_ms = 0.0
        self._piece_start = None
        self._overflow_reported = False
        self._endpointer.skip_to(self.now_ms)

    def _drain(self) -> None:
        """Move to the buffer what waits in the resampler and for a whole frame."""
        rest = self._decoder.flush()
        self._decoder = WireDecoder(self._decoder.format)
        held = SILENCE if self._echo_canceller is None else self._echo_canceller.flush()
        for samples in (self._frames.pending, held, rest):
            if samples.size:
                self._buffer.append(samples)
        self._frames.reset()

    def _manual_events(self) -> list[ReceiverEvent]:
        events: list[ReceiverEvent] = []
        if self._piece_start is None:
            self._piece_start = self._buffer.start
        events += self._piece(MIN_PIECE_SAMPLES)
        dropped = self._buffer.drop_before(self._buffer.end - MANUAL_BUFFER_S * INPUT_RATE_HZ)
        if dropped and not self._overflow_reported:
            self._overflow_reported = True
            events.append(InputOverflow(round(samples_to_ms(dropped, INPUT_RATE_HZ))))
        return events

    def _frame_events(self, frame: Samples, agent_audible: bool) -> list[ReceiverEvent]:
        sound = self._sounds.measure(frame)
        events: list[ReceiverEvent] = []
        for event in self._endpointer.feed(sound.speech_probability, sound.level_dbfs, agent_audible, sound.pitch):
            match event:
                case SpeechOnset():
                    events.append(event)
                    if agent_audible:  # its words decide whether it is meant for the agent
                        self._begin_pieces(event.start_ms)
                        events += self._piece(0)
                case SpeechStarted():
                    if self._piece_start is None:
                        self._begin_pieces(event.start_ms)
                    events.append(event)
                    events += self._piece(0)
                case OnsetDropped():
                    events.append(event)
                    self._piece_start = None
                case _:
                    events += self._piece(0)
                    events.append(event)
            if isinstance(event, SpeechEnded | SpeechRetracted):
                self._piece_start = None
        events += self._piece(MIN_PIECE_SAMPLES)
        if not self._endpointer.in_speech:
            self._buffer.drop_before(self._buffer.end - IDLE_BUFFER_S * INPUT_RATE_HZ)
        return events

    def _begin_pieces(self, start_ms: float) -> None:
        """Hand out audio from the pre-roll before `start_ms` on."""
        start_ms = max(start_ms - self._prefix_ms, samples_to_ms(self._buffer.start, INPUT_RATE_HZ))
        self._piece_start = round(start_ms * INPUT_RATE_HZ / 1000)
        self._buffer.drop_before(self._piece_start)

    def _piece(self, min_samples: int) -> list[SpeechPiece]:
        """What has come of the open utterance since the last piece, when it is at least `min_samples`."""
        if self._piece_start is None or self._buffer.end - self._piece_start < max(min_samples, 1):
            return []
        samples = self._buffer.since(self._piece_start)
        start_ms = samples_to_ms(self._piece_start, INPUT_RATE_HZ)
        self._piece_start = self._buffer.end
        return [SpeechPiece(samples, round(start_ms), round(self.now_ms))]
