"""Typed, frozen settings from a TOML file, environment and command line, checked once and as a whole.

Precedence, low to high: built-in defaults, the file, `TALKOVER_A__B=value`, `--set a.b=value`. TOML has no null: the
word `none` stands for it where a key may be unset. A relative path in a file counts from the folder of that file.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Self, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

ENV_PREFIX = "TALKOVER_"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds one line each, all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _none_where_unset_is_allowed(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        optional = {name for name, field in cls.model_fields.items() if NoneType in get_args(field.annotation)}
        return {key: None if value == "none" and key in optional else value for key, value in values.items()}


Port = Annotated[int, Field(ge=0, le=65535)]
Unit = Annotated[float, Field(ge=0, le=1)]
ChunkMs = Annotated[int, Field(ge=240, le=1200, multiple_of=120)]
"""whole frames of 60 ms, and half as many to look ahead"""
Hotword = Annotated[str, Field(min_length=1, max_length=60)]
Written = Annotated[str, Field(min_length=1, max_length=60)]
Spoken = Annotated[str, Field(max_length=200)]
Pronunciation = Annotated[dict[Written, Spoken], Field(max_length=500)]
"""what is written -> what is said for it; letter case counts"""
Device = Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]
VoiceName = Annotated[str, Field(pattern=r"^[^\s,]{1,64}$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Rule = Annotated[str, Field(min_length=2, max_length=300)]
HostPattern = Annotated[str, Field(pattern=r"^(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)$")]
KeyScope = Literal["realtime", "audio", "documents", "voices", "metrics", "admin"]
PerMinute = Annotated[int, Field(ge=1, le=1_000_000)]


class ServerSettings(Section):
    host: str = "127.0.0.1"
    port: Port = 8000
    """0 picks a free one"""
    api_key_env: str = "TALKOVER_API_KEY"
    """name of the variable that holds the key clients must present; unset or empty variable: no key needed"""
    allowed_origins: tuple[str, ...] = ()
    """browser origins beside the server's own, e.g. https://example.com"""
    allowed_hosts: tuple[HostPattern, ...] = ()
    """names to be reached by, beside those that no foreign page can have: e.g. voice.example.com, *.example.com, or *
    for all"""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    max_sessions: Literal["auto"] | Annotated[int, Field(ge=1, le=1000)] = "auto"
    """conversations at the same time; auto: as many as this machine carries, measured at the start"""
    max_waiting: Annotated[int, Field(ge=0, le=1000)] = 32
    """callers of clients that can wait (the page) for whom there is no place; beyond them, and others, are refused"""
    max_wait_s: Annotated[float, Field(gt=0, le=3600)] = 300
    max_lag_ms: Annotated[int, Field(ge=50, le=60_000)] | None = 1000
    """answers that this machine makes later than this (p95): nobody new until running calls are in time; none: never"""
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 15
    """after SIGTERM, before running conversations are ended with a goodbye"""
    max_session_minutes: Annotated[float, Field(gt=0, le=1440)] = 60
    max_frame_mib: Annotated[int, Field(ge=1, le=256)] = 24
    """largest frame a client may send"""
    max_backlog_mib: Annotated[float, Field(gt=0, le=256)] = 8
    """unsent output after which a client that does not read is dropped"""
    stuck_after_s: Annotated[float, Field(ge=1, le=600)] = 10
    """a session whose thread does not get on with its work for so long is reported and closed with 1011"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    """json: an object a line, with the numbers of a turn as fields"""


class KeySettings(Section):
    """One key. It never stands here itself: only where it is found, or its digest."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    """for logs and messages"""
    key_env: str | None = None
    """variable that holds the key"""
    key_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """its SHA-256, in hexadecimal; exactly one of `key_env` and `key_sha256`: see `talkover key`"""
    scopes: Annotated[tuple[KeyScope, ...], Field(min_length=1)] = ("realtime",)
    """what it opens; admin: what has no scope of its own"""
    max_sessions: Annotated[int, Field(ge=1, le=1000)] | None = None
    """at the same time; none: as many as the server has"""
    audio_minutes_per_day: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """heard and spoken, in conversations and through `/v1/audio`, by days of UTC; none: no limit"""
    requests_per_minute: PerMinute | None = None
    """handshakes included; none: no limit"""
    max_client_secrets: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """of it that are valid at the same time"""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.key_env is None) == (self.key_sha256 is None):
            raise ValueError("must have exactly one of key_env and key_sha256")
        return self


class AccessSettings(Section):
    keys: Annotated[tuple[KeySettings, ...], Field(max_length=1000)] = ()
    """beside the one of `server.api_key_env`, which opens everything"""
    requests_per_minute: PerMinute | None = 600
    """of one address; a wrong key counts as ten; none: no limit. Loading the page takes about 50"""
    handshakes_per_minute: PerMinute | None = 60
    """of one address: attempts to open a conversation; none: no limit"""
    connections_per_address: Annotated[int, Field(ge=1, le=100_000)] | None = 64
    """at the same time; none: no limit"""
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """of all addresses together"""
    unlimited_addresses: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """addresses and networks whose requests, handshakes and connections are not counted"""
    trusted_proxies: tuple[str, ...] = ()
    """addresses and networks of proxies whose `X-Forwarded-For` is believed; empty: nobody's"""
    read_timeout_s: Annotated[float, Field(gt=0, le=300)] = 10
    """for the head of a request to be complete, and for its body to come up to 16 KiB a second"""

    @field_validator("unlimited_addresses", "trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            try:
                ip_network(name, strict=False)
            except ValueError:
                raise ValueError(f"{name!r} is no address or network, such as 10.0.0.0/8 or ::1") from None
        return value


class SessionDefaults(Section):
    instructions: str = (
        "You are Talkover, a friendly voice agent. Answer in one to three short spoken sentences, in the language of "
        "the user. Use no lists, headings, emoji or Markdown: everything you write is read aloud."
    )
    voice: str = "default"
    """id of a voice of the TTS engine, or `default`"""
    persona: str | None = None
    """who the agent is: a name in configs/personas, or a TOML file; `instructions` and `voice` set here win over it"""
    output_lead_ms: Annotated[int, Field(ge=100, le=60_000)] | None = 600
    """how far audio is sent ahead of playback; none: as fast as it is made"""


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


class EventLogSettings(Section):
    """What entered each session, to be run again by `talkover replay`. Transcripts and instructions are in it."""

    path: Path | None = None
    """folder for a file per session; none: nothing is recorded"""
    audio: bool = False
    """keep the audio that went in and out, too: some 5 MiB a minute; a replay does without"""
    max_mib: Annotated[int, Field(ge=1, le=4096)] = 64
    """of one session, before compression; then its recording ends"""


class MannersSettings(Section):
    """What the agent does while it has no answer to give."""

    filler_after_ms: Annotated[int, Field(ge=200, le=10_000)] | None = None
    """an answer that has not begun so long after the user's turn is bridged ("Let me see."); none: never"""
    reprompt_after_s: Annotated[float, Field(ge=2, le=120)] | None = None
    """silence of the user after which they are asked whether they are still there; none: never"""
    max_reprompts: Annotated[int, Field(ge=0, le=10)] = 2
    """in a row"""
    when_silent: Literal["quiet", "hang_up"] = "quiet"
    """after the last re-prompt and as much silence again"""
    backchannels: bool = False
    """say "mm-hm" in pauses of long speech"""


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


class KnowledgeSettings(Section):
    path: Path | None = None
    """folder of documents (Markdown, text, HTML, PDF, DOCX, CSV); none: the shipped ones about Talkover"""
    uploads: Path | None = None
    """folder for documents added while the server runs, made when missing; none: they are kept until it stops"""
    index: Path | None = None
    """folder of what reading the documents has cost; none: one in the cache folder"""
    max_file_mib: Annotated[int, Field(ge=1, le=1000)] = 50
    """a larger file of the folder is left out"""
    max_documents: Annotated[int, Field(ge=1, le=100_000)] = 5000
    """the folder's, and as many added ones"""
    embeddings: Annotated[str, Field(min_length=1, max_length=500)] = "auto"
    """model of sentence-transformers that searches by meaning, beside the words: a folder or a name; none: words alone;
    auto: all-MiniLM-L6-v2 where the extra `knowledge` is installed"""
    reranker: str | None = None
    """cross-encoder of sentence-transformers that orders the best passages once more; none: as they were found"""
    device: Device = "cpu"
    """of both models"""
    vectors: Literal["exact", "lancedb", "qdrant"] = "exact"
    """where vectors are searched: in memory, in LanceDB, or on a Qdrant server"""
    qdrant_url: str | None = None
    """of the server, e.g. http://127.0.0.1:6333"""
    qdrant_api_key_env: str = "QDRANT_API_KEY"
    """variable that holds its key; unset or empty: no key"""
    min_score: Unit = 0.25
    """passages that fit less, 0 to 1, do not count as found"""
    only: bool | None = None
    """a model answers questions of fact from the documents alone, and says so when it finds nothing there; none: where
    `path` is set"""
    passages: Annotated[int, Field(ge=1, le=20)] = 4
    """how many a model gets to see for an answer"""
    timeout_ms: Annotated[int, Field(ge=10, le=10_000)] = 300
    """the longest an answer waits for its passages; they are searched for while the user speaks"""
    max_upload_mib: Annotated[int, Field(ge=1, le=25)] = 20
    """largest document that can be added while the server runs"""


class MemorySettings(Section):
    enabled: bool = False
    """remember callers who consent, from one conversation to the next"""
    path: Path | None = None
    """database file; none: talkover/memory.sqlite in the user's data folder"""
    keep_days: Annotated[int, Field(ge=1, le=3650)] = 365
    """after the last conversation everything about a caller is deleted"""
    max_notes: Annotated[int, Field(ge=1, le=1000)] = 50
    """per caller; the oldest are forgotten first"""


class ResumeSettings(Section):
    """What becomes of a call whose connection breaks; for clients that ask for it (`s2s`, group `resume`)."""

    window_s: Annotated[float, Field(ge=0, le=3600)] = 30
    """how long it waits for its client, in its seat; 0: it ends with the connection"""
    path: Path | None = None
    """database file that keeps calls, transcripts included, until they are over, so that they survive the process;
    none: nothing is written"""


class RecordingSettings(Section):
    """Whether calls are recorded: two channels of sound and a transcript."""

    path: Path | None = None
    """folder for them, made when missing; none: nothing is recorded"""
    consent: Annotated[str, Field(max_length=1000)] | None = None
    """sentence that tells the user, spoken before anything is recorded; empty: nothing is said, where the law or
    another notice allows it. Must be set where `path` is"""
    keep_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """older recordings are deleted at the start and once a day"""
    format: Literal["flac", "wav"] = "flac"
    min_free_mib: Annotated[int, Field(ge=0, le=1_000_000)] = 500
    """recordings stop, and calls go on, when the disk has less left"""


class AgentSettings(Section):
    greeting: Annotated[str, Field(max_length=1000)] = ""
    """what the agent opens a conversation with; empty: it waits"""
    never_say: Annotated[tuple[Rule, ...], Field(max_length=500)] = ()
    """phrases that end an answer before they are spoken; letter case and punctuation do not count"""
    never_match: Annotated[tuple[Rule, ...], Field(max_length=100)] = ()
    """the same as regular expressions"""
    instead: Annotated[str, Field(min_length=1, max_length=300)] = "I'm sorry, I can't say anything about that."
    """said in the place of what is forbidden"""
    timezone: str | None = None
    """of the opening hours, e.g. Europe/Berlin; none: this machine's"""
    opening_hours: dict[Weekday, tuple[str, ...]] = Field(default_factory=dict[Weekday, tuple[str, ...]])
    """when people can be reached, e.g. mon = ["09:00-18:00"]; empty: not known"""
    closed_on: tuple[date, ...] = ()
    handover: bool = False
    """a tool for the model, and for words that ask for it: pass the caller on to a human, as event `s2s.handover`"""
    handover_words: Annotated[str, Field(max_length=300)] = "One moment, I'm connecting you with a colleague."
    closed_words: Annotated[str, Field(max_length=300)] = "Nobody is there right now to take your call."
    """said before the next opening, where a human is asked for while closed"""
    end_call: bool = False
    """a tool for the model: end the call, as event `s2s.call.ended`, once the farewell has been heard"""
    farewell: Annotated[str, Field(max_length=300)] = "Thank you for calling. Goodbye."

    @field_validator("timezone")
    @classmethod
    def _known_time_zone(cls, value: str | None) -> str | None:
        try:
            _ = None if value is None else ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("must be a name of the IANA time zone database, such as Europe/Berlin") from None
        return value

    @field_validator("never_match")
    @classmethod
    def _expressions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return value


Confirmations = Annotated[dict[str, str], Field(max_length=100)]
"""name of a tool -> what is asked aloud before it runs, `{argument}` standing for its arguments"""


class OpenapiSettings(Section):
    document: str
    """file or http address of an OpenAPI 3 document, JSON or YAML"""
    base_url: str | None = None
    """none: the document's first server"""
    operations: tuple[str, ...] = ()
    """operationIds to offer; empty: all, 64 at most"""
    confirm: Confirmations = Field(default_factory=dict[str, str])
    api_key_env: str | None = None
    """variable that holds the key of that service"""
    api_key_header: str = "Authorization"
    """where the key goes; in Authorization as `Bearer <key>`"""


class McpSettings(Section):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,32}$")]
    command: tuple[str, ...] = ()
    """starts a server that speaks over its standard input and output"""
    url: str | None = None
    """address of a server that speaks streamable HTTP; exactly one of `command` and `url`"""
    env: tuple[str, ...] = ()
    """variables handed on to `command` beside PATH and the like"""
    api_key_env: str | None = None
    """variable that holds the key for `url`"""
    tools: tuple[str, ...] = ()
    """tools to offer; empty: all, 64 at most"""
    confirm: Confirmations = Field(default_factory=dict[str, str])

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if bool(self.command) == (self.url is not None):
            raise ValueError("must have exactly one of command and url")
        return self


class ToolsSettings(Section):
    functions: tuple[str, ...] = ()
    """Python files (`orders.py`) or modules with functions marked by `talkover.tools.functions.tool`"""
    openapi: tuple[OpenapiSettings, ...] = ()
    mcp: tuple[McpSettings, ...] = ()
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 20
    """for one call of a tool without a time of its own"""
    max_steps: Annotated[int, Field(ge=1, le=20)] = 5
    """rounds of calls the model may make in one turn of the user"""
    max_calls: Annotated[int, Field(ge=1, le=32)] = 8
    """calls that run at the same time in one session"""


class SearchSettings(Section):
    engine: Literal["none", "serper", "tavily", "brave", "searxng"] = "none"
    """who searches the web when the model asks for it; none: no such tool"""
    base_url: str | None = None
    """none: the provider's own; searxng needs one"""
    api_key_env: str | None = None
    """variable that holds the key; none: SERPER_API_KEY, TAVILY_API_KEY or BRAVE_API_KEY"""
    results: Annotated[int, Field(ge=1, le=10)] = 5
    pages: Annotated[int, Field(ge=0, le=5)] = 0
    """results whose page is read, too (extra `web`)"""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 8
    """for a search with its pages"""
    cache_minutes: Annotated[float, Field(ge=0, le=1440)] = 10
    max_page_kib: Annotated[int, Field(ge=16, le=8192)] = 1024
    """read of a page at most"""


class TracingSettings(Section):
    """One trace per turn, by OpenTelemetry."""

    exporter: Literal["none", "console", "otlp"] = "none"
    """console: a line of JSON for each span; otlp: to a collector, over HTTP (extra `tracing`)"""
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$")] = "http://127.0.0.1:4318"
    """of the collector; without a path, /v1/traces is added. Headers: variable OTEL_EXPORTER_OTLP_HEADERS"""
    sample_ratio: Unit = 1.0
    """share of the turns that is traced"""
    service_name: Annotated[str, Field(min_length=1, max_length=200)] = "talkover"
    content: bool = False
    """put what was said into the spans, too"""


class Settings(Section):
    server: ServerSettings = ServerSettings()
    access: AccessSettings = AccessSettings()
    session: SessionDefaults = SessionDefaults()
    vad: VadSettings = VadSettings()
    event_log: EventLogSettings = EventLogSettings()
    manners: MannersSettings = MannersSettings()
    asr: AsrSettings = AsrSettings()
    llm: LlmSettings = LlmSettings()
    tts: TtsSettings = TtsSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    models: ModelsSettings = ModelsSettings()
    agent: AgentSettings = AgentSettings()
    memory: MemorySettings = MemorySettings()
    resume: ResumeSettings = ResumeSettings()
    recording: RecordingSettings = RecordingSettings()
    tools: ToolsSettings = ToolsSettings()
    search: SearchSettings = SearchSettings()
    tracing: TracingSettings = TracingSettings()


def load_settings(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from a file, environment and `a.b=value` overrides. Raises ConfigError with every problem at once."""
    problems: list[str] = []
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = toml_tree(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
        except ValueError as error:
            raise ConfigError([f"{path}: is not valid TOML: {error}"]) from error
        _resolve_paths(tree, path.parent)
    for name, value in sorted((os.environ if environ is None else environ).items()):
        if name.startswith(ENV_PREFIX) and "__" in name:
            _assign(tree, name.removeprefix(ENV_PREFIX).lower().split("__"), value, name, problems)
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            problems.append(f"--set {override}: must look like section.key=value")
            continue
        _assign(tree, key.strip().split("."), value.strip(), f"--set {key}", problems)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        problems += [_problem(item) for item in error.errors()]
        raise ConfigError(problems) from error
    problems += _contradictions(settings)
    if problems:
        raise ConfigError(problems)
    return settings


def toml_tree(text: str) -> dict[str, Any]:
    """A TOML document. Raises ValueError, for what the parser cannot hold too: its nesting, numbers of 5000 digits."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


_PATH_KEYS = (
    ("server", "tls_certificate"),
    ("server", "tls_key"),
    ("vad", "decision_log"),
    ("event_log", "path"),
    ("vad", "turn_model"),
    ("vad", "speaker_model"),
    ("knowledge", "path"),
    ("knowledge", "uploads"),
    ("knowledge", "index"),
    ("models", "folder"),
    ("tts", "voice_folder"),
    ("memory", "path"),
    ("resume", "path"),
    ("recording", "path"),
)
_MODEL_KEYS = (
    ("asr", "model"),
    ("asr", "streaming_model"),
    ("asr", "punctuation_model"),
    ("asr", "second_opinion_model"),
    ("tts", "model"),
    ("llm", "model"),
    ("knowledge", "embeddings"),
    ("knowledge", "reranker"),
    ("session", "persona"),
)
"""names, or paths where they begin with a dot or a tilde"""


def _resolve_paths(tree: dict[str, Any], folder: Path) -> None:
    for section, key in _PATH_KEYS:
        values = tree.get(section)
        if isinstance(values, dict) and isinstance(values.get(key), str) and values[key] != "none":
            values[key] = _located(values[key], folder)
    tools = tree.get("tools")
    if isinstance(tools, dict):
        _resolve_tool_paths(tools, folder)
    for section, key in _MODEL_KEYS:
        values = tree.get(section)
        if isinstance(values, dict) and isinstance(values.get(key), str) and values[key].startswith((".", "~")):
            values[key] = _located(values[key], folder)


def _resolve_tool_paths(tools: dict[str, Any], folder: Path) -> None:
    functions = tools.get("functions")
    if isinstance(functions, list):
        tools["functions"] = [
            _located(name, folder) if isinstance(name, str) and name.endswith(".py") else name
            for name in cast("list[Any]", functions)
        ]
    services = tools.get("openapi")
    for service in cast("list[Any]", services) if isinstance(services, list) else ():
        document = service.get("document") if isinstance(service, dict) else None
        if isinstance(document, str) and not document.startswith(("http://", "https://")):
            service["document"] = _located(document, folder)


def _located(path: str, folder: Path) -> str:
    """From the folder of the file; the home of somebody who is not known stays as it is written, and is not found."""
    try:
        return str(folder / Path(path).expanduser())
    except RuntimeError:
        return str(folder / path)


def _assign(tree: dict[str, Any], keys: Sequence[str], value: str, origin: str, problems: list[str]) -> None:
    node = tree
    for key in keys[:-1]:
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            problems.append(f"{origin}: {key} is a value, not a section")
            return
        node = child
    node[keys[-1]] = _parse_value(value)


def _parse_value(text: str) -> Any:
    """A TOML value where the text is one (numbers, booleans, lists, quoted strings), else the text itself."""
    try:
        return toml_tree(f"value = {text}")["value"]
    except ValueError:
        return text


def _problem(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key}: is not a known key"
    return f"{key}: {error['msg'].removeprefix('Value error, ')}, got {error['input']!r}"


def _contradictions(settings: Settings) -> list[str]:
    problems: list[str] = []
    server = settings.server
    if (server.tls_certificate is None) != (server.tls_key is None):
        problems.append("server.tls_certificate and server.tls_key: must be set together")
    for key, path in (("server.tls_certificate", server.tls_certificate), ("server.tls_key", server.tls_key)):
        if path is not None and not os.path.isfile(path):  # which is false, too, for names no system takes
            problems.append(f"{key}: must be a readable file, got {str(path)!r}")
    if settings.knowledge.path is not None and not os.path.isdir(settings.knowledge.path):
        problems.append(f"knowledge.path: must be a folder, got {str(settings.knowledge.path)!r}")
    if settings.knowledge.vectors == "qdrant" and settings.knowledge.qdrant_url is None:
        problems.append("knowledge.qdrant_url: must be set where knowledge.vectors is 'qdrant'")
    if settings.recording.path is not None and settings.recording.consent is None:
        problems.append(
            "recording.consent: must be set where recording.path is: what the user is told, or an empty text"
        )
    return problems
