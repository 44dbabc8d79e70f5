"""What flows between the stages: frozen dataclasses, one per subject.

Everything downstream of a turn carries a *generation*. Starting a new one makes all older ones stale: stages compare,
drop stale input and stop between yields (see `pipeline/cancel.py`). Inside the process audio is float32 mono in
[-1, 1], 16 kHz up to the ASR and 24 kHz from the TTS; int16, G.711 and base64 exist only in `audio.py` and `realtime/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Encoding = Literal["pcm", "pcmu", "pcma"]
Modality = Literal["audio", "text"]
FailureCode = Literal["llm_error", "tts_error", "asr_error", "internal_error"]


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How audio travels on a wire: PCM16 little-endian or G.711, mono."""

    encoding: Encoding = "pcm"
    rate_hz: int = 24_000

    @property
    def bytes_per_sample(self) -> int:
        return 2 if self.encoding == "pcm" else 1

    def duration_ms(self, n_bytes: int) -> float:
        return n_bytes / self.bytes_per_sample * 1000 / self.rate_hz


# --------------------------------------------------------------------------------------------- user to recognizer


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """The next piece of one utterance on its way to the recognizer."""

    item_id: str
    samples: Samples
    """(n,) float32 at 16 kHz, new since the previous piece of the same item; may be empty"""
    start_ms: int
    """position of `samples[0]` in the session's input audio"""
    end_ms: int
    revision: int
    """counts the likely ends of this utterance: a `final` piece is asked for at each, older answers are stale"""
    final: bool
    """finalise everything fed so far; when pieces follow under a higher revision, the user went on"""
    language: str | None = None
    hint: str = ""
    """words to expect (the protocol's transcription prompt)"""


@dataclass(frozen=True, slots=True)
class SpeechDropped:
    """The utterance turned out to be noise, or was cleared: forget it, answer nothing."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the recognizer understood so far of one utterance."""

    item_id: str
    text: str
    stable_chars: int
    """length of the prefix that will not change any more"""
    final: bool
    revision: int = 0
    confidence: float | None = None
    """0 (guess) to 1 (certain); None where the engine has none"""
    language: str | None = None
    audio_end_ms: int = 0
    at_s: float = 0.0
    """monotonic time at which it was ready"""
    emotion: str | None = None
    events: tuple[str, ...] = ()
    """see `Hypothesis` in engines.py"""


@dataclass(frozen=True, slots=True)
class TurnOpinion:
    """What a turn model thinks of an utterance up to a likely end."""

    item_id: str
    revision: int
    probability: float
    """that the turn is over, 0 to 1"""


@dataclass(frozen=True, slots=True)
class VoiceQuestion:
    """Speech for a speaker model."""

    item_id: str
    samples: Samples
    """(n,) float32 at 16 kHz"""
    is_caller: bool
    """a turn to learn the caller's voice from; else: is this the caller?"""


@dataclass(frozen=True, slots=True)
class VoiceOpinion:
    """How much a sound over the agent is the caller's voice."""

    item_id: str
    similarity: float
    """cosine, -1 to 1"""


# ------------------------------------------------------------------------------------------------ the prompt


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of the conversation as the LLM may see it: assistant text is what the user *heard*."""

    role: Literal["system", "user", "assistant"]
    text: str
    cut_off: bool = False
    """an assistant message the user interrupted: `text` ends where they stopped hearing it"""
    uncertain: bool = False
    """a user message the recognizer was unsure of: better ask back than guess"""
    emotion: str | None = None
    events: tuple[str, ...] = ()
    """how a user message was said, and what was heard with it; see `Hypothesis` in engines.py"""
    language: str | None = None
    """what a user message was spoken in, as the recogniser tells it: en, zh, yue"""


@dataclass(frozen=True, slots=True)
class TurnQuestion:
    """What a turn model is asked at a likely end."""

    item_id: str
    revision: int
    samples: Samples
    """(n,) float32 at 16 kHz: the utterance so far"""
    messages: tuple[PromptMessage, ...]
    """the conversation, the utterance so far at its end"""


@dataclass(frozen=True, slots=True)
class PromptCall:
    """A function call made earlier in the conversation."""

    call_id: str
    name: str
    arguments: str
    """JSON object as text"""


@dataclass(frozen=True, slots=True)
class PromptCallOutput:
    """What the function returned."""

    call_id: str
    output: str


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function the client offers; `parameters` is a JSON schema object."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    asked_by: str = ""
    """how users ask for it, for engines without a model: patterns of llm/phrases.py; empty: by its name"""


@dataclass(frozen=True, slots=True)
class Source:
    """A passage an answer rests on."""

    id: str
    title: str
    """of the document or page"""
    path: str
    snippet: str
    """the quotation shown to people, some 240 characters"""
    score: float
    """how well it fits, comparable within one search only"""
    text: str = ""
    """the whole passage as an LLM gets it; empty: the snippet is all there is"""
    heading: str = ""
    """the section it stands in"""
    location: str = ""
    """where in the document, in words such as `page 3` or `row 12`"""


@dataclass(frozen=True, slots=True)
class Prompt:
    """All an LLM engine gets to see for one response."""

    instructions: str
    messages: tuple[PromptMessage | PromptCall | PromptCallOutput, ...]
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: str = "auto"
    """auto, none, required, or the name of one tool"""
    max_output_tokens: int | None = None
    spoken: bool = True
    """the answer will be heard, not read"""
    summary: str = ""
    """what was said before `messages` begins, in short; made by a model from the conversation, so it is data"""
    known: tuple[str, ...] = ()
    """what the caller agreed to have remembered from earlier conversations; data, too"""
    circumstances: str = ""
    """what the operator tells of here and now, such as opening hours; the agent's own knowledge"""
    in_background: bool = False
    """nobody waits for it: an engine that serves one at a time lets others go first"""
    passages: tuple[Source, ...] | None = None
    """quoted from documents for this answer, best first; empty: none was found; None: no documents were searched"""
    only_documents: bool = False
    """answer questions of fact from `passages` alone, and say so when they hold no answer"""


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """How a response is spoken."""

    voice: str
    """id of a configured voice"""
    speed: float = 1.0
    """0.25 to 1.5"""
    instruction: str = ""
    """how to speak, in words; engines that cannot follow it ignore it"""


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """Work for one response: think, and for audio also speak."""

    generation: int
    response_id: str
    prompt: Prompt
    modality: Modality
    voice: VoiceSettings
    audio_format: AudioFormat = AudioFormat()
    paced: bool = True
    """send audio at the pace of playback; an out-of-band response goes out as fast as it is made"""
    say: str | None = None
    """speak this instead of asking the LLM"""
    ahead: bool = False
    """made before the user's turn is certain to be over: held by the sender until it is committed"""


# ------------------------------------------------------------------------- responder, synthesizer, sender, session
# These travel one ordered way, responder -> synthesizer -> sender -> session. A stage passes on what is not for it, so
# that the order of a response on the wire is the order in which it was thought.


@dataclass(frozen=True, slots=True)
class TextDelta:
    """New text of the answer, as it came from the LLM (Markdown and all)."""

    generation: int
    response_id: str
    text: str
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of a function call; the first one of a call has the name and no arguments."""

    generation: int
    response_id: str
    call_id: str
    name: str
    arguments: str
    last: bool


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """A server-side search finished; comes before the text that uses it."""

    generation: int
    response_id: str
    search_id: str
    kind: Literal["documents", "web"]
    query: str
    sources: tuple[Source, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as far as the LLM tells; 0 where it does not."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Word:
    """When one word of the text sounds."""

    start: int
    """character offset of its first character"""
    end: int
    """character offset after its last one"""
    start_ms: float
    """from the first sample of the audio it belongs to"""
    end_ms: float


@dataclass(frozen=True, slots=True)
class AudioDelta:
    """Synthesised speech: a chunk, and with the first chunk of a segment the text it speaks."""

    generation: int
    response_id: str
    samples: Samples
    """(n,) float32 at 24 kHz"""
    text: str = ""
    """the segment's text for transcript and captions, on its first chunk only"""
    words: tuple[Word, ...] = ()
    """words that begin in this chunk: offsets into the *segment's* text, times from the *segment's* first sample"""
    segment_end: bool = False
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ResponseEnd:
    """The last message of a response."""

    generation: int
    response_id: str
    status: Literal["completed", "incomplete", "failed"] = "completed"
    reason: str | None = None
    """incomplete: max_output_tokens or content_filter; failed: a `FailureCode`"""
    message: str = ""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class StageMark:
    """A point in time of a response worth measuring, e.g. `llm_first_token`."""

    generation: int
    response_id: str
    name: str
    at_s: float


@dataclass(frozen=True, slots=True)
class StageFailed:
    """A stage raised; its thread goes on with the next item."""

    stage: str
    error: str
    generation: int | None = None
    response_id: str | None = None
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class WireAudio:
    """Audio ready to be sent, released when it is due."""

    generation: int
    response_id: str
    payload: bytes
    """wire bytes in the response's format, whole samples"""
    duration_ms: float
    text: str = ""
    words: tuple[Word, ...] = ()
    """see AudioDelta"""
    segment_end: bool = False
    synthesized_at_s: float = 0.0
    silent_ms: float = 0.0
    """before the first sample of the response that can be heard: all of it while there is none; 0 after that"""


@dataclass(frozen=True, slots=True)
class CallAhead:
    """A function call in an answer that is held because the user's turn is not certain to be over."""

    response_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class TextAhead:
    """What a spoken answer is going to say, as soon as the LLM has said it: long before it sounds."""

    response_id: str
    text: str
    """one more segment of it, Markdown and all; empty with `last`"""
    last: bool = False
    """the LLM has nothing more to say"""


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A server-side tool came to an end."""

    run_id: int
    output: str
    """what the model is told: JSON, or plain text"""
    failed: bool = False
    sources: tuple[Source, ...] = ()
    signal: str = ""
    """what the session has to do beside telling the result, e.g. `handover`; empty: nothing"""


@dataclass(frozen=True, slots=True)
class CallerKnown:
    """What is remembered of a caller; asked for when the client says who calls."""

    caller: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SummaryMade:
    """The summary that was asked for; empty when it failed, with the reason."""

    text: str
    error: str = ""


Output = TextDelta | CallDelta | SourcesFound | AudioDelta | WireAudio | ResponseEnd | StageMark | StageFailed
