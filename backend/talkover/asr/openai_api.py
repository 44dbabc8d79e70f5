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
from dataclasses import replace
from typing import Any

from talkover.asr.transcription_answer import hypothesis_of
from talkover.asr.utterance_audio import WholeUtteranceStream
from talkover.audio import INPUT_RATE_HZ, ms_to_samples, samples_to_pcm16
from talkover.config import Settings
from talkover.engines import EngineFailed, Hypothesis, IsStale
from talkover.event_loop import LoopThread, Stale, TooSlow
from talkover.messages import Samples
from talkover.openai_endpoint import DEFAULT_KEY_VARIABLE, OPENAI_URL, Endpoint, Retryable, endpoint_at
from talkover.sections.engines import AsrSettings

log = logging.getLogger(__name__)

OPENAI_MODEL = "gpt-4o-mini-transcribe"
OTHER_MODEL = "whisper-1"
"""the name that servers with a single model accept"""

MIN_UTTERANCE_MS = 100
"""OpenAI refuses less, and nothing can be understood of it"""
WARMUP_TIMEOUT_S = 3.0
MAX_RETRIES = 2
BACKOFF_S = 0.2
"""before the first retry; doubled for the second"""

_GIVES_LOGPROBS = re.compile(r"gpt-4o.*transcribe")
"""models that answer in `json` only, and tell the probabilities of their tokens when asked"""
_FORMAT_REFUSED = re.compile(r"response_format|verbose_json", re.IGNORECASE)


def endpoint_from(settings: AsrSettings, environ: Mapping[str, str]) -> Endpoint:
    """Address, model and key from settings and environment. Raises EngineUnavailable."""
    variable = settings.api_key_env or DEFAULT_KEY_VARIABLE
    endpoint = endpoint_at("asr", settings.base_url or OPENAI_URL, variable, environ)
    return replace(endpoint, model=settings.model or (OPENAI_MODEL if endpoint.is_openai else OTHER_MODEL))


class OpenAiRecognizer:
    """Shared by all sessions; as many utterances side by side as the server takes."""

    name = "openai"

    def __init__(self, settings: AsrSettings, endpoint: Endpoint) -> None:

        self._timeout_s = settings.timeout_s
        self._endpoint = endpoint
        self._format = "json" if _GIVES_LOGPROBS.search(endpoint.model) else "verbose_json"
        """what the server is asked for; `json` once it has refused the other"""
        self._client = endpoint.client()
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

    def stream(self, language: str | None = None, hint: str = "") -> WholeUtteranceStream:
        return WholeUtteranceStream(
            ms_to_samples(MIN_UTTERANCE_MS, INPUT_RATE_HZ),
            lambda samples, is_stale: self.transcribe(samples, language, hint, is_stale),
        )

    def transcribe(self, samples: Samples, language: str | None, hint: str, is_stale: IsStale) -> Hypothesis:
        """The text of (n,) float32 at 16 kHz; "" once stale. Raises EngineFailed."""
        host, until_s = self._endpoint.host, time.monotonic() + self._timeout_s
        wav = _wav(samples)
        retries = 0
        try:
            while True:
                try:
                    return self._attempt(wav, language, hint, is_stale, until_s)
                except Retryable as failure:
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
        """One request, or two when the server does not know the format. Raises Stale, TooSlow, Retryable."""
        import openai

        asked = self._format
        try:
            document = self._loop.wait(self._request(wav, language, hint, asked), is_stale, until_s)
        except openai.APIStatusError as error:
            refuses_format = error.status_code in (400, 422) and _FORMAT_REFUSED.search(f"{error.body} {error.message}")
            if asked == "json" or not refuses_format:
                raise self._endpoint.failure(error, self._endpoint.model) from None
            self._format = "json"
            return self._attempt(wav, language, hint, is_stale, until_s)
        except openai.APIConnectionError as error:
            raise Retryable(f"{self._endpoint.host}: cannot be reached ({type(error).__name__})") from None
        except openai.APIError:
            raise Retryable(f"{self._endpoint.host}: an answer that cannot be read") from None
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
            raise Retryable(f"{self._endpoint.host}: an answer that is not JSON") from None

    async def _connect(self) -> None:
        await self._client.models.with_raw_response.list()


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
