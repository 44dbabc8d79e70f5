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
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from talkover.config import Settings
from talkover.engines import EngineFailed, IsStale, LlmEngine, LlmEvent, LlmFinished
from talkover.event_loop import LoopThread, Stale, TooSlow
from talkover.llm.chat_stream import ChatStream, StreamError
from talkover.llm.failover import FailoverResponder
from talkover.llm.prompt import chat_messages, chat_tool_choice, chat_tools
from talkover.llm.stream_lines import stream_lines
from talkover.messages import Prompt
from talkover.openai_endpoint import OPENAI_URL, Endpoint, Retryable, endpoint_at, transport_error
from talkover.sections.engines import EndpointSettings, LlmSettings

if TYPE_CHECKING:
    from openai import APIStatusError

log = logging.getLogger(__name__)

OPENAI_MODELS = ("gpt-4.1-mini", "gpt-4o-mini")
"""quick ones without reasoning, best first: a conversation cannot wait"""

MODELS_TIMEOUT_S = 3.0
"""for the list of models at the start"""
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
    "passages": re.compile(r"\broles?\b.{0,60}(?:tool|alternat)|tool.{0,40}\brole|tool_call", re.IGNORECASE),
}
"""parts of a request that a server may refuse, and how its answer names them: the request is repeated without"""

_NOT_FOR_CHAT = re.compile(
    r"embed|rerank|whisper|tts|speech|moderation|dall-e|image|clip|guard|transcribe|realtime|audio|davinci|babbage"
)


def endpoint_from(settings: LlmSettings, environ: Mapping[str, str]) -> Endpoint:
    """Address, model and key from settings and environment. Raises EngineUnavailable."""
    base_url = settings.base_url or environ.get("OPENAI_BASE_URL") or OPENAI_URL
    endpoint = endpoint_at("llm", base_url, settings.api_key_env, environ, also=" (or OPENAI_BASE_URL)")
    return replace(endpoint, model=settings.model or environ.get("OPENAI_MODEL") or "")


class _SearchImitated(Exception):
    """The model wrote a call like the one that its passages were shown to come from."""


class OpenAiResponder:
    """Shared by all sessions; as many responses side by side as the endpoint serves."""

    name = "openai"

    def __init__(self, settings: LlmSettings, endpoint: Endpoint) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._model = endpoint.model or None
        self._refused: frozenset[str] = frozenset()
        """names of `REFUSALS` that this server does not take; only ever grows"""
        self._client = endpoint.client(write_timeout_s=10.0)
        self._loop = LoopThread("llm-openai")

    def warmup(self) -> None:
        """Connect and, when none is configured, choose a model. An endpoint out of reach only costs a warning."""
        try:
            self._choose_model(lambda: False, time.monotonic() + MODELS_TIMEOUT_S)
        except TooSlow:
            log.warning("language model: no answer from %s within %g s", self._endpoint.host, MODELS_TIMEOUT_S)
        except (EngineFailed, Retryable) as error:
            log.warning("language model: %s", error)

    def close(self) -> None:
        self._loop.close(self._client.close)

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        """Stream the answer; ends silently, and closes the HTTP stream, once it is stale. Raises EngineFailed."""
        settings, host = self._settings, self._endpoint.host
        deadline = time.monotonic() + settings.timeout_s
        first_token = min(deadline, time.monotonic() + settings.first_token_timeout_s)
        retries = 0
        passages_as_call = True
        while True:
            stream = ChatStream(frozenset(tool.name for tool in prompt.tools))
            try:
                yield from self._attempt(prompt, passages_as_call, stream, is_stale, first_token, deadline)
                return
            except Stale:
                return
            except _SearchImitated:
                log.info("%s: the model asked for a search that was made; it is told so in another form", host)
                passages_as_call = False
                first_token = min(deadline, time.monotonic() + settings.first_token_timeout_s)
                continue
            except TooSlow:
                if stream.alive:
                    raise EngineFailed(
                        f"{host}: the answer stopped or took longer than {settings.timeout_s:g} s"
                    ) from None
                raise EngineFailed(f"{host}: no token within {settings.first_token_timeout_s:g} s") from None
            except Retryable as failure:
                pause_s = BACKOFF_S * 2**retries if failure.pause_s is None else failure.pause_s
                has_time = pause_s <= MAX_RETRY_AFTER_S and time.monotonic() + pause_s < first_token
                if stream.alive or retries == settings.max_retries or not has_time:
                    raise EngineFailed(str(failure)) from None
                retries += 1
                log.info("%s; retry %d of %d in %.2f s", failure, retries, settings.max_retries, pause_s)
            try:
                self._loop.wait(asyncio.sleep(pause_s), is_stale, deadline)
            except Stale:
                return

    def _attempt(
        self,
        prompt: Prompt,
        passages_as_call: bool,
        stream: ChatStream,
        is_stale: IsStale,
        first_token: float,
        deadline: float,
    ) -> Iterator[LlmEvent]:
        """One request. Raises Stale, TooSlow, Retryable, EngineFailed, _SearchImitated."""
        host = self._endpoint.host
        response = self._open(prompt, passages_as_call, is_stale, first_token)
        broken_off = transport_error(response)
        try:
            lines = stream_lines(response.aiter_text(), host)
            until = first_token
            while not stream.done:
                line = self._loop.wait(_next_line(lines), is_stale, until)
                if line is None:
                    break
                yield from stream.feed(line)
                if stream.alive:
                    until = min(deadline, time.monotonic() + self._settings.first_token_timeout_s)
            ending = list(stream.finish())
            finished = ending[-1]
            if stream.left_out_a_call:
                log.warning("%s: the model called a function that it was not offered", host)
                if passages_as_call and prompt.passages is not None:
                    yield from ending[:-1]
                    raise _SearchImitated
            if stream.is_empty and isinstance(finished, LlmFinished) and finished.reason == "stop":
                raise Retryable(f"{host}: empty answer")
            if not stream.is_complete:
                log.warning("%s: the answer ended without a finish reason", host)
            yield from ending
        except StreamError as error:
            raise Retryable(f"{host}: error in the stream: {error}") from None
        except broken_off as error:
            raise Retryable(f"{host}: the connection broke off ({type(error).__name__})") from None
        finally:
            self._loop.start(response.aclose())

    def _open(self, prompt: Prompt, passages_as_call: bool, is_stale: IsStale, until: float) -> Any:
        """Send the request; the httpx response, whose body streams. What the server refuses is left out, also later."""
        import openai

        if self._model is None:
            self._choose_model(is_stale, until)
        opened: list[Any] = []

        async def send() -> None:
            stream = await self._client.chat.completions.create(**self._request(prompt, passages_as_call))
            opened.append(stream.response)

        for _ in range(len(REFUSALS) + 1):
            try:
                self._loop.wait(send(), is_stale, until)
            except openai.APIStatusError as error:
                refused = self._newly_refused(error, prompt, passages_as_call)
                if not refused:
                    raise self._status_failure(error) from None
                log.info("%s does not take %s: left out from now on", self._endpoint.host, ", ".join(sorted(refused)))
                self._refused |= refused
            except openai.APIConnectionError:
                raise Retryable(f"{self._endpoint.host}: cannot be reached") from None
            except (Stale, TooSlow):
                self._loop.start(_close_all(opened))  # on the loop, where a late response has come in by then
                raise
            else:
                return opened[0]
        raise EngineFailed(f"{self._endpoint.host}: refuses the request in every form")

    def _request(self, prompt: Prompt, passages_as_call: bool) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self._model, "stream": True}
        request["messages"] = chat_messages(prompt, passages_as_call and "passages" not in self._refused)
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

    def _newly_refused(self, error: APIStatusError, prompt: Prompt, passages_as_call: bool) -> frozenset[str]:
        """What of the request the server says it does not take."""
        if error.status_code not in (400, 404, 422):
            return frozenset()
        passages = ("passages",) if passages_as_call and prompt.passages is not None else ()
        sent = {*self._request(prompt, passages_as_call), *passages} - self._refused
        said = f"{error.body} {error.message}"
        return frozenset(name for name, named in REFUSALS.items() if name in sent and named.search(said))

    def _status_failure(self, error: APIStatusError) -> Exception:
        pause_s = retry_after_s(error.response.headers)
        return self._endpoint.failure(error, self._model, RETRIED_STATUS, pause_s)

    def _choose_model(self, is_stale: IsStale, until: float) -> None:
        """Ask what the endpoint offers and keep the first fit. Raises Stale, TooSlow, Retryable, EngineFailed."""
        import openai

        try:
            offered = self._loop.wait(self._offered_models(), is_stale, until)
        except openai.APIStatusError as error:
            if self._model is not None and error.status_code in (404, 405, 501):
                return
            raise self._status_failure(error) from None
        except openai.APIError:
            raise Retryable(f"{self._endpoint.host}: cannot be reached") from None
        if self._model is None:
            self._model = first_chat_model(offered, self._endpoint.is_openai)
        if self._model is None:
            raise EngineFailed(f"{self._endpoint.host}: offers no model; set llm.model or OPENAI_MODEL")
        log.info("language model: %s at %s", self._model, self._endpoint.host)

    async def _offered_models(self) -> list[str]:
        page = await self._client.models.list()
        return [model.id for model in page.data or ()]


def create(settings: Settings) -> LlmEngine:
    """The engine for `settings.llm` and the environment. Raises EngineUnavailable without a key for OpenAI itself."""
    llm = settings.llm
    if not llm.endpoints:
        return OpenAiResponder(llm, endpoint_from(llm, os.environ))
    # OPENAI_MODEL names a model of one server, not of all
    environ = {name: value for name, value in os.environ.items() if name != "OPENAI_MODEL"}
    one_each = [endpoint_settings(llm, endpoint) for endpoint in llm.endpoints]
    if llm.base_url is not None:
        one_each.insert(0, llm.model_copy(update={"endpoints": (), "max_retries": 0}))
    engines = [OpenAiResponder(one, endpoint_from(one, environ)) for one in one_each]
    return FailoverResponder(engines, llm.hedge_after_ms / 1000, llm.endpoint_rest_s)


def endpoint_settings(llm: LlmSettings, endpoint: EndpointSettings) -> LlmSettings:
    """The settings of one endpoint among several: it does not retry, the next one is asked instead."""
    return llm.model_copy(
        update={
            "base_url": endpoint.base_url,
            "model": endpoint.model or llm.model,
            "api_key_env": endpoint.api_key_env,
            "endpoints": (),
            "max_retries": 0,
        }
    )


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


async def _close_all(responses: Sequence[Any]) -> None:
    for response in responses:
        await response.aclose()


async def _next_line(lines: AsyncIterator[str]) -> str | None:
    """The next line, or None at the end."""
    return await anext(lines, None)
