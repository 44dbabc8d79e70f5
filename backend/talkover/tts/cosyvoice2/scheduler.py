"""One thread through which all sessions reach the models: it thinks and sounds for everybody in small steps.

A step is one forward of the language model for all that lack ids, one solver step of the flow, or one call of the
vocoder. Between two of them the thread looks again who is most urgent (`scheduling.py`) and who was cancelled. So a
cancelled speech stops within a step and frees all it held, and no speech waits for more than a step of another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from talkover.audio import OUTPUT_RATE_HZ, SILENCE
from talkover.engines import EngineFailed, IsStale
from talkover.messages import Samples
from talkover.tts.cosyvoice2.configuration import SPEECH_TOKENS_PER_S
from talkover.tts.cosyvoice2.decoding import Decoding
from talkover.tts.cosyvoice2.language_model import LanguageModel, LmRequest
from talkover.tts.cosyvoice2.scheduling import MakeSound, Standing, next_work
from talkover.tts.deadline import runs_out_s

MAX_WAITING = 256
"""speeches that are being made or wait for it"""
_MAX_OPEN = 2
"""pieces of one speech that are being made: the next one thinks while the last one sounds"""
_POLL_S = 0.01
_SMOOTHING = 0.2
_CLOSE_TIMEOUT_S = 10.0

_log = logging.getLogger(__name__)


class Sound(Protocol):
    """From the ids of one utterance to its samples, step by step."""

    @property
    def ready(self) -> bool:
        """Whether there is a step to be made."""
        ...

    @property
    def finished(self) -> bool:
        """All samples have been made."""
        ...

    @property
    def unspoken_ids(self) -> int:
        """Ids no sound was made of."""
        ...

    def push(self, ids: Sequence[int]) -> None: ...

    def end(self) -> None:
        """No more ids follow."""
        ...

    def step(self) -> Samples | None:
        """Work of at most one solver step; samples when some have come of it."""
        ...

    def close(self) -> None:
        """Free what it holds, at any point."""
        ...


@dataclass(frozen=True, slots=True)
class PiecePlan:
    """How to make one piece of a speech. The two functions run on the scheduler's thread."""

    decoding: Callable[[], Decoding]
    sound: Callable[[], Sound]
    seed: int


@dataclass(frozen=True, slots=True)
class Made:
    """Samples of one piece."""

    piece: int
    samples: Samples
    """(n,) float32 at 24 kHz; may be empty"""
    total_s: float | None
    """duration of the whole piece; None while the language model has not come to its end"""
    last: bool
    """of the piece"""


@dataclass(slots=True)
class _Piece:
    """A piece that is being made."""

    index: int
    request: LmRequest
    sound: Sound
    n_ids: int = 0
    thinking: bool = True
    sounding_s: float = 0.0
    """time spent on the block that is being made"""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast this machine is."""

    ids_per_s: float
    """of one utterance, whoever shares the step"""
    block_s: float
    """time to make the sound of a block"""


class Speech:
    """One request: pieces spoken one after the other. Made by `Scheduler.submit`."""

    def __init__(self, plans: Sequence[PiecePlan], speed: float, submitted_s: float) -> None:
        self.speed = speed
        self.cancelled = False
        self.submitted_s = submitted_s
        self.first_audio_s: float | None = None
        self.made_s = 0.0
        """audio made so far"""
        self.waiting = deque(enumerate(plans))
        self.open: deque[_Piece] = deque()
        self._changed = threading.Condition()
        self._chunks: deque[Made] = deque()
        self._queued_samples = 0
        self._ended = False
        self._error: EngineFailed | None = None

    # ------------------------------------------------------------------------------------- the scheduler's thread

    @property
    def queued_s(self) -> float:
        with self._changed:
            return self._queued_samples / OUTPUT_RATE_HZ

    def put(self, made: Made) -> None:
        with self._changed:
            self._chunks.append(made)
            self._queued_samples += made.samples.size
            self._changed.notify_all()

    def end(self, error: EngineFailed | None = None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    # -------------------------------------------------------------------------------------------- the listener

    def take(self, timeout_s: float) -> Made | None:
        """The next chunk; None when none came in time, and at the end. Raises EngineFailed after the last one."""
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._ended, timeout_s)
            if self._chunks:
                made = self._chunks.popleft()
                self._queued_samples -= made.samples.size
                return made
            if self._error is not None:
                raise EngineFailed(str(self._error)) from self._error
            return None

    @property
    def over(self) -> bool:
        """Nothing will come any more."""
        with self._changed:
            return self._ended and not self._chunks


class Scheduler:
    """The thread. Whatever raises in a step fails the speeches of that step only."""

    def __init__(self, lm: LanguageModel, clock: Callable[[], float] = time.monotonic) -> None:
        self._lm = lm
        self._clock = clock
        self._changed = threading.Condition()
        self._arriving: deque[Speech] = deque()
        self._closed = False
        self._step_s = self._block_s = 1.0
        """smoothed; until measured, of a slow machine"""
        self._speeches: list[Speech] = []
        """those being made or waiting; touched by the thread only"""
        self._thread = threading.Thread(target=self._serve, name="cosyvoice2", daemon=True)
        self._thread.start()

    def submit(self, plans: Sequence[PiecePlan], speed: float = 1.0) -> Speech:
        """Begin to speak. Returns at once. Raises EngineFailed when too many wait already, or when closed."""
        speech = Speech(plans, speed, self._clock())
        with self._changed:
            if self._closed:
                raise EngineFailed("the speech synthesis is closed")
            if len(self._arriving) + len(self._speeches) >= MAX_WAITING:
                raise EngineFailed(f"{MAX_WAITING} texts wait to be spoken")
            self._arriving.append(speech)
            self._changed.notify()
        return speech

    def cancel(self, speech: Speech) -> None:
        """Nobody listens any more. Returns at once; the thread frees what it held before its next step."""
        speech.cancelled = True
        self._wake()

    def listen(self, speech: Speech, is_stale: IsStale) -> Iterator[Made]:
        """The chunks as they are made; cancels the speech when stale, or when the iterator is dropped."""
        try:
            while not speech.over and not is_stale():
                made = speech.take(_POLL_S)
                if made is not None:
                    self._wake()  # there may be room for more now
                    yield made
        finally:
            self.cancel(speech)

    def close(self) -> None:
        """End the thread after its present step; speeches fail. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_CLOSE_TIMEOUT_S)

    @property
    def pace(self) -> Pace:
        """As measured of late."""
        return Pace(1.0 / self._step_s, self._block_s)

    @property
    def idle(self) -> bool:
        """Nothing is being made and nothing waits."""
        with self._changed:
            return not self._arriving and not self._speeches

    # --------------------------------------------------------------------------------------------- the thread

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    @torch.inference_mode()
    def _serve(self) -> None:
        while True:
            with self._changed:
                self._welcome()
                work = None if self._closed else next_work(self._standings(), self._clock())
                while work is None and not self._closed:
                    self._changed.wait()
                    self._welcome()
                    work = next_work(self._standings(), self._clock())
                if self._closed:
                    for speech in (*self._speeches, *self._arriving):
                        self._drop(speech, EngineFailed("the speech synthesis is closed"))
                    self._speeches, self._arriving = [], deque()
                    return
            if isinstance(work, MakeSound):
                self._guarded([self._speeches[work.index]], self._make_sound)
            elif work is not None:
                self._guarded([self._speeches[index] for index in work.indices], self._make_ids)

    def _welcome(self) -> None:
        """Drop the cancelled and the finished, open pieces of the others where there is room."""
        self._speeches.extend(self._arriving)
        self._arriving.clear()
        kept: list[Speech] = []
        for speech in self._speeches:
            if speech.cancelled:
                self._drop(speech)
            elif speech.waiting or speech.open:
                kept.append(speech)
            else:
                speech.end()
        self._speeches = kept
        for speech in sorted(kept, key=self._runs_out_s):
            if speech.waiting and self._may_open(speech):
                self._guarded([speech], lambda speeches: self._open(speeches[0]))

    def _may_open(self, speech: Speech) -> bool:
        """The language model has room, and this speech's last piece has come to its end there."""
        thinking = any(piece.thinking for piece in speech.open)
        return self._lm.cache.n_free > 0 and not thinking and len(speech.open) < _MAX_OPEN

    def _open(self, speech: Speech) -> None:
        index, plan = speech.waiting.popleft()
        decoding = plan.decoding()
        sound = plan.sound()
        try:
            request = self._lm.open(decoding, plan.seed)
        except EngineFailed:
            sound.close()
            raise
        piece = _Piece(index, request, sound)
        speech.open.append(piece)
        if request.finished:  # an empty text
            self._stop_thinking(piece)

    def _standings(self) -> list[Standing]:
        return [
            Standing(
                self._runs_out_s(speech),
                speech.queued_s,
                can_sound=bool(speech.open) and speech.open[0].sound.ready,
                lacks_ids=any(piece.thinking and not piece.request.waits_for_text for piece in speech.open),
                lead_ids=sum(piece.sound.unspoken_ids for piece in speech.open),
            )
            for speech in self._speeches
        ]

    @staticmethod
    def _runs_out_s(speech: Speech) -> float:
        return runs_out_s(speech.submitted_s, speech.first_audio_s, speech.made_s)

    def _make_ids(self, speeches: Sequence[Speech]) -> None:
        """One step for all that read a single id, and for the most urgent of those that read a prompt."""
        pieces = [next(piece for piece in speech.open if piece.thinking) for speech in speeches]
        reading = [piece for piece in pieces if piece.request.n_unread > 1][:1]
        chosen = [piece for piece in pieces if piece.request.n_unread == 1] + reading
        began_s = self._clock()
        for piece, number in zip(chosen, self._lm.step([piece.request for piece in chosen]), strict=True):
            if number is not None:
                piece.n_ids += 1
                piece.sound.push((number,))
            if piece.request.finished or not self._lm.has_room(piece.request):
                self._stop_thinking(piece)
        if not reading:
            self._step_s += _SMOOTHING * (self._clock() - began_s - self._step_s)

    def _make_sound(self, speeches: Sequence[Speech]) -> None:
        (speech,) = speeches
        piece = speech.open[0]
        began_s = self._clock()
        samples = piece.sound.step()
        piece.sounding_s += self._clock() - began_s
        if samples is not None:
            self._block_s += _SMOOTHING * (piece.sounding_s - self._block_s)
            piece.sounding_s = 0.0
        if samples is None and piece.sound.finished:
            samples = SILENCE
        if samples is not None:
            if speech.first_audio_s is None and samples.size:
                speech.first_audio_s = self._clock()
            speech.made_s += samples.size / OUTPUT_RATE_HZ
            total_s = None if piece.thinking else piece.n_ids / SPEECH_TOKENS_PER_S / speech.speed
            speech.put(Made(piece.index, samples, total_s, piece.sound.finished))
        if piece.sound.finished:
            speech.open.popleft()
            piece.sound.close()

    def _stop_thinking(self, piece: _Piece) -> None:
        piece.thinking = False
        self._lm.close(piece.request)
        piece.sound.end()

    def _guarded(self, speeches: Sequence[Speech], work: Callable[[Sequence[Speech]], None]) -> None:
        """`work` on `speeches`; they fail when it raises, and the thread goes on."""
        try:
            work(speeches)
        except Exception as error:  # a model's library raises anything; the thread must live
            if not isinstance(error, EngineFailed):
                _log.exception("speech synthesis failed")
            failure = error if isinstance(error, EngineFailed) else EngineFailed(f"{type(error).__name__}: {error}")
            for speech in speeches:
                self._drop(speech, failure)
                speech.cancelled = True

    def _drop(self, speech: Speech, error: EngineFailed | None = None) -> None:
        """Free all a speech holds and tell its listener that nothing more comes."""
        for piece in speech.open:
            if piece.thinking:
                self._lm.close(piece.request)
            piece.sound.close()
        speech.open.clear()
        speech.waiting.clear()
        speech.end(error)
