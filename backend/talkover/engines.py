"""The contracts of the engines, one per slot, and nothing else.

An engine is loaded once, warmed before the port opens and shared by all sessions, so its methods are called from many
threads at once: it either is safe for that or serialises inside, and says how many it serves side by side. Whatever
belongs to one utterance or one response is an object made for it (`AsrStream`, an iterator), never state in the engine.
`is_stale` is asked at least every 50 ms of work; once true the engine stops and the caller drops what it made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from talkover.messages import Prompt, PromptMessage, Samples, Source, Usage, VoiceSettings, Word

IsStale = Callable[[], bool]


class EngineUnavailable(Exception):
    """The engine cannot be loaded; the message says in one line what is missing and the command that mends it."""


class EngineFailed(Exception):
    """The engine could not do this piece of work; the next may go well."""


class Engine(Protocol):
    """What every engine has."""

    name: str

    def warmup(self) -> None:
        """Make the first real call as fast as the second. Raises EngineUnavailable."""
        ...

    def close(self) -> None:
        """Free processes and files; the engine is not used again."""
        ...


def slots(engine: Engine) -> int | None:
    """How many pieces of work an engine does on this machine at the same instant: its attribute `slots`; None: it works
    elsewhere."""
    return getattr(engine, "slots", None)


# ------------------------------------------------------------------------------------------------------------- VAD


class VadStream(Protocol):
    """Speech probability of one audio stream, frame by frame."""

    def speech_probability(self, frame: Samples) -> float:
        """Probability in [0, 1] that `frame`, exactly (512,) float32 at 16 kHz, holds speech."""
        ...

    def reset(self) -> None: ...


class VadEngine(Engine, Protocol):
    def stream(self) -> VadStream: ...


class TurnModel(Protocol):
    """Tells how likely it is that a turn is over. Called from many threads."""

    hears: bool
    """it judges the voice, so that it can be asked before the words are known; else the words"""

    def end_probability(self, samples: Samples, messages: Sequence[PromptMessage]) -> float:
        """In [0, 1]. `samples`: (n,) float32 at 16 kHz, the utterance so far; `messages`: the conversation with it."""
        ...


class SpeakerModel(Protocol):
    """Tells voices apart. Called from many threads."""

    def vector(self, samples: Samples) -> Samples:
        """(d,) float32 of (n,) float32 at 16 kHz; its direction is who speaks. Raises EngineFailed."""
        ...


# ------------------------------------------------------------------------------------------------------------- ASR


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What an utterance seems to say."""

    text: str
    stable_chars: int = 0
    """prefix that will not change; the whole text for a final one"""
    confidence: float | None = None
    """0 to 1"""
    language: str | None = None
    emotion: str | None = None
    """how it was said, where the engine hears that: happy, sad, angry, neutral, fearful, disgusted or surprised"""
    events: tuple[str, ...] = ()
    """what else was heard, where the engine tells: music, applause, laughter, crying, cough, sneeze, breath"""


class AsrStream(Protocol):
    """One utterance being recognised. Used by one thread at a time; `close` may be called at any point, also twice."""

    def feed(self, samples: Samples) -> Hypothesis | None:
        """Take (n,) float32 at 16 kHz, any n; the newest partial when it changed, else None. Does not wait for it."""
        ...

    def partial(self) -> Hypothesis | None:
        """The newest partial when it changed since it was last returned, else None. Does not wait."""
        ...

    def finish(self, is_stale: IsStale) -> Hypothesis:
        """The final hypothesis over all that was fed; "" when nothing was understood. Raises EngineFailed."""
        ...

    def close(self) -> None: ...


class AsrEngine(Engine, Protocol):
    def stream(self, language: str | None = None, hint: str = "") -> AsrStream: ...


# ------------------------------------------------------------------------------------------------------------- LLM


@dataclass(frozen=True, slots=True)
class LlmText:
    text: str


@dataclass(frozen=True, slots=True)
class LlmCall:
    """A piece of a function call. `index` tells parallel calls apart; the name comes with the first piece."""

    index: int
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class LlmSources:
    """Passages found for the answer; before the text that uses them."""

    kind: str
    query: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class LlmFinished:
    """Always the last event."""

    reason: str = "stop"
    """stop, length, content_filter or tool_calls"""
    usage: Usage = Usage()


LlmEvent = LlmText | LlmCall | LlmSources | LlmFinished


class LlmEngine(Engine, Protocol):
    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        """Stream the answer. Raises EngineFailed with a message fit for a log, never with keys or prompts in it."""
        ...


# ------------------------------------------------------------------------------------------------------------- TTS


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice one can choose."""

    id: str
    name: str
    language: str
    """BCP 47 tag of what it speaks best, e.g. en-US, zh-CN"""
    engine: str
    gender: str = ""


@dataclass(frozen=True, slots=True)
class NewVoice:
    """A voice to be made from a recording of somebody."""

    id: str
    """what clients will call it: 1 to 40 of a-z, 0-9, - and _, not beginning with - or _"""
    samples: Samples
    """(n,) float32, one speaker"""
    rate_hz: int
    transcript: str = ""
    """what the recording says; empty: not known"""
    name: str = ""
    """for people; empty: the id"""
    language: str = ""
    """BCP 47 tag of what is spoken in it; empty: as the transcript's script tells"""


class VoiceRefused(Exception):
    """A voice cannot be added or removed; `param` is the field of `NewVoice` at fault, where one is."""

    def __init__(
        self, reason: Literal["invalid", "exists", "unknown", "shipped", "full"], message: str, param: str = "id"
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.param = param


class VoiceLibrary(Protocol):
    """Voices that come and go while the server runs. Called from any thread; a call may take seconds."""

    def add_voice(self, voice: NewVoice) -> Voice:
        """Raises VoiceRefused, and nothing has changed then."""
        ...

    def remove_voice(self, voice_id: str) -> None:
        """Raises VoiceRefused. What is being spoken with it, and what a session still wants to say, goes on."""
        ...

    def removable(self) -> frozenset[str]:
        """Ids of the voices that may be removed: those that were added, not those that ship with Talkover."""
        ...

    def without_transcript(self) -> Mapping[str, tuple[Samples, int]]:
        """Recordings nobody wrote down: id -> ((n,) float32, rate in Hz)."""
        ...

    def set_transcript(self, voice_id: str, transcript: str) -> None:
        """What a recording says, as a recogniser heard it. Raises VoiceRefused."""
        ...


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A stretch of synthesised audio."""

    samples: Samples
    """(n,) float32 at 24 kHz"""
    words: tuple[Word, ...] = ()
    """words that begin in this chunk: offsets into the text given to `synthesize`, times from its first sample"""


class TtsEngine(Engine, Protocol):
    def voices(self) -> tuple[Voice, ...]: ...

    def aliases(self) -> Mapping[str, str]:
        """Other names for voices, `default` among them: name -> voice id."""
        ...

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        """Speak `text`, already normalised for speech. Raises EngineFailed, ValueError for an unknown voice."""
        ...


def speech_marks(engine: TtsEngine) -> frozenset[str]:
    """Marks such as `[laughter]` that an engine follows: its attribute `speech_marks`, which few engines have."""
    return getattr(engine, "speech_marks", frozenset())


def voice_library(engine: TtsEngine) -> VoiceLibrary | None:
    """Where voices of an engine can be added: its attribute `voice_library`, which few engines have."""
    return getattr(engine, "voice_library", None)


# ------------------------------------------------------------------------------------------------------- documents


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document as people see it in a list."""

    id: str
    """what it is removed by"""
    title: str
    path: str
    """relative to its folder, with forward slashes"""
    size_bytes: int
    passages: int
    """how many passages of it are searched"""
    removable: bool
    """false for what lies in the configured folder"""
    problem: str = ""
    """why nothing of it is searched; empty: it is"""


class DocumentRefused(Exception):
    """A document cannot be added or removed."""

    def __init__(
        self, reason: Literal["invalid", "exists", "unknown", "fixed", "too_large", "full"], message: str
    ) -> None:
        super().__init__(message)
        self.reason = reason


class Retriever(Protocol):
    """The documents answers are given from. Called from many threads; a change never stops a search."""

    def search(self, question: str, limit: int, is_stale: IsStale) -> tuple[Source, ...]:
        """Passages that fit, best first, at most `limit`; empty when none does, or it is stale. Raises EngineFailed."""
        ...

    def documents(self) -> tuple[DocumentInfo, ...]:
        """In order of their paths."""
        ...

    def add(self, path: str, content: bytes) -> DocumentInfo:
        """Read, keep and index one file; `path` is a plain file name. Takes seconds. Raises DocumentRefused."""
        ...

    def remove(self, document_id: str) -> None:
        """Forget a document that was added. Raises DocumentRefused."""
        ...

    def close(self) -> None:
        """Free threads and files; not used again."""
        ...


def answers_from_documents(engine: LlmEngine) -> bool:
    """Whether an engine searches by itself: its attribute `answers_from_documents`, which the embedded one has."""
    return getattr(engine, "answers_from_documents", False)


@dataclass(frozen=True, slots=True)
class Engines:
    """What fills the slots, shared by all sessions."""

    vad: VadEngine
    asr: AsrEngine
    llm: LlmEngine
    tts: TtsEngine
    retriever: Retriever | None = None
    """none: there are no documents to search"""
    turn: TurnModel | None = None
    """beside the rules of the turn detector"""
    speaker: SpeakerModel | None = None
    """knows the caller's voice from another"""

    def close(self) -> None:
        for engine in (self.vad, self.asr, self.llm, self.tts):
            engine.close()
        if self.retriever is not None:
            self.retriever.close()
