"""Sections for whoever runs the server: its port, who gets in, and what is kept of calls."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from talkover.sections.section import Section, Unit

Port = Annotated[int, Field(ge=0, le=65535)]
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


class EventLogSettings(Section):
    """What entered each session, to be run again by `talkover replay`. Transcripts and instructions are in it."""

    path: Path | None = None
    """folder for a file per session; none: nothing is recorded"""
    audio: bool = False
    """keep the audio that went in and out, too: some 5 MiB a minute; a replay does without"""
    max_mib: Annotated[int, Field(ge=1, le=4096)] = 64
    """of one session, before compression; then its recording ends"""


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
