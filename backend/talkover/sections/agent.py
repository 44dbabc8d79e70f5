"""Sections of the agent: who it is, what it knows, and what it can do."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from talkover.sections.section import Device, Section, Unit

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Rule = Annotated[str, Field(min_length=2, max_length=300)]


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
