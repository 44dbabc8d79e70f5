"""Any OpenAI-compatible `POST /v1/audio/speech`: OpenAI, Kokoro, Fish, VoxCPM or F5 behind such a server, Talkover.

The answer is spoken while it comes. The `openai` client runs on one event loop in a thread of the engine; deadline,
retries and cancelling are ours, so that talking over the agent closes the connection at once. Such servers tell no
word times: they are estimated from the audio (`word_alignment.py`).

Settings: `tts.base_url` (else OpenAI's), `tts.model`, `tts.timeout_s`, `tts.voice_names`, and the key from the variable
that `tts.api_key_env` names (else OPENAI_API_KEY); a server other than OpenAI's may do without one.
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

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, ms_to_samples
from talkover.config import Settings
from talkover.engines import EngineFailed, IsStale, SpeechChunk, Voice
from talkover.event_loop import LoopThread, Stale, TooSlow
from talkover.messages import VoiceSettings
from talkover.openai_endpoint import DEFAULT_KEY_VARIABLE, OPENAI_URL, Endpoint, Retryable, endpoint_at, transport_error
from talkover.sections.engines import TtsSettings
from talkover.tts.phrase_cache import PhraseCache
from talkover.tts.speech_stream import NotSpeech, SpeechDecoder
from talkover.tts.voice_lists import OPENAI_VOICE_NAMES, voices_of
from talkover.tts.voice_pace import VoicePaces
from talkover.tts.voices import VOICE_ALIASES
from talkover.tts.word_alignment import WordAligner

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

ENGINE_NAME = "openai"
OPENAI_MODEL = "gpt-4o-mini-tts"
OTHER_MODEL = "tts-1"
"""the name that servers with a single model accept"""

WARMUP_TIMEOUT_S = 3.0
MAX_RETRIES = 2
BACKOFF_S = 0.2
"""before the first retry; doubled for the second"""
MAX_SPEECH_S = 600
"""of one text, after which a server that never ends is left"""
_TAIL_SAMPLES = ms_to_samples(10, OUTPUT_RATE_HZ)
"""silence that ends a text: by then every word can be placed"""

_FORMAT_REFUSED = re.compile(r"response_format|\bpcm\b", re.IGNORECASE)
_VOICE_LISTS = ("/voices", "/audio/voices")
"""where servers list their voices: Talkover and some others, Kokoro; OpenAI has no such list"""


def endpoint_from(settings: TtsSettings, environ: Mapping[str, str]) -> Endpoint:
    """Address, model and key from settings and environment. Raises EngineUnavailable."""
    variable = settings.api_key_env or DEFAULT_KEY_VARIABLE
    endpoint = endpoint_at("tts", settings.base_url or OPENAI_URL, variable, environ)
    return replace(endpoint, model=settings.model or (OPENAI_MODEL if endpoint.is_openai else OTHER_MODEL))


class OpenAiSpeech:
    """Shared by all sessions; as many texts side by side as the server takes."""

    name = ENGINE_NAME

    def __init__(self, settings: TtsSettings, endpoint: Endpoint) -> None:

        self._timeout_s = settings.timeout_s
        self._endpoint = endpoint
        names = settings.voice_names or OPENAI_VOICE_NAMES
        self._voices = tuple(Voice(name, name, "und", ENGINE_NAME) for name in names)
        self._asks_for_voices = not settings.voice_names and not endpoint.is_openai
        self._format = "pcm"
        """what the server is asked for; `wav` once it has refused the other"""
        self._paces = VoicePaces()
        self._phrases = PhraseCache()
        self._client = endpoint.client()
        self._loop = LoopThread("tts-openai")

    def warmup(self) -> None:
        """Open a connection and ask for the voices. A server out of reach only costs a warning."""
        try:
            offered = self._loop.wait(self._ask(), lambda: False, time.monotonic() + WARMUP_TIMEOUT_S)
        except (TooSlow, Retryable):
            log.warning("speech: no answer from %s", self._endpoint.host)
            return
        if offered:
            self._voices = offered
        elif self._asks_for_voices:
            log.info("speech: %s lists no voices; tts.voice_names can", self._endpoint.host)

    def close(self) -> None:
        self._loop.close(self._client.close)

    def voices(self) -> tuple[Voice, ...]:
        return self._voices

    def aliases(self) -> Mapping[str, str]:
        """`default`, and the names of OpenAI's voices where the server has others, are the first voice."""
        known = {voice.id for voice in self._voices}
        return {name: self._voices[0].id for name in VOICE_ALIASES if name not in known}

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        """Speak `text`, in chunks as they come. Raises ValueError for an unknown voice, EngineFailed."""
        voice = self.aliases().get(settings.voice, settings.voice)
        if all(voice != known.id for known in self._voices):
            known = ", ".join([*(known.id for known in self._voices), *self.aliases()])
            raise ValueError(f"voice must be one of {known}, got {settings.voice!r}")
        if not any(char.isalnum() for char in text):
            return iter(())
        how = replace(settings, voice=voice)
        return self._phrases.speak(text, how, lambda: self._spoken(text, how, is_stale), is_stale)

    # -------------------------------------------------------------------------------------------------- speaking

    def _spoken(self, text: str, how: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        """The speech with its words. The connection is closed when the caller leaves the iterator."""
        aligner = WordAligner(text, self._paces.of(how.voice) / how.speed)
        n_samples = 0
        for samples in self._streamed(text, how, is_stale):
            n_samples += samples.size
            if n_samples > MAX_SPEECH_S * OUTPUT_RATE_HZ:
                raise EngineFailed(f"{self._endpoint.host}: more than {MAX_SPEECH_S} s of speech for one text")
            yield SpeechChunk(samples, tuple(aligner.feed(samples, None)))
        if is_stale():
            return
        if n_samples == 0:
            raise EngineFailed(f"{self._endpoint.host}: an answer without speech")
        tail = np.zeros(_TAIL_SAMPLES, np.float32)
        yield SpeechChunk(tail, tuple(aligner.feed(tail, None, last=True)))
        self._paces.learn(how.voice, aligner.pace * how.speed)

    def _streamed(self, text: str, how: VoiceSettings, is_stale: IsStale) -> Iterator[Any]:
        """(n,) float32 at a time, never empty; ends early when stale. Raises EngineFailed."""
        host = self._endpoint.host
        first_by_s = time.monotonic() + self._timeout_s
        retries = 0
        while True:
            heard = False
            try:
                for samples in self._attempt(text, how, is_stale, first_by_s):
                    heard = True
                    yield samples
                return
            except Stale:
                return
            except TooSlow:
                what = "the speech stopped for" if heard else "no speech within"
                raise EngineFailed(f"{host}: {what} {self._timeout_s:g} s") from None
            except Retryable as failure:
                pause_s = BACKOFF_S * 2**retries
                if heard or retries == MAX_RETRIES or time.monotonic() + pause_s > first_by_s:
                    raise EngineFailed(str(failure)) from None
                retries += 1
            try:
                self._loop.wait(asyncio.sleep(pause_s), is_stale, first_by_s)
            except Stale:
                return

    def _attempt(self, text: str, how: VoiceSettings, is_stale: IsStale, first_by_s: float) -> Iterator[Any]:
        """One request, or two when the server does not know the format. Raises Stale, TooSlow, Retryable."""
        answer = self._open(text, how, is_stale, first_by_s)
        broken_off = transport_error(answer.http_response)
        until_s = first_by_s
        try:
            decoder = SpeechDecoder(answer.headers.get("content-type", ""))
            pieces = answer.http_response.aiter_bytes()
            while (piece := self._loop.wait(_next_piece(pieces), is_stale, until_s)) is not None:
                samples = decoder.feed(piece)
                if samples.size:
                    yield samples
                    until_s = time.monotonic() + self._timeout_s
            samples = decoder.finish()
            if samples.size:
                yield samples
        except NotSpeech as error:
            raise EngineFailed(f"{self._endpoint.host}: {error}") from None
        except broken_off as error:
            raise Retryable(f"{self._endpoint.host}: the connection broke off ({type(error).__name__})") from None
        finally:
            self._loop.start(answer.close())

    def _open(self, text: str, how: VoiceSettings, is_stale: IsStale, until_s: float) -> Any:
        """The answer whose body streams. Raises Stale, TooSlow, Retryable, EngineFailed."""
        import openai

        opened: list[Any] = []

        async def send(response_format: str) -> None:
            fields: dict[str, Any] = {} if how.speed == 1 else {"speed": how.speed}
            if how.instruction:
                fields["instructions"] = how.instruction
            request = self._client.audio.speech.with_streaming_response.create(
                model=self._endpoint.model,
                input=text,
                voice=how.voice,
                response_format=response_format,  # pyright: ignore[reportArgumentType]
                **fields,
            )
            opened.append(await request.__aenter__())

        while True:
            asked = self._format
            try:
                self._loop.wait(send(asked), is_stale, until_s)
                return opened[0]
            except openai.APIStatusError as error:
                said = f"{error.body} {error.message}"
                if asked == "wav" or error.status_code not in (400, 422) or not _FORMAT_REFUSED.search(said):
                    refused = "; check tts.model and tts.voice_names"
                    raise self._endpoint.failure(error, self._endpoint.model, when_refused=refused) from None
                self._format = "wav"
            except openai.APIConnectionError as error:
                raise Retryable(f"{self._endpoint.host}: cannot be reached ({type(error).__name__})") from None
            except (Stale, TooSlow):
                self._loop.start(_close_all(opened))  # on the loop, where a late answer has come in by then
                raise

    # ---------------------------------------------------------------------------------------------------- voices

    async def _ask(self) -> tuple[Voice, ...]:
        """What the server lists; () when it lists nothing. Raises Retryable when it does not answer."""
        import openai

        for path in _VOICE_LISTS if self._asks_for_voices else ("/models",):
            try:
                document = await self._client.get(path, cast_to=object)
            except openai.APIConnectionError:
                raise Retryable from None
            except openai.APIError:
                continue  # it answers, without such a list
            if self._asks_for_voices and (found := voices_of(document, ENGINE_NAME)):
                return tuple(found)
        return ()


def create(settings: Settings) -> OpenAiSpeech:
    """The engine for the registry. Raises EngineUnavailable without a key for OpenAI itself."""
    return OpenAiSpeech(settings.tts, endpoint_from(settings.tts, os.environ))


async def _close_all(answers: Sequence[Any]) -> None:
    for answer in answers:
        await answer.close()


async def _next_piece(pieces: AsyncIterator[bytes]) -> bytes | None:
    """The next piece that is not empty, or None at the end."""
    async for piece in pieces:
        if piece:
            return piece
    return None
