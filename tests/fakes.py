"""Engines with the real interfaces whose behaviour a test scripts, and a session driven by hand on virtual time."""

from __future__ import annotations

import base64
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, level_dbfs, ms_to_samples, samples_to_pcm16
from talkover.engines import (
    EngineFailed,
    Engines,
    Hypothesis,
    IsStale,
    LlmEvent,
    LlmFinished,
    LlmText,
    SpeechChunk,
    Usage,
    Voice,
)
from talkover.messages import Output, Prompt, ResponseRequest, Samples, StageFailed, VoiceSettings, Word
from talkover.pipeline.cancel import Generations
from talkover.pipeline.recognizer import Recognizer
from talkover.pipeline.responder import Responder
from talkover.pipeline.sender import Sender
from talkover.pipeline.synthesizer import Synthesizer
from talkover.realtime.actions import Action, Close, Commit, Hold, Recognize, Respond, Send
from talkover.realtime.ids import seeded_ids
from talkover.realtime.observer import MakeObserver
from talkover.realtime.session import Opened, RealtimeSession
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.settings import SessionSettings
from talkover.vad.endpointing import TurnOptions
from talkover.vad.frame_sound import MeasuredSounds


def never() -> bool:
    """An `is_stale` for work nobody cancels."""
    return False


# ----------------------------------------------------------------------------------------------------------- engines


class FakeEngine:
    name = "fake"

    def warmup(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to free."""


class LevelVad(FakeEngine):
    """Loud is speech."""

    def stream(self) -> LevelVad:
        return self

    def speech_probability(self, frame: Samples) -> float:
        assert frame.shape == (512,)
        assert frame.dtype == np.float32
        return 1.0 if level_dbfs(frame) > -40 else 0.0

    def reset(self) -> None:
        """Has no state."""


class ScriptedAsr(FakeEngine):
    """Each utterance finishes with the next text or hypothesis of the script; an exception in it is raised."""

    def __init__(self, *texts: str | Hypothesis | Exception) -> None:
        self.texts: deque[str | Hypothesis | Exception] = deque(texts)
        self.open_streams = 0

    def stream(self, language: str | None = None, hint: str = "") -> ScriptedAsrStream:
        self.open_streams += 1
        return ScriptedAsrStream(self)


class ScriptedAsrStream:
    def __init__(self, engine: ScriptedAsr) -> None:
        self._engine = engine
        self.fed_samples = 0
        self._closed = False

    def feed(self, samples: Samples) -> Hypothesis | None:
        self.fed_samples += samples.size
        upcoming = self._engine.texts[0] if self._engine.texts else ""
        if not isinstance(upcoming, str) or not upcoming:
            return None
        return Hypothesis(upcoming[: max(1, len(upcoming) // 2)])

    def partial(self) -> Hypothesis | None:
        return None

    def finish(self, is_stale: IsStale) -> Hypothesis:
        text = self._engine.texts.popleft() if self._engine.texts else ""
        if isinstance(text, Exception):
            raise text
        return text if isinstance(text, Hypothesis) else Hypothesis(text, len(text), 0.9)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._engine.open_streams -= 1


Answer = str | Exception | Sequence[LlmEvent | Exception]


class ScriptedLlm(FakeEngine):
    """Answers from a script, or with what a function makes of the prompt. Records the prompts."""

    def __init__(self, *answers: Answer, reply: Callable[[Prompt], str] | None = None) -> None:
        self.answers: deque[Answer] = deque(answers)
        self.reply = reply
        self.prompts: list[Prompt] = []

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        self.prompts.append(prompt)
        answer: Answer = self.answers.popleft() if self.answers else "Fine."
        if self.reply is not None:
            answer = self.reply(prompt)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            words = answer.split(" ")
            answer = [LlmText(word if index == 0 else f" {word}") for index, word in enumerate(words)]
        for event in answer:
            if is_stale():
                return
            if isinstance(event, Exception):
                raise event
            yield event
        if not any(isinstance(event, LlmFinished) for event in answer):
            yield LlmFinished("stop", Usage(10, 5, 0))


class ToneTts(FakeEngine):
    """A tone of a fixed length per character, in chunks of 40 ms, with word times."""

    def __init__(self, ms_per_char: float = 20.0, with_words: bool = True, fails: bool = False) -> None:
        self.ms_per_char = ms_per_char
        self.with_words = with_words
        self.fails = fails
        self.spoken: list[str] = []

    def voices(self) -> tuple[Voice, ...]:
        return (Voice("tone", "Tone", "en-US", "fake"),)

    def aliases(self) -> Mapping[str, str]:
        return {"default": "tone", "alloy": "tone"}

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        if self.fails:
            raise EngineFailed("no voice today")
        self.spoken.append(text)
        words: list[Word] = []
        position = 0
        for part in text.split(" "):
            if part:
                start, end = position, position + len(part)
                words.append(Word(start, end, start * self.ms_per_char, end * self.ms_per_char))
            position += len(part) + 1
        total = ms_to_samples(len(text) * self.ms_per_char, OUTPUT_RATE_HZ)
        size = ms_to_samples(40, OUTPUT_RATE_HZ)
        tone = (0.3 * np.sin(np.arange(total) * 0.2)).astype(np.float32)
        for begin in range(0, total, size):
            if is_stale():
                return
            until_ms = (begin + size) / OUTPUT_RATE_HZ * 1000
            begun = tuple(word for word in words if word.start_ms < until_ms)
            words = words[len(begun) :]
            yield SpeechChunk(tone[begin : begin + size], begun if self.with_words else ())


def fake_engines(asr: ScriptedAsr | None = None, llm: ScriptedLlm | None = None, tts: ToneTts | None = None) -> Engines:
    return Engines(LevelVad(), asr or ScriptedAsr(), llm or ScriptedLlm(), tts or ToneTts())


# ----------------------------------------------------------------------------------------------- a session by hand


def session_options(**changes: Any) -> SessionOptions:
    defaults: dict[str, Any] = {
        "model": "fake",
        "expires_at": 2_000_000_000,
        "lifetime_s": 3600,
        "settings": SessionSettings(instructions="Be brief."),
        "vad_options": TurnOptions(),
        "pre_roll_ms": 300,
        "asr_timeout_s": 10,
        "response_timeout_s": 20,
        "resolve_voice": {"tone": "tone", "default": "tone", "alloy": "tone"}.get,
        "info": {"engines": {}, "notes": []},
    }
    return SessionOptions(**(defaults | changes))


@dataclass
class Driver:
    """Runs the protocol core against real stages and scripted engines, without threads and on virtual time.

    Work the core asks for waits in `work` until `run` (or `step`) does it, so that a test decides what happens first.
    """

    engines: Engines = field(default_factory=fake_engines)
    options: SessionOptions = field(default_factory=session_options)
    now_s: float = 100.0
    events: list[dict[str, Any]] = field(default_factory=list)
    work: deque[Iterator[Any]] = field(default_factory=deque)
    closed: tuple[int, str] | None = None
    held: bool = False
    ahead: dict[int, list[Any]] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    observer: MakeObserver | None = None

    def __post_init__(self) -> None:
        self.main, self.aside = Generations(), Generations()
        self.observers: list[Any] = []
        if self.observer is not None:  # before the core, some of whose decisions are taken while it is made
            self.observers = [self.observer(seeded_ids(self.options.id_seed)("sess_"), self.options)]
        self.core = RealtimeSession(
            self.options,
            MeasuredSounds(self.engines.vad.stream()),
            self.main,
            self.aside,
            record=None if self.observer is None else self._decided_within,
        )
        self._recognizer = Recognizer(self.engines.asr)
        self.handle(Opened())

    # what the client does

    def send(self, event_type: str, **fields: Any) -> list[dict[str, Any]]:
        """One client event; returns the events sent in reply."""
        return self.send_raw(json.dumps({"type": event_type, **fields}))

    def send_raw(self, frame: str | bytes) -> list[dict[str, Any]]:
        before = len(self.events)
        self.handle(frame)
        while not self.core.ready_for_frames:
            self.handle(None)
        return self.events[before:]

    def update(self, **session: Any) -> list[dict[str, Any]]:
        return self.send("session.update", session={"type": "realtime", **session})

    def turn_detection(self, value: dict[str, Any] | None) -> None:
        self.update(audio={"input": {"turn_detection": value}})

    def hear(self, duration_ms: float, amplitude: float) -> list[dict[str, Any]]:
        """Microphone audio in real time, 20 ms a piece."""
        before = len(self.events)
        for _ in range(round(duration_ms / 20)):
            # a vowel at 380 Hz and a consonant's share at 4.6 kHz: a sound without any is given longer to end
            tone = (amplitude * (np.sin(np.arange(480) * 0.1) + 0.3 * np.sin(np.arange(480) * 1.2))).astype(np.float32)
            self.now_s += 0.02
            self.send("input_audio_buffer.append", audio=base64.b64encode(samples_to_pcm16(tone)).decode())
        return self.events[before:]

    def speak(self, duration_ms: float) -> list[dict[str, Any]]:
        return self.hear(duration_ms, 0.5)

    def silence(self, duration_ms: float) -> list[dict[str, Any]]:
        return self.hear(duration_ms, 0.0)

    def say(self, duration_ms: float = 600) -> list[dict[str, Any]]:
        """A whole utterance with the silence that ends it, and everything that follows from it."""
        before = len(self.events)
        self.speak(duration_ms)
        self.run()
        self.end_turn()
        return self.events[before:]

    def end_turn(self) -> None:
        """Silence that ends a turn, with the pipeline at work meanwhile."""
        self.silence(240)
        self.run()
        self.silence(460)
        self.run()

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """Let time pass."""
        before = len(self.events)
        self.now_s += seconds
        self.handle(None)
        return self.events[before:]

    # what the pipeline does

    def step(self, index: int = 0) -> bool:
        """One result of one piece of work; False when there is none."""
        while self.work:
            index %= len(self.work)
            result = next(self.work[index], None)
            if result is not None:
                self.handle(result)
                return True
            del self.work[index]
        return False

    def run(self, steps: int = 1_000_000) -> list[dict[str, Any]]:
        """Work until nothing is left, or `steps` results."""
        before = len(self.events)
        while steps and self.step():
            steps -= 1
        return self.events[before:]

    # what can be asked

    def types(self, events: Sequence[dict[str, Any]] | None = None) -> list[str]:
        return [event["type"] for event in (self.events if events is None else events)]

    def of(self, event_type: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == event_type]

    def last(self, event_type: str) -> dict[str, Any]:
        return self.of(event_type)[-1]

    # inside

    def handle(self, happened: Any) -> None:
        """One step of the core, seen by the observer."""
        for observer in self.observers:
            observer.happened(happened, self.now_s)
        actions = self.core.handle(happened, self.now_s)
        for observer in self.observers:
            observer.decided(actions, self.now_s)
        self._do(actions)

    def _decided_within(self, line: bytes) -> None:
        for observer in self.observers:
            observer.decided_within(line)

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self.actions.append(action)
            match action:
                case Send(event):
                    self.events.append(json.loads(json.dumps(event)))
                case Recognize(item):
                    self.work.append(self._guarded(self._recognizer.process(item, never), "recognizer", item))
                case Respond(_, request) if request.ahead:
                    self.ahead[request.generation] = list(self._lane(request))
                case Respond(_, request):
                    self.work.append(self._lane(request))
                case Commit(generation):
                    self.work.append(iter(self.ahead.pop(generation)))
                case Hold(on):
                    self.held = on
                case Close(code, reason):
                    self.closed = (code, reason)
                case _:
                    pass

    def _lane(self, request: ResponseRequest) -> Iterator[Output]:
        synthesizer = Synthesizer(self.engines.tts)
        sender = Sender(None, never, lambda: self.now_s)
        sender.commit(request.generation)
        thoughts = self._guarded(Responder(self.engines.llm).process(request, never), "responder", request)
        for thought in thoughts:
            for sound in self._guarded(synthesizer.process(thought, never), "synthesizer", request):
                yield from sender.process(sound, never)

    @staticmethod
    def _guarded(results: Iterator[Any], stage: str, item: Any) -> Iterator[Any]:
        """What StageThread does with an exception."""
        try:
            yield from results
        except Exception as error:
            yield StageFailed(
                stage,
                str(error) if isinstance(error, EngineFailed) else f"internal error ({type(error).__name__})",
                getattr(item, "generation", None),
                getattr(item, "response_id", None),
                getattr(item, "item_id", None),
            )


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Poll a condition that another thread makes true; for tests of threads only."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return condition()
