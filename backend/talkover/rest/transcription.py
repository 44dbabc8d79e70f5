"""`POST /v1/audio/transcriptions`: a recording in, its text out, cut at pauses and decoded piece by piece."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from talkover.access.policy import grant_of
from talkover.audio import INPUT_RATE_HZ
from talkover.engines import AsrEngine, EngineFailed, VadEngine
from talkover.messages import Samples
from talkover.rest.audio_files import AudioTooLong, UnreadableAudio, read_audio
from talkover.rest.errors import ApiError
from talkover.rest.jobs import JobResponse, Places, server_sent_event
from talkover.rest.limits import MAX_UPLOAD_MIB
from talkover.rest.offline import TranscribedPiece, subtitles, transcribe_pieces

log = logging.getLogger(__name__)

MAX_DURATION_S = 900
MAX_AT_ONCE = 4

TranscriptFormat = Literal["json", "text", "verbose_json", "srt", "vtt"]


def transcription_router(vad: VadEngine, asr: AsrEngine) -> APIRouter:
    router = APIRouter(tags=["audio"])
    places = Places("transcription places", MAX_AT_ONCE, retry_after_s=5)

    @router.post(
        "/v1/audio/transcriptions",
        summary="Transcribe a recording",
        responses={
            200: {
                "description": "json, text, verbose_json with utterances and times, srt, vtt; or server-sent events",
                "content": {"application/json": {"example": {"text": "Where is my order?"}}},
            },
            400: {"description": "unreadable or too long audio, an unknown format"},
            413: {"description": f"more than {MAX_UPLOAD_MIB} MiB"},
            503: {"description": "every place is taken; Retry-After says when to try again"},
        },
    )
    async def transcriptions(
        *,
        request: Request,
        file: Annotated[UploadFile, File(description="wav, flac, ogg or mp3, up to 25 MiB and 15 minutes")],
        model: Annotated[str, Form(description="accepted and ignored: the configured recogniser is used")] = "",
        language: Annotated[str | None, Form(description="ISO 639-1 code, e.g. en")] = None,
        prompt: Annotated[str, Form(description="words to expect")] = "",
        response_format: Annotated[TranscriptFormat, Form()] = "json",
        stream: Annotated[bool, Form(description="server-sent events, one delta per utterance")] = False,
    ) -> Response:
        if (file.size or 0) > MAX_UPLOAD_MIB * 2**20:
            raise ApiError(413, f"file must be at most {MAX_UPLOAD_MIB} MiB.", param="file", code="file_too_large")
        data = await file.read()
        job = places.take()
        streaming = False
        try:
            samples = await job.run(lambda: _read_upload(data))
            duration_s = samples.size / INPUT_RATE_HZ
            grant_of(request.scope).spend_audio(duration_s)
            pieces = transcribe_pieces(samples, vad, asr, language=language, hint=prompt, is_stale=job.is_stale)
            if stream:
                streaming = True
                return JobResponse(job, _events(job.iterate(pieces), duration_s), "text/event-stream")
            started_s = time.monotonic()
            async with job.watching(request):
                found = [piece async for piece in _named_failures(job.iterate(pieces))]
            log.info("transcribed %.1f s of audio in %.2f s", duration_s, time.monotonic() - started_s)
            return _document(response_format, found, duration_s, language)
        finally:
            if not streaming:
                await job.close()

    return router


def _read_upload(data: bytes) -> Samples:
    try:
        return read_audio(data, MAX_DURATION_S)
    except UnreadableAudio as error:
        raise ApiError(400, f"file: {error}.", param="file", code="invalid_audio") from error
    except AudioTooLong as error:
        raise ApiError(400, f"file: {error}.", param="file", code="audio_too_long") from error


async def _named_failures(pieces: AsyncIterator[TranscribedPiece]) -> AsyncIterator[TranscribedPiece]:
    try:
        async for piece in pieces:
            yield piece
    except EngineFailed as error:
        log.error("transcription failed: %s", error)
        raise ApiError(500, "The recogniser failed.", code="asr_error") from error


async def _events(pieces: AsyncIterator[TranscribedPiece], duration_s: float) -> AsyncIterator[bytes]:
    """`transcript.text.delta` per utterance, then `transcript.text.done`; a failure is an `error` event."""
    said: list[str] = []
    try:
        async for piece in _named_failures(pieces):
            delta = piece.text if not said else " " + piece.text
            said.append(delta)
            yield server_sent_event({"type": "transcript.text.delta", "delta": delta})
    except ApiError as error:
        yield server_sent_event({"type": "error", **error.body()})
        return
    yield server_sent_event({"type": "transcript.text.done", "text": "".join(said), "usage": _usage(duration_s)})


def _usage(duration_s: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": round(duration_s, 2)}


def _document(
    response_format: TranscriptFormat, pieces: list[TranscribedPiece], duration_s: float, language: str | None
) -> Response:
    text = " ".join(piece.text for piece in pieces)
    if response_format == "text":
        return PlainTextResponse(text + "\n")
    if response_format == "srt":
        return PlainTextResponse(subtitles(pieces, decimal_mark=","), media_type="application/x-subrip")
    if response_format == "vtt":
        return PlainTextResponse("WEBVTT\n\n" + subtitles(pieces, decimal_mark="."), media_type="text/vtt")
    if response_format == "json":
        return JSONResponse({"text": text, "usage": _usage(duration_s)})
    heard = next((piece.language for piece in pieces if piece.language), language)
    segments = [
        {"id": index, "start": round(piece.start_s, 2), "end": round(piece.end_s, 2), "text": piece.text}
        for index, piece in enumerate(pieces)
    ]
    return JSONResponse(
        {
            "task": "transcribe",
            "language": heard or "",
            "duration": round(duration_s, 2),
            "text": text,
            "segments": segments,
            "usage": _usage(duration_s),
        }
    )
