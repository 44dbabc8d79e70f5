"""Sections of the engines: ears, mind and voice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from talkover.sections.section import Device, Section, Unit

ChunkMs = Annotated[int, Field(ge=240, le=1200, multiple_of=120)]
"""whole frames of 60 ms, and half as many to look ahead"""
Hotword = Annotated[str, Field(min_length=1, max_length=60)]
Written = Annotated[str, Field(min_length=1, max_length=60)]
Spoken = Annotated[str, Field(max_length=200)]
Pronunciation = Annotated[dict[Written, Spoken], Field(max_length=500)]
"""what is written -> what is said for it; letter case counts"""
VoiceName = Annotated[str, Field(pattern=r"^[^\s,]{1,64}$")]


class VadSettings(Section):
    engine: str = "silero"
    gate: Literal["webrtc", "none"] = "none"
    """a cheap detector in front that spares the engine silent frames: a sixth less CPU, onsets up to 50 ms later"""
    threshold: Unit = 0.5
    min_speech_ms: Annotated[int, Field(ge=0, le=2000)] = 96
    """voiced audio needed before a sound counts as speech"""
    barge_in_ms: Annotated[int, Field(ge=0, le=2000)] = 224
    """voiced audio needed, while the agent is audible, before it yields"""
    prefix_padding_ms: Annotated[int, Field(ge=0, le=2000)] = 400
    """pre-roll: audio before the onset that still reaches the recognizer"""
    silence_duration_ms: Annotated[int, Field(ge=100, le=5000)] = 500
    max_utterance_s: Annotated[float, Field(ge=1, le=300)] = 60
    echo_canceller: Literal["none", "webrtc"] = "none"
    """for clients that do not cancel the agent's echo themselves, as a telephone or a bare loudspeaker; browsers do"""
    turn_model: Path | None = None
    """ONNX file that tells how likely a turn is over, as one more ground: Smart Turn v3 (audio), or a text model with
    its tokenizer beside it; none: the rules alone"""
    speaker_model: Path | None = None
    """ONNX file of a speaker encoder, such as CosyVoice2's campplus.onnx: another voice than the caller's is taken for
    side talk; none: loudness alone tells"""
    decision_log: Path | None = None
    """folder for a file per session with what turn taking decided and on which grounds, partial transcripts included:
    `talkover bench duplex --replay FILE` decides again from it"""


class AsrSettings(Section):
    engine: str = "pocketsphinx"
    workers: Annotated[int, Field(ge=1, le=64)] | None = None
    """worker processes; none: one per core, at most 4"""
    language: str | None = None
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 10
    second_opinion: str | None = None
    """another engine that is asked about uncertain finals"""
    second_opinion_below: Unit = 0.35
    """confidence under which it is asked"""
    second_opinion_wait_ms: Annotated[int, Field(ge=0, le=60_000)] = 300
    """how long it may take, at the cost of latency where it is more than the silence that ends a turn"""
    second_opinion_model: str | None = None
    second_opinion_base_url: str | None = None
    """`model` and `base_url` of that engine"""
    base_url: str | None = None
    model: str | None = None
    """what finalises an utterance: a name of `talkover models list`, a hub name or a folder"""
    api_key_env: str | None = None
    streaming_model: str | None = None
    """what hears while the user speaks (paraformer); none: no partials"""
    punctuation_model: str | None = None
    """what puts punctuation into the final text (paraformer); none: no punctuation"""
    chunk_ms: ChunkMs = 600
    """paraformer: audio per step of the streaming model; shorter is earlier, and less accurate"""
    second_pass: Literal["always", "unless_confident", "never"] = "always"
    """paraformer: whether `model` decodes the whole utterance again at its end, or the streamed text will do"""
    hotwords: Annotated[tuple[Hotword, ...], Field(max_length=1000)] = ()
    """names and terms to spell right (contextual and SeACo models)"""
    inverse_normalization: bool = True
    """paraformer: numbers, dates and amounts as digits"""
    device: Device = "auto"
    """paraformer: auto takes a GPU when there is one"""


class ModelsSettings(Section):
    folder: Path | None = None
    """where downloaded models lie; none: the cache folder"""
    hub: Literal["auto", "modelscope", "huggingface"] = "auto"
    """auto: ModelScope first, Hugging Face second"""
    download: bool = True
    """fetch what is missing at the start; false: say which command would"""
    accept_other_licences: bool = False
    """also download weights that are neither Apache-2.0 nor MIT"""


class EndpointSettings(Section):
    base_url: str
    model: str | None = None
    """none: `llm.model`, else what the endpoint offers first"""
    api_key_env: str = "TALKOVER_LLM_KEY"
    """variable that holds its key; a key is never sent to another endpoint than its own"""


class LlmSettings(Section):
    engine: str = "auto"
    """auto: `openai` when OPENAI_API_KEY or OPENAI_BASE_URL is set, else `embedded`"""
    base_url: str | None = None
    """none: OPENAI_BASE_URL"""
    model: str | None = None
    """none: OPENAI_MODEL, else what the endpoint offers first"""
    api_key_env: str = "OPENAI_API_KEY"
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    first_token_timeout_s: Annotated[float, Field(gt=0, le=300)] = 15
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 60
    max_retries: Annotated[int, Field(ge=0, le=5)] = 2
    """before the first token only"""
    endpoints: Annotated[tuple[EndpointSettings, ...], Field(max_length=8)] = ()
    """servers to fall back on, in this order, after `base_url` where that is set"""
    hedge_after_ms: Annotated[int, Field(ge=50, le=60_000)] = 1500
    """an endpoint without a first token for so long is joined by the next; the first to speak answers"""
    endpoint_rest_s: Annotated[float, Field(ge=0, le=3600)] = 30
    """how long an endpoint that failed is asked last"""
    history_tokens: Annotated[int, Field(ge=500, le=1_000_000)] = 6000
    """of the conversation in a prompt, by estimate; what is older is summarised by the model, in the background"""
    device: Device = "auto"
    """transformers: auto takes a GPU when there is one"""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """transformers: auto: float32 on a CPU, else what the checkpoint holds"""


class TtsSettings(Section):
    engine: str = "espeak"
    base_url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 10
    """openai: longest wait for the first audio, and for the next"""
    voice_names: Annotated[tuple[VoiceName, ...], Field(max_length=200)] = ()
    """openai: the voices of that server, the default one first; empty: what it lists, else those of OpenAI"""
    device: Device = "auto"
    """cosyvoice2: auto takes a GPU when there is one"""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """cosyvoice2: of the language model and the flow; auto: float32 on a CPU, bfloat16 on a GPU"""
    max_utterances: Annotated[int, Field(ge=1, le=256)] = 16
    """cosyvoice2: texts that are spoken at the same time; more wait"""
    context_s: Annotated[float, Field(ge=1, le=120)] | None = None
    """cosyvoice2: how much of its own speech an utterance sees, 230 MB of memory a second in float32; none: 30"""
    instruction: Annotated[str, Field(max_length=200)] = ""
    """cosyvoice2: how to speak, in words; empty: as each voice does"""
    voice_folder: Path | None = None
    """cosyvoice2: folder of your own voices; none: talkover/voices in the user's data folder"""
    pronunciation: Pronunciation = Field(default_factory=dict[str, str])
    """what to say for what is written"""
