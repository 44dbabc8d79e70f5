"""Any OpenAI-compatible `POST /v1/audio/transcriptions`: OpenAI, Groq, vLLM, faster-whisper servers, Talkover itself.

There are no partials: an utterance is sent when it has ended. The `openai` client runs on one event loop in a thread of
the engine; deadline, retries and cancelling are ours, so that a stale request closes its connection at once.

Settings: `asr.base_url` (else OpenAI's), `asr.model`, `asr.timeout_s`, and the key from the variable that
`asr.api_key_env` names (else OPENAI_API_KEY); a server other than OpenAI's may do without one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from talkover.asr.transcription_answer import hypothesis_of
from talkover.asr.utterance_audio import UtteranceAudio
from talkover.audio import INPUT_RATE_HZ, samples_to_pcm16
from talkover.config import AsrSettings, Settings
from talkover.engines import EngineFailed, EngineUnavailable, Hypothesis, IsStale
from talkover.event_loop import LoopThread, Stale, TooSlow
from talkover.messages import Samples

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

log = logging.getLogger(__name__)

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODEL = "gpt-4o-mini-transcribe"
OTHER_MODEL = "whisper-1"
"""the name that servers with a single model accept"""
DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"

MIN_UTTERANCE_S = 0.1
"""OpenAI refuses less, and nothing can be understood of it"""
CONNECT_TIMEOUT_S = 5.0
WARMUP_TIMEOUT_S = 3.0
MAX_RETRIES = 2
BACKOFF_S = 0.2
"""before the first retry; doubled for the second"""
RETRIED_STATUS = frozenset((408, 409, 429, 500, 502, 503, 504))

_GIVES_LOGPROBS = re.compile(r"gpt-4o.*transcribe")
"""models that answer in `json` only, and tell the probabilities of their tokens when asked"""
_FORMAT_REFUSED = re.compile(r"response_format|verbose_json", re.IGNORECASE)
_CODE = re.compile(r"[a-z_]{1,40}")


class _Retryable(Exception):
    """Failed in a way that may be over soon."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the recogniser is."""

    base_url: str
    model: str
    api_key: str
    key_variable: str

    @property
    def host(self) -> str:
        """For messages: address without path and credentials."""
        parts = urlsplit(self.base_url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def endpoint_from(settings: AsrSettings, environ: Mapping[str, str]) -> Endpoint:
    """Address, model and key from settings and environment. Raises EngineUnavailable."""
    base_url = settings.base_url or OPENAI_URL
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EngineUnavailable("asr.base_url: must be an http or https address")
    variable = settings.api_key_env or DEFAULT_KEY_VARIABLE
    key = environ.get(variable, "").strip()
    is_openai = parts.hostname == urlsplit(OPENAI_URL).hostname
    if is_openai and not key:
        raise EngineUnavailable(
            f"asr engine 'openai' needs a key: export {variable}=..., or set asr.base_url to another server"
        )
    model = settings.model or (OPENAI_MODEL if is_openai else OTHER_MODEL)
    return Endpoint(base_url, model, key or "none", variable)


class OpenAiRecognizer:
    """Shared by all sessions; as many utterances side by side as the server takes."""

    name = "openai"

    def __init__(self, settings: AsrSettings, endpoint: Endpoint) -> None:
        import openai

        self._timeout_s = settings.timeout_s
        self._endpoint = endpoint
        self._format = "json" if _GIVES_LOGPROBS.search(endpoint.model) else "verbose_json"
        """what the server is asked for; `json` once it has refused the other"""
        self._client: AsyncOpenAI = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            max_retries=0,
            timeout=openai.Timeout(None, connect=CONNECT_TIMEOUT_S, pool=CONNECT_TIMEOUT_S),
        )
        self._loop = LoopThread("asr-openai")

    def warmup(self) -> None:
        """Open a connection. A server out of reach only costs a warning: it may come up later."""
        import openai

        try:
            self._loop.wait(self._connect(), lambda: False, time.monotonic() + WARMUP_TIMEOUT_S)
        except openai.APIStatusError:
            return  # it answers; not every server lists models
        except (TooSlow, openai.APIError):
            log.warning("recogniser: no answer from %s", self._endpoint.host)

    def close(self) -> None:
        self._loop.close(self._client.close)

    def stream(self, language: str | None = None, hint: str = "") -> OpenAiStream:
        return OpenAiStream(self, language, hint)

    def transcribe(self, samples: Samples, language: str | None, hint: str, is_stale: IsStale) -> Hypothesis:
        """The text of (n,) float32 at 16 kHz; "" once stale. Raises EngineFailed."""
        host, until_s = self._endpoint.host, time.monotonic() + self._timeout_s
        wav = _wav(samples)
        retries = 0
        try:
            while True:
                try:
                    return self._attempt(wav, language, hint, is_stale, until_s)
                except _Retryable as failure:
                    pause_s = BACKOFF_S * 2**retries
                    if retries == MAX_RETRIES or time.monotonic() + pause_s > until_s:
                        raise EngineFailed(str(failure)) from None
                    retries += 1
                    self._loop.wait(asyncio.sleep(pause_s), is_stale, until_s)
        except Stale:
            return Hypothesis("")
        except TooSlow:
            raise EngineFailed(f"{host}: no transcript within {self._timeout_s:g} s") from None

    def _attempt(self, wav: bytes, language: str | None, hint: str, is_stale: IsStale, until_s: float) -> Hypothesis:
        """One request, or two when the server does not know the format. Raises Stale, TooSlow, _Retryable."""
        import openai

        asked = self._format
        try:
            document = self._loop.wait(self._request(wav, language, hint, asked), is_stale, until_s)
        except openai.APIStatusError as error:
            refuses_format = error.status_code in (400, 422) and _FORMAT_REFUSED.search(f"{error.body} {error.message}")
            if asked == "json" or not refuses_format:
                raise self._failure(error) from None
            self._format = "json"
            return self._attempt(wav, language, hint, is_stale, until_s)
        except openai.APIConnectionError as error:
            raise _Retryable(f"{self._endpoint.host}: cannot be reached ({type(error).__name__})") from None
        except openai.APIError:
            raise _Retryable(f"{self._endpoint.host}: an answer that cannot be read") from None
        return hypothesis_of(document, language)

    async def _request(self, wav: bytes, language: str | None, hint: str, response_format: str) -> Any:
        """The answer as JSON. `openai`'s own models of it would refuse what other servers leave out."""
        fields: dict[str, Any] = {"model": self._endpoint.model, "response_format": response_format}
        if language:
            fields["language"] = language.partition("-")[0]
        if hint:
            fields["prompt"] = hint
        if _GIVES_LOGPROBS.search(self._endpoint.model):
            fields["include"] = ["logprobs"]
        answer = await self._client.audio.transcriptions.with_raw_response.create(
            file=("speech.wav", wav, "audio/wav"), **fields
        )
        try:
            return answer.http_response.json()
        except ValueError:
            raise _Retryable(f"{self._endpoint.host}: an answer that is not JSON") from None

    async def _connect(self) -> None:
        await self._client.models.with_raw_response.list()

    def _failure(self, error: APIStatusError) -> Exception:
        """What to raise for an HTTP status. The server's own words stay out: they may quote key or prompt."""
        host, status = self._endpoint.host, error.status_code
        code = str(error.code or error.type or "")
        reason = f"HTTP {status}, {code}" if _CODE.fullmatch(code) else f"HTTP {status}"
        if status in RETRIED_STATUS and code != "insufficient_quota":
            return _Retryable(f"{host}: {reason}")
        if status in (401, 403):
            return EngineFailed(f"{host}: refuses the key ({reason}); check {self._endpoint.key_variable}")
        if status == 404:
            where = f"check asr.model {self._endpoint.model!r} and asr.base_url"
            return EngineFailed(f"{host}: has no such model or address ({reason}); {where}")
        return EngineFailed(f"{host}: refuses the request ({reason})")


class OpenAiStream:
    """One utterance."""

    def __init__(self, engine: OpenAiRecognizer, language: str | None, hint: str) -> None:
        self._engine = engine
        self._language = language
        self._hint = hint
        self._audio = UtteranceAudio()

    def feed(self, samples: Samples) -> Hypothesis | None:
        self._audio.add(samples)
        return None

    def partial(self) -> Hypothesis | None:
        return None

    def finish(self, is_stale: IsStale) -> Hypothesis:
        samples = self._audio.joined()
        if samples.size < MIN_UTTERANCE_S * INPUT_RATE_HZ or is_stale():
            return Hypothesis("")
        return self._engine.transcribe(samples, self._language, self._hint, is_stale)

    def close(self) -> None:
        self._audio.clear()


def create(settings: Settings) -> OpenAiRecognizer:
    """The engine for the registry. Raises EngineUnavailable without a key for OpenAI itself."""
    return OpenAiRecognizer(settings.asr, endpoint_from(settings.asr, os.environ))


def _wav(samples: Samples) -> bytes:
    """A wav file of (n,) float32 at 16 kHz: PCM16, mono."""
    import io
    import wave

    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(INPUT_RATE_HZ)
        out.writeframes(samples_to_pcm16(samples))
    return file.getvalue()
