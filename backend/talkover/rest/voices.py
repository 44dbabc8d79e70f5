"""`/v1/voices`: list the voices, make one from a recording, remove it again. All while the server runs."""

from __future__ import annotations

import logging
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile

from talkover.engines import (
    AsrEngine,
    EngineFailed,
    IsStale,
    NewVoice,
    TtsEngine,
    Voice,
    VoiceLibrary,
    VoiceRefused,
    voice_library,
)
from talkover.rest.clip_transcripts import heard_in_clip
from talkover.rest.errors import ApiError
from talkover.rest.jobs import Places
from talkover.tts.voice_clip import MAX_CLIP_BYTES, MAX_CLIP_S, MIN_CLIP_S, ClipRefused, read_clip

log = logging.getLogger(__name__)

MAX_AT_ONCE = 2
_STATUS = {"invalid": 400, "exists": 409, "unknown": 404, "shipped": 403, "full": 507}
_CODE = {
    "invalid": "invalid_value",
    "exists": "voice_exists",
    "unknown": "voice_not_found",
    "shipped": "voice_not_removable",
    "full": "too_many_voices",
}
_NOT_IN_ID = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Upload:
    """What a client sends for a new voice."""

    file: bytes
    id: str
    name: str
    language: str
    transcript: str


def voices_router(tts: TtsEngine, asr: AsrEngine) -> APIRouter:
    router = APIRouter(tags=["voices"])
    places = Places("voice places", MAX_AT_ONCE, retry_after_s=5)

    @router.get("/v1/voices", summary="Voices to speak with")
    async def list_voices() -> dict[str, Any]:
        voices = [asdict(voice) for voice in tts.voices()]
        listing = {"object": "list", "data": voices, "aliases": dict(tts.aliases())}
        library = voice_library(tts)
        return listing if library is None else listing | {"custom": _limits(library)}

    @router.post(
        "/v1/voices",
        summary="Make a voice from a recording",
        status_code=201,
        responses={
            201: {"description": "the voice; `transcript` is what the recording says, as given or as it was heard"},
            400: {"description": "what is wrong with the recording or a field; or the engine clones no voices"},
            409: {"description": "the name is taken"},
            413: {"description": f"more than {MAX_CLIP_BYTES // 2**20} MiB"},
            507: {"description": "there are as many voices as may be"},
        },
    )
    async def add_voice(
        *,
        request: Request,
        file: Annotated[
            UploadFile, File(description=f"one speaker, mono, {MIN_CLIP_S:g} to {MAX_CLIP_S:g} s, 16 kHz or more")
        ],
        name: Annotated[str, Form(description="for people")] = "",
        voice_id: Annotated[str, Form(alias="id", description="for requests; else made from the name")] = "",
        language: Annotated[str, Form(description="BCP 47 tag of what is spoken, e.g. zh-CN")] = "",
        transcript: Annotated[str, Form(description="what is said, word for word; else the recogniser hears it")] = "",
    ) -> dict[str, Any]:
        library = _library(tts)
        if (file.size or 0) > MAX_CLIP_BYTES:
            limit = MAX_CLIP_BYTES // 2**20
            raise ApiError(413, f"file must be at most {limit} MiB.", param="file", code="file_too_large")
        upload = Upload(await file.read(), voice_id or _id_from(name), name, language, transcript)
        job = places.take()
        try:
            async with job.watching(request):
                added, said = await job.run(lambda: _add(library, asr, upload, job.is_stale))
        finally:
            await job.close()
        log.info("voice %s was added", added.id)
        return {"object": "voice", **asdict(added), "transcript": said}

    @router.delete(
        "/v1/voices/{voice_id}",
        summary="Remove a voice that was added",
        responses={403: {"description": "it ships with Talkover"}, 404: {"description": "there is no such voice"}},
    )
    async def remove_voice(voice_id: str) -> dict[str, Any]:
        library = _library(tts)
        job = places.take()
        try:
            await job.run(lambda: _remove(library, voice_id))
        finally:
            await job.close()
        log.info("voice %s was removed", voice_id)
        return {"object": "voice", "id": voice_id, "deleted": True}

    return router


def _library(tts: TtsEngine) -> VoiceLibrary:
    library = voice_library(tts)
    if library is None:
        message = f'The speech engine {tts.name!r} clones no voices; tts.engine = "cosyvoice2" does.'
        raise ApiError(400, message, code="not_supported")
    return library


def _limits(library: VoiceLibrary) -> dict[str, Any]:
    """What the page needs to know to offer recording."""
    return {
        "removable": sorted(library.removable()),
        "min_seconds": MIN_CLIP_S,
        "max_seconds": MAX_CLIP_S,
        "max_bytes": MAX_CLIP_BYTES,
    }


def _add(library: VoiceLibrary, asr: AsrEngine, upload: Upload, is_stale: IsStale) -> tuple[Voice, str]:
    """The voice and what its clip says. Raises ApiError."""
    try:
        clip = read_clip(upload.file)
        said = upload.transcript or heard_in_clip(asr, clip.samples, clip.rate_hz, upload.language, is_stale)
        if is_stale():
            raise ApiError(400, "The client left.", code="client_left")
        new = NewVoice(upload.id, clip.samples, clip.rate_hz, said, upload.name, upload.language)
        return library.add_voice(new), " ".join(said.split())
    except ClipRefused as error:
        raise ApiError(400, f"file: {error}.", param="file", code="invalid_audio") from error
    except VoiceRefused as error:
        raise _refusal(error) from error
    except EngineFailed as error:
        log.error("a clip could not be written down: %s", error)
        raise ApiError(500, "The recogniser failed; send the transcript with the clip.", code="asr_error") from error


def _remove(library: VoiceLibrary, voice_id: str) -> None:
    try:
        library.remove_voice(voice_id)
    except VoiceRefused as error:
        raise _refusal(error) from error


def _refusal(error: VoiceRefused) -> ApiError:
    return ApiError(_STATUS[error.reason], f"{error}.", param=error.param, code=_CODE[error.reason])


def _id_from(name: str) -> str:
    """`anna-maria` for "Anna Maria"; a made up one for a name without any of these letters."""
    slug = _NOT_IN_ID.sub("-", name.lower()).strip("-")[:40].strip("-")
    return slug or f"voice-{secrets.token_hex(3)}"
