"""A server that speaks OpenAI's API, in whichever slot: its address and key, a client, what its refusals mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from talkover.engines import EngineFailed, EngineUnavailable

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"
CONNECT_TIMEOUT_S = 5.0
RETRIED_STATUS = frozenset((408, 409, 429, 500, 502, 503, 504))

_CODE = re.compile(r"[a-z_]{1,40}")


class Retryable(Exception):
    """Failed in a way that may be over soon; `pause_s` is what the server asks to wait, None when it does not say."""

    def __init__(self, message: str = "", pause_s: float | None = None) -> None:
        super().__init__(message)
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model of a slot is."""

    slot: str
    """section of the configuration: asr, llm or tts"""
    base_url: str
    api_key: str
    key_variable: str
    model: str = ""
    """empty: what the server offers"""

    @property
    def host(self) -> str:
        """For messages: address without path and credentials."""
        parts = urlsplit(self.base_url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    @property
    def is_openai(self) -> bool:
        return urlsplit(self.base_url).hostname == urlsplit(OPENAI_URL).hostname

    def client(self, write_timeout_s: float | None = None) -> AsyncOpenAI:
        """Without retries and without deadlines but for connecting: those belong to who waits."""
        import openai

        timeout = openai.Timeout(None, connect=CONNECT_TIMEOUT_S, write=write_timeout_s, pool=CONNECT_TIMEOUT_S)
        return openai.AsyncOpenAI(base_url=self.base_url, api_key=self.api_key, max_retries=0, timeout=timeout)

    def failure(
        self,
        error: APIStatusError,
        model: str | None,
        retried: frozenset[int] = RETRIED_STATUS,
        pause_s: float | None = None,
        when_refused: str = "",
    ) -> Retryable | EngineFailed:
        """What to raise for an HTTP status. The server's own words stay out: they may quote key, prompt or text."""
        status = error.status_code
        code = str(error.code or error.type or "")
        reason = f"HTTP {status}, {code}" if _CODE.fullmatch(code) else f"HTTP {status}"
        if status in retried and code != "insufficient_quota":
            return Retryable(f"{self.host}: {reason}", pause_s)
        if status in (401, 403):
            return EngineFailed(f"{self.host}: refuses the key ({reason}); check {self.key_variable}")
        if status == 404:
            where = f"check {self.slot}.model {model!r} and {self.slot}.base_url"
            return EngineFailed(f"{self.host}: has no such model or address ({reason}); {where}")
        return EngineFailed(f"{self.host}: refuses the request ({reason}){when_refused}")


def endpoint_at(slot: str, base_url: str, key_variable: str, environ: Mapping[str, str], also: str = "") -> Endpoint:
    """The server at `base_url`, with the key from the environment. Raises EngineUnavailable without a key for OpenAI.

    `also`: where else the address may have come from, for the message.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EngineUnavailable(f"{slot}.base_url{also}: must be an http or https address")
    key = environ.get(key_variable, "").strip()
    endpoint = Endpoint(slot, base_url, key or "none", key_variable)
    if endpoint.is_openai and not key:
        raise EngineUnavailable(
            f"{slot} engine 'openai' needs a key: export {key_variable}=..., or set {slot}.base_url to another server"
        )
    return endpoint


def transport_error(response: Any) -> type[Exception]:
    """What reading the body raises when the connection breaks: openai 3 brought httpx2 in the place of httpx."""
    return import_module(type(response).__module__.split(".")[0]).HTTPError
