"""Any OpenAI-compatible chat endpoint: OpenAI, DeepSeek, vLLM, Ollama, llama.cpp and others.

The `openai` client runs on one event loop in a thread of the engine, and a response is pulled from it line by line. So
a caller that waits for the next token can ask `is_stale` all the time, and cancelling closes the HTTP stream at once,
without a thread per response. Deadlines and retries are ours; the client's are switched off.

Settings: `llm.base_url` or OPENAI_BASE_URL, `llm.model` or OPENAI_MODEL or what the endpoint offers, and the key from
the variable that `llm.api_key_env` names; an endpoint other than OpenAI's may do without one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from talkover.config import LlmSettings, Settings
from talkover.engines import EngineFailed, EngineUnavailable, IsStale, LlmEvent, LlmFinished
from talkover.llm.chat_stream import ChatStream, StreamError
from talkover.llm.prompt import chat_messages, chat_tool_choice, chat_tools
from talkover.messages import Prompt

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

log = logging.getLogger(__name__)

Result = TypeVar("Result")

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODELS = ("gpt-4.1-mini", "gpt-4o-mini")
"""quick ones without reasoning, best first: a conversation cannot wait"""

POLL_S = 0.02
"""how often `is_stale` is asked while waiting for the server"""
CONNECT_TIMEOUT_S = 5.0
MODELS_TIMEOUT_S = 3.0
"""for the list of models at the start"""
CLOSE_TIMEOUT_S = 2.0
BACKOFF_S = 0.25
"""before the first retry; doubled for each further one"""
MAX_RETRY_AFTER_S = 5.0
"""a server that wants a longer pause than this has failed"""

RETRIED_STATUS = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529))

REFUSALS = {
    "stream_options": re.compile(r"stream_options|include_usage"),
    "temperature": re.compile(r"temperature"),
    "max_completion_tokens": re.compile(r"max_completion_tokens"),
    "max_tokens": re.compile(r"max_tokens"),
    "tools": re.compile(
        r"(?:not|n't) support (?:tools|function)|tool.choice.{0,20}requires|tool-call-parser", re.IGNORECASE
    ),
}
"""parts of a request that a server may refuse, and how its answer names them: the request is repeated without"""

_CODE = re.compile(r"[a-z_]{1,40}")
_NOT_FOR_CHAT = re.compile(
    r"embed|rerank|whisper|tts|speech|moderation|dall-e|image|clip|guard|transcribe|realtime|audio|davinci|babbage"
)


class _Stale(Exception):
    """The caller does not want the answer any more."""


class _TooSlow(Exception):
    """A deadline passed."""


class _Retryable(Exception):
    """Failed in a way that may be over soon; `pause_s` is what the server asks to wait, None when it does not say."""

    def __init__(self, message: str, pause_s: float | None = None) -> None:
        super().__init__(message)
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model is."""

    base_url: str
    model: str | None
    api_key: str

    @property
    def host(self) -> str:
        """For messages: address without path and credentials."""
        parts = urlsplit(self.base_url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    @property
    def is_openai(self) -> bool:
        return urlsplit(self.base_url).hostname == urlsplit(OPENAI_URL).hostname


def endpoint_from(settings: LlmSettings, environ: Mapping[str, str]) -> Endpoint:
    """Address, model and key from settings and environment. Raises EngineUnavailable."""
    base_url = settings.base_url or environ.get("OPENAI_BASE_URL") or OPENAI_URL
    if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
        raise EngineUnavailable("llm.base_url (or OPENAI_BASE_URL): must be an http or https address")
    key = environ.get(settings.api_key_env, "").strip()
    endpoint = Endpoint(base_url, settings.model or environ.get("OPENAI_MODEL") or None, key or "none")
    if endpoint.is_openai and not key:
        raise EngineUnavailable(
            f"llm engine 'openai' needs a key: export {settings.api_key_env}=..., or set llm.base_url to another server"
        )
    return endpoint


class OpenAiResponder:
    """Shared by all sessions; as many responses side by side as the endpoint serves."""

    name = "openai"

    def __init__(self, settings: LlmSettings, endpoint: Endpoint) -> None:
        import openai

        self._settings = settings
        self._endpoint = endpoint
        self._model = endpoint.model
        self._refused: frozenset[str] = frozenset()
        """names of `REFUSALS` that this server does not take; only ever grows"""
        self._client: AsyncOpenAI = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            max_retries=0,
            timeout=openai.Timeout(None, connect=CONNECT_TIMEOUT_S, write=10.0, pool=CONNECT_TIMEOUT_S),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm-openai", daemon=True)
        self._thread.start()

    def warmup(self) -> None:
        """Connect and, when none is configured, choose a model. An endpoint out of reach only costs a warning."""
        try:
            self._choose_model(lambda: False, time.monotonic() + MODELS_TIMEOUT_S)
        except _TooSlow:
            log.warning("language model: no answer from %s within %g s", self._endpoint.host, MODELS_TIMEOUT_S)
        except (EngineFailed, _Retryable) as error:
            log.warning("language model: %s", error)

    def close(self) -> None:
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end_tasks(), self._loop).result(CLOSE_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_TIMEOUT_S)
        self._loop.close()

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        """Stream the answer; ends silently, and closes the HTTP stream, once it is stale. Raises EngineFailed."""
        settings, host = self._settings, self._endpoint.host
        deadline = time.monotonic() + settings.timeout_s
        first_token = min(deadline, time.monotonic() + settings.first_token_timeout_s)
        retries = 0
        while True:
            stream = ChatStream()
            try:
                yield from self._attempt(prompt, stream, is_stale, first_token, deadline)
                return
            except _Stale:
                return
            except _TooSlow:
                if stream.alive:
                    raise EngineFailed(
                        f"{host}: the answer stopped or took longer than {settings.timeout_s:g} s"
                    ) from None
                raise EngineFailed(f"{host}: no token within {settings.first_token_timeout_s:g} s") from None
            except _Retryable as failure:
                pause_s = BACKOFF_S * 2**retries if failure.pause_s is None else failure.pause_s
                has_time = pause_s <= MAX_RETRY_AFTER_S and time.monotonic() + pause_s < first_token
                if stream.alive or retries == settings.max_retries or not has_time:
                    raise EngineFailed(str(failure)) from None
                retries += 1
                log.info("%s; retry %d of %d in %.2f s", failure, retries, settings.max_retries, pause_s)
            try:
                self._wait(asyncio.sleep(pause_s), is_stale, deadline)
            except _Stale:
                return

    def _attempt(
        self, prompt: Prompt, stream: ChatStream, is_stale: IsStale, first_token: float, deadline: float
    ) -> Iterator[LlmEvent]:
        """One request. Raises _Stale, _TooSlow, _Retryable, EngineFailed."""
        host = self._endpoint.host
        response = self._open(prompt, is_stale, first_token)
        transport_error = _transport_error(response)
        try:
            lines = response.aiter_lines()
            until = first_token
            while not stream.done:
                line = self._wait(_next_line(lines), is_stale, until)
                if line is None:
                    break
                yield from stream.feed(line)
                if stream.alive:
                    until = min(deadline, time.monotonic() + self._settings.first_token_timeout_s)
            ending = list(stream.finish())
            finished = ending[-1]
            if stream.is_empty and isinstance(finished, LlmFinished) and finished.reason == "stop":
                raise _Retryable(f"{host}: empty answer")
            if not stream.is_complete:
                log.warning("%s: the answer ended without a finish reason", host)
            yield from ending
        except StreamError as error:
            raise _Retryable(f"{host}: error in the stream: {error}") from None
        except transport_error as error:
            raise _Retryable(f"{host}: the connection broke off ({type(error).__name__})") from None
        finally:
            self._dispose(response)

    def _open(self, prompt: Prompt, is_stale: IsStale, until: float) -> Any:
        """Send the request; the httpx response, whose body streams. What the server refuses is left out, also later."""
        import openai

        if self._model is None:
            self._choose_model(is_stale, until)
        opened: list[Any] = []

        async def send() -> None:
            stream = await self._client.chat.completions.create(**self._request(prompt))
            opened.append(stream.response)

        for _ in range(len(REFUSALS) + 1):
            try:
                self._wait(send(), is_stale, until)
            except openai.APIStatusError as error:
                refused = self._newly_refused(error, prompt)
                if not refused:
                    raise self._status_failure(error) from None
                log.info("%s does not take %s: left out from now on", self._endpoint.host, ", ".join(sorted(refused)))
                self._refused |= refused
            except openai.APIConnectionError:
                raise _Retryable(f"{self._endpoint.host}: cannot be reached") from None
            except (_Stale, _TooSlow):
                self._loop.call_soon_threadsafe(lambda: [self._dispose(response) for response in opened])
                raise
            else:
                return opened[0]
        raise EngineFailed(f"{self._endpoint.host}: refuses the request in every form")

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self._model, "messages": chat_messages(prompt), "stream": True}
        if "stream_options" not in self._refused:
            request["stream_options"] = {"include_usage": True}
        if self._settings.temperature is not None and "temperature" not in self._refused:
            request["temperature"] = self._settings.temperature
        if prompt.max_output_tokens is not None:
            # OpenAI's newer name is unknown to most other servers, and theirs is refused by OpenAI's newer models
            names = (
                ("max_completion_tokens", "max_tokens")
                if self._endpoint.is_openai
                else ("max_tokens", "max_completion_tokens")
            )
            name = next((name for name in names if name not in self._refused), None)
            if name is not None:
                request[name] = prompt.max_output_tokens
        if prompt.tools and "tools" not in self._refused:
            request["tools"] = chat_tools(prompt.tools)
            request["tool_choice"] = chat_tool_choice(prompt.tool_choice)
        return request

    def _newly_refused(self, error: APIStatusError, prompt: Prompt) -> frozenset[str]:
        """What of the request the server says it does not take."""
        if error.status_code not in (400, 404, 422):
            return frozenset()
        sent = self._request(prompt)
        said = f"{error.body} {error.message}"
        return frozenset(name for name, named in REFUSALS.items() if name in sent and named.search(said))

    def _status_failure(self, error: APIStatusError) -> Exception:
        """The failure to raise for an HTTP status. The server's own words stay out: they may quote key or prompt."""
        host, status = self._endpoint.host, error.status_code
        code = str(error.code or error.type or "")
        reason = f"HTTP {status}, {code}" if _CODE.fullmatch(code) else f"HTTP {status}"
        if status in RETRIED_STATUS and code != "insufficient_quota":
            return _Retryable(f"{host}: {reason}", retry_after_s(error.response.headers))
        match status:
            case 401 | 403:
                return EngineFailed(f"{host}: refuses the key ({reason}); check {self._settings.api_key_env}")
            case 404:
                return EngineFailed(
                    f"{host}: has no such model or address ({reason}); check llm.model {self._model!r} and llm.base_url"
                )
            case _:
                return EngineFailed(f"{host}: refuses the request ({reason})")

    def _choose_model(self, is_stale: IsStale, until: float) -> None:
        """Ask what the endpoint offers and keep the first fit. Raises _Stale, _TooSlow, _Retryable, EngineFailed."""
        import openai

        try:
            offered = self._wait(self._offered_models(), is_stale, until)
        except openai.APIStatusError as error:
            if self._model is not None and error.status_code in (404, 405, 501):
                return
            raise self._status_failure(error) from None
        except openai.APIError:
            raise _Retryable(f"{self._endpoint.host}: cannot be reached") from None
        if self._model is None:
            self._model = first_chat_model(offered, self._endpoint.is_openai)
        if self._model is None:
            raise EngineFailed(f"{self._endpoint.host}: offers no model; set llm.model or OPENAI_MODEL")
        log.info("language model: %s at %s", self._model, self._endpoint.host)

    async def _offered_models(self) -> list[str]:
        page = await self._client.models.list()
        return [model.id for model in page.data or ()]

    def _wait(self, work: Coroutine[Any, Any, Result], is_stale: IsStale, until: float) -> Result:
        """The result of `work` on the loop; cancelled there when stale or too late. Raises _Stale, _TooSlow."""
        future: Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while not future.done():
                if is_stale():
                    raise _Stale
                remaining_s = until - time.monotonic()
                if remaining_s <= 0:
                    raise _TooSlow
                wait((future,), min(POLL_S, remaining_s))
            return future.result()
        except CancelledError:
            raise _Stale from None
        finally:
            future.cancel()

    def _dispose(self, response: Any) -> None:
        """Close the HTTP stream without waiting for it."""
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(response.aclose(), self._loop)

    async def _end_tasks(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()
        await self._loop.shutdown_default_executor()


def create(settings: Settings) -> OpenAiResponder:
    """The engine for `settings.llm` and the environment. Raises EngineUnavailable without a key for OpenAI itself."""
    return OpenAiResponder(settings.llm, endpoint_from(settings.llm, os.environ))


def first_chat_model(offered: Sequence[str], is_openai: bool) -> str | None:
    """The model to take when none is configured: at OpenAI a quick one, elsewhere the first that can chat."""
    if is_openai:
        known = [model for model in OPENAI_MODELS if model in offered]
        return known[0] if known else OPENAI_MODELS[0]
    chat = [model for model in offered if not _NOT_FOR_CHAT.search(model.lower())]
    return next(iter(chat or offered), None)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait (RFC 9110, 10.2.3, and OpenAI's `retry-after-ms`); None without or as a date."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers.get(name) or "none") * unit_s)
        except ValueError:
            continue
    return None


def _transport_error(response: Any) -> type[Exception]:
    """What reading the body raises when the connection breaks: openai 3 brought httpx2 in the place of httpx."""
    return import_module(type(response).__module__.split(".")[0]).HTTPError


async def _next_line(lines: AsyncIterator[str]) -> str | None:
    """The next line that is not empty, or None at the end."""
    async for line in lines:
        if line.strip():
            return line
    return None
