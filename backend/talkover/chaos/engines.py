"""Engines that do wrong as a plan says, wrapped around real ones. Whatever the plan does not name goes through."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast, get_args

from talkover.chaos import garbage
from talkover.chaos.plan import VICTIM, VICTIM_SPEED, Breakage, EngineFault, FaultPlan, Garbage, Slot
from talkover.engines import (
    AsrEngine,
    AsrStream,
    EngineFailed,
    Engines,
    Hypothesis,
    IsStale,
    LlmEngine,
    LlmEvent,
    Retriever,
    SpeechChunk,
    TtsEngine,
    VadEngine,
    VadStream,
)
from talkover.messages import Prompt, Samples, Source, VoiceSettings

STUCK_S = 600.0
"""longest hang: an experiment must come to an end"""
POLL_S = 0.02


class Switch:
    """Whether faults happen now. Turned from outside, read by every engine."""

    def __init__(self, is_on: bool = False) -> None:
        self.is_on = is_on
        self.turns = 0
        """how often it was turned on: calls are counted anew each time"""
        self.ended = threading.Event()
        """lets go what is stuck"""

    def turn(self, on: bool) -> None:
        self.turns += on
        self.is_on = on


class Striker:
    """Counts the victim's calls of one engine and does the deed at those that the plan names. For many threads."""

    def __init__(self, fault: EngineFault, switch: Switch) -> None:
        self.fault = fault
        self._switch = switch
        self._lock = threading.Lock()
        self._random = random.Random(fault.seed)
        self._counted = (0, 0)

    def strikes(self) -> bool:
        """Whether the victim's call that begins now goes wrong."""
        if not self._switch.is_on:
            return False
        fault = self.fault
        with self._lock:
            turn, calls = self._counted
            calls = calls + 1 if turn == self._switch.turns else 1
            self._counted = (self._switch.turns, calls)
            is_named = fault.at_call <= calls < fault.at_call + fault.times
            return is_named and self._random.random() < fault.share

    @property
    def garbage(self) -> Garbage | None:
        """What is given instead of results; None when the engine breaks or is slow instead."""
        return None if self.fault.deed in get_args(Breakage) else cast(Garbage, self.fault.deed)

    def break_down(self, is_stale: IsStale) -> None:
        """Raise, or come back late or not at all, as the plan says."""
        match self.fault.deed:
            case "fail":
                raise EngineFailed("chaos: this engine fails as planned")
            case "raise":
                raise ZeroDivisionError("chaos: nobody expects this")
            case "out_of_memory":
                raise MemoryError("chaos: no memory is left")
            case "cuda_out_of_memory":
                raise RuntimeError("chaos: CUDA error: out of memory")
            case "hang":
                self._wait(STUCK_S, is_stale)
            case "stuck":
                self._switch.ended.wait(STUCK_S)
            case _:
                self._wait(self.fault.pause_s, is_stale)

    def streamed(self, results: Iterator[Any], is_stale: IsStale) -> Iterator[Any]:
        """The results of a call that goes wrong after some of them."""
        for given, result in enumerate(results):
            if given >= self.fault.after_results:
                self.break_down(is_stale)
            yield result

    def _wait(self, duration_s: float, is_stale: IsStale) -> None:
        end_s = time.monotonic() + duration_s
        while not is_stale() and time.monotonic() < end_s and not self._switch.ended.wait(POLL_S):
            pass


class _Wrapped:
    """An engine with its striker; attributes that few engines have are those of the real one."""

    def __init__(self, inner: Any, striker: Striker) -> None:
        self._inner = inner
        self._striker = striker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class FaultyVad(_Wrapped):
    """Frames of the session that the plan numbers go wrong."""

    def __init__(self, inner: VadEngine, striker: Striker) -> None:
        super().__init__(inner, striker)
        self._sessions = 0

    def stream(self) -> VadStream:
        self._sessions += 1
        inner: VadStream = self._inner.stream()
        return _FaultyVadStream(inner, self._striker) if self._sessions == self._striker.fault.session else inner


class _FaultyVadStream(_Wrapped):
    def speech_probability(self, frame: Samples) -> float:
        striker = self._striker
        if striker.strikes():
            if striker.garbage is not None:
                return garbage.probability(striker.garbage)
            striker.break_down(lambda: False)
        return self._inner.speech_probability(frame)

    def reset(self) -> None:
        self._inner.reset()


class FaultyAsr(_Wrapped):
    """Utterances of the victim go wrong when they are finished."""

    def stream(self, language: str | None = None, hint: str = "") -> AsrStream:
        inner: AsrStream = self._inner.stream(language, hint)
        return _FaultyAsrStream(inner, self._striker) if hint == VICTIM else inner


class _FaultyAsrStream(_Wrapped):
    def feed(self, samples: Samples) -> Hypothesis | None:
        return self._inner.feed(samples)

    def partial(self) -> Hypothesis | None:
        return self._inner.partial()

    def finish(self, is_stale: IsStale) -> Hypothesis:
        striker = self._striker
        if striker.strikes():
            if striker.garbage is not None:
                return garbage.hypothesis(striker.garbage)
            striker.break_down(is_stale)
        return self._inner.finish(is_stale)

    def close(self) -> None:
        self._inner.close()


class FaultyLlm(_Wrapped):
    """Answers to the victim go wrong."""

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        striker = self._striker
        if VICTIM not in prompt.instructions or not striker.strikes():
            return self._inner.respond(prompt, is_stale)
        if striker.garbage is not None:
            return garbage.answer(striker.garbage)
        return striker.streamed(self._inner.respond(prompt, is_stale), is_stale)


class FaultyTts(_Wrapped):
    """What is said to the victim goes wrong."""

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        striker = self._striker
        if settings.speed != VICTIM_SPEED or not striker.strikes():
            return self._inner.synthesize(text, settings, is_stale)
        if striker.garbage is not None:
            return garbage.speech(striker.garbage)
        return striker.streamed(self._inner.synthesize(text, settings, is_stale), is_stale)


class FaultyRetriever(_Wrapped):
    """Searches go wrong, everybody's: a question does not tell whose it is."""

    def search(self, question: str, limit: int, is_stale: IsStale) -> tuple[Source, ...]:
        striker = self._striker
        if striker.strikes():
            if striker.garbage is not None:
                return ()
            striker.break_down(is_stale)
        return self._inner.search(question, limit, is_stale)


WRAPPERS: dict[Slot, type[_Wrapped]] = {
    "vad": FaultyVad,
    "asr": FaultyAsr,
    "llm": FaultyLlm,
    "tts": FaultyTts,
    "retriever": FaultyRetriever,
}


def with_faults(engines: Engines, plan: FaultPlan, switch: Switch) -> Engines:
    """The same engines, which do wrong as planned while the switch is on."""
    for fault in plan.engines:
        inner: VadEngine | AsrEngine | LlmEngine | TtsEngine | Retriever | None = getattr(engines, fault.slot)
        if inner is not None:
            engines = replace(engines, **{fault.slot: cast(Any, WRAPPERS[fault.slot](inner, Striker(fault, switch)))})
    return engines
