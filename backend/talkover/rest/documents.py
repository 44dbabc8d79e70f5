"""`/v1/documents`: list what answers are given from, add a document, remove it again. All while the server runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from fastapi import APIRouter, File, Request, UploadFile

from talkover.engines import DocumentInfo, DocumentRefused, EngineFailed, Retriever
from talkover.rest.errors import ApiError
from talkover.rest.jobs import Job, Places

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_AT_ONCE = 2
MAX_NAME_BYTES = 200
"""of a file name in UTF-8; most file systems end at 255"""
_STATUS = {"invalid": 400, "exists": 409, "unknown": 404, "fixed": 403, "too_large": 413, "full": 507}
_CODE = {
    "invalid": "invalid_document",
    "exists": "document_exists",
    "unknown": "document_not_found",
    "fixed": "document_not_removable",
    "too_large": "file_too_large",
    "full": "too_many_documents",
}
_RESERVED = frozenset(("CON", "PRN", "AUX", "NUL", *(f"{port}{at}" for port in ("COM", "LPT") for at in range(1, 10))))
"""names that Windows takes for devices, with any ending"""


def documents_router(retriever: Retriever | None, max_bytes: int) -> APIRouter:
    """`retriever`: none when the server searches no documents; `max_bytes`: of one upload."""
    router = APIRouter(tags=["documents"])
    places = Places("places for documents", MAX_AT_ONCE, retry_after_s=5)

    @router.get("/v1/documents", summary="Documents that answers are given from")
    async def list_documents() -> dict[str, Any]:
        if retriever is None:
            return {"object": "list", "data": [], "uploads": None}
        listed = await anyio.to_thread.run_sync(retriever.documents)
        limits = {"max_bytes": max_bytes}
        return {"object": "list", "data": [_wire(document) for document in listed], "uploads": limits}

    @router.post(
        "/v1/documents",
        summary="Add a document",
        status_code=201,
        responses={
            201: {"description": "it is searched from now on, also by conversations under way"},
            400: {"description": "the name or the file cannot be used, with the reason"},
            409: {"description": "there is a document of this name"},
            413: {"description": f"more than {max_bytes // 2**20} MiB"},
            507: {"description": "there are as many documents as may be"},
        },
    )
    async def add_document(
        request: Request,
        file: Annotated[UploadFile, File(description="Markdown, text, HTML, PDF, DOCX or CSV; its name names it")],
    ) -> dict[str, Any]:
        searched = _searched(retriever)
        name = checked_name(file.filename or "")
        if (file.size or 0) > max_bytes:
            limit = max_bytes // 2**20
            raise ApiError(413, f"file must be at most {limit} MiB.", param="file", code=_CODE["too_large"])
        content = await file.read()
        job = places.take()
        try:
            async with job.watching(request):
                added = await _done(job, lambda: searched.add(name, content))
        finally:
            await job.close()
        log.info("a document was added: %d passages", added.passages)
        return _wire(added)

    @router.delete(
        "/v1/documents/{document_id:path}",
        summary="Remove a document that was added",
        responses={
            403: {"description": "it lies in knowledge.path"},
            404: {"description": "there is no such document"},
        },
    )
    async def remove_document(document_id: str) -> dict[str, Any]:
        searched = _searched(retriever)
        job = places.take()
        try:
            await _done(job, lambda: searched.remove(document_id))
        finally:
            await job.close()
        log.info("a document was removed")
        return {"object": "document", "id": document_id, "deleted": True}

    return router


def checked_name(name: str) -> str:
    """`name` when it is one plain file name on every system. Raises ApiError."""
    rule = "must be a plain file name with an ending, such as prices.md"
    parts = (PurePosixPath(name).name, PureWindowsPath(name).name)
    stem, dot, ending = name.rpartition(".")
    unprintable = not name.isprintable() or any(character in '<>:"|?*' for character in name)
    plain = parts == (name, name) and not name.startswith(".") and name == name.strip() and not unprintable
    if not plain or not stem or not dot or not ending or stem.split(".")[0].upper() in _RESERVED:
        raise ApiError(400, f"The name of the file {rule}, got {name[:80]!r}.", param="file", code="invalid_name")
    if len(name.encode()) > MAX_NAME_BYTES:
        message = f"The name of the file must be at most {MAX_NAME_BYTES} bytes long."
        raise ApiError(400, message, param="file", code="invalid_name")
    return name


def _searched(retriever: Retriever | None) -> Retriever:
    if retriever is None:
        raise ApiError(400, "This server searches no documents.", code="not_supported")
    return retriever


async def _done(job: Job, work: Callable[[], T]) -> T:
    """The result of `work` in a thread of its own. Raises ApiError."""
    try:
        return await job.run(work)
    except DocumentRefused as error:
        message = f"{str(error).rstrip('.')}."
        raise ApiError(_STATUS[error.reason], message, param="file", code=_CODE[error.reason]) from error
    except EngineFailed as error:
        log.error("a document could not be indexed: %s", error)
        raise ApiError(500, "The document could not be indexed.", code="indexing_failed") from error


def _wire(document: DocumentInfo) -> dict[str, Any]:
    return {"object": "document", **asdict(document)}
