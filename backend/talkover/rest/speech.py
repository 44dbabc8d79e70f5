"""`POST /v1/audio/speech`: text in, speech out, streamed while it is being made."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator, Generator
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from talkover.access.policy import Grant, grant_of
from talkover.audio import OUTPUT_RATE_HZ
from talkover.engines import EngineFailed, TtsEngine
from talkover.messages import Samples, VoiceSettings
from talkover.rest.audio_files import CONTENT_TYPES, FileFormat, StreamEncoder
from talkover.rest.errors import ApiError
from talkover.rest.jobs import JobResponse, Places, server_sent_event
from talkover.rest.offline import speak
from talkover.tts.speech_marks import MAX_STYLE_CHARS

log = logging.getLogger(__name__)

MAX_INPUT_CHARS = 4096
"""OpenAI's limit"""
MAX_AT_ONCE = 8


class VoiceReference(BaseModel):
    id: str


class SpeechRequest(BaseModel):
    """Body of `POST /v1/audio/speech`; keys it does not know are ignored."""

    model: str = Field("", description="accepted and ignored: the configured engine speaks")
    input: Annotated[str, Field(min_length=1, max_length=MAX_INPUT_CHARS)]
    voice: str | VoiceReference = Field("default", description="a voice or alias of GET /v1/voices")
    response_format: FileFormat = Field("mp3", description="pcm is 24 kHz mono int16, little-endian")
    speed: Annotated[float, Field(ge=0.25, le=1.5)] = 1.0
    instructions: str | None = Field(None, description="how to speak, in words, for engines that can follow it")
    stream_format: Literal["audio", "sse"] = "audio"

    @property
    def voice_id(self) -> str:
        return self.voice if isinstance(self.voice, str) else self.voice.id


def speech_router(tts: TtsEngine) -> APIRouter:
    router = APIRouter(tags=["audio"])
    places = Places("speech places", MAX_AT_ONCE)

    @router.post(
        "/v1/audio/speech",
        summary="Speak a text",
        response_class=Response,
        responses={
            200: {
                "description": "audio while it is being made, or server-sent events",
                "content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}},
            },
            400: {"description": "a key is missing or out of range, or the voice is unknown"},
            503: {"description": "every place is taken; Retry-After says when to try again"},
        },
    )
    async def speech(request: Request, body: SpeechRequest) -> Response:
        voice = VoiceSettings(body.voice_id, body.speed, (body.instructions or "")[:MAX_STYLE_CHARS])
        job = places.take()
        started = False
        try:
            spoken = speak(body.input, tts, voice, job.is_stale)
            encoded = _encoded(spoken, body.response_format, grant_of(request.scope))
            stream = job.iterate(encoded)
            # Waiting for the first bytes gives whatever goes wrong until then a status code of its own.
            async with job.watching(request):
                first = await _first(stream)
            started = True
        finally:
            if not started:
                await job.close()
        audio = _prepended(first, stream)
        if body.stream_format == "sse":
            return JobResponse(job, _events(audio), "text/event-stream")
        return JobResponse(job, audio, CONTENT_TYPES[body.response_format])

    return router


def _encoded(
    speech: Generator[Samples, None, None], file_format: FileFormat, grant: Grant
) -> Generator[bytes, None, None]:
    """File bytes as they become ready, none of them empty; nothing at all when nothing was spoken. `grant` pays."""
    encoder = StreamEncoder(file_format)
    n_samples = 0
    try:
        for samples in speech:
            n_samples += samples.size
            grant.spend_audio(samples.size / OUTPUT_RATE_HZ)
            if data := encoder.feed(samples):
                yield data
        tail = encoder.finish()
        if n_samples and tail:
            yield tail
    finally:
        encoder.close()
        speech.close()


async def _first(stream: AsyncIterator[bytes]) -> bytes:
    try:
        async for data in stream:
            return data
    except EngineFailed as error:
        log.error("speech failed: %s", error)
        raise ApiError(500, "The speech engine failed.", code="tts_error") from error
    except ValueError as error:
        raise ApiError(400, f"voice: {error}", param="voice", code="invalid_value") from error
    raise ApiError(400, "input holds nothing that can be spoken", param="input", code="invalid_value")


async def _prepended(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # A failure from here on breaks the connection off: an answer that merely ended would pass for a complete one.
    yield first
    async for data in rest:
        yield data


async def _events(audio: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`speech.audio.delta` per piece, then `speech.audio.done`; a failure is an `error` event."""
    try:
        async for data in audio:
            yield server_sent_event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
    except EngineFailed as error:
        log.error("speech failed: %s", error)
        yield server_sent_event(
            {"type": "error", **ApiError(500, "The speech engine failed.", code="tts_error").body()}
        )
        return
    # No model counts tokens here; the key must exist for stock clients.
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    yield server_sent_event({"type": "speech.audio.done", "usage": usage})
