"""The documents answers are given from: those of a folder, and those added while the server runs.

A search reads one `Index`, which is never changed. Whoever changes the documents makes a new one beside it and puts it
in its place, so a search neither waits nor sees half a change. Changes are made one at a time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from talkover.config import Settings
from talkover.engines import DocumentInfo, DocumentRefused, EngineFailed, EngineUnavailable, IsStale
from talkover.knowledge.chunking import Chunk, chunks_of
from talkover.knowledge.documents import Document
from talkover.knowledge.embedding import BATCH, Embedder, create_embedder
from talkover.knowledge.folder import FileRead, Limits, OnFile, read_folder, reading_of, too_large
from talkover.knowledge.index import Index
from talkover.knowledge.reranking import Reranker, create_reranker
from talkover.knowledge.store import Store, index_path
from talkover.knowledge.vector_stores import create_vectors
from talkover.knowledge.vectors import VectorStore
from talkover.messages import Source

log = logging.getLogger(__name__)

OnDocuments = Callable[[tuple[Document, ...]], None]
OnChunks = Callable[[int, int], None]
"""(chunks embedded, chunks to embed)"""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What reading the folder again has brought."""

    files: int
    read: int
    """of which new or changed"""
    removed: int
    skipped: tuple[tuple[str, str], ...]
    """(path, what is wrong with it)"""
    chunks: int
    embedded: int
    """chunks that got a vector"""


class DocumentRetriever:
    """See `Retriever` in engines.py. Searches by words until the embedding of the documents is done, then by both."""

    def __init__(
        self,
        folder: Path | None,
        store: Store,
        *,
        uploads: Path | None = None,
        limits: Limits | None = None,
        embedder: Embedder | None = None,
        vectors: VectorStore | None = None,
        reranker: Reranker | None = None,
        min_score: float = 0.0,
    ) -> None:
        """`folder`: none for no documents but those that are added; `uploads`: none keeps these in memory.

        The store, the vectors and the models become its own, and are closed with it.
        """
        self._folder = folder
        self._uploads = uploads
        self._store = store
        self._limits = limits or Limits()
        self._embedder = embedder
        self._vectors = vectors
        self._reranker = reranker
        self._min_score = min_score
        self._changing = threading.Lock()
        self._of_folder: dict[str, FileRead] = {}
        self._added: dict[str, FileRead] = {}
        self._index = Index((), embedder, vectors, reranker)
        self._listed: tuple[DocumentInfo, ...] = ()
        self._listeners: list[OnDocuments] = []
        self._closed = threading.Event()
        self._embedding: threading.Thread | None = None

    @property
    def name(self) -> str:
        """How it searches, e.g. `words + all-MiniLM-L6-v2`."""
        models = (self._embedder, self._reranker)
        return " + ".join(("words", *(model.name for model in models if model is not None)))

    def warmup(self) -> None:
        """Read the documents and load the models. Vectors that are missing are made by a thread in the background.

        Raises EngineUnavailable when a model, the vector store or the index cannot be had.
        """
        for model in (self._embedder, self._reranker):
            if model is not None:
                model.warmup()
        try:
            files, _, _ = self._read()
        except EngineFailed as error:
            raise EngineUnavailable(f"knowledge.index: {error}") from error
        for file in files:
            if file.reading.document is None:
                log.warning("documents: %s %s and is left out", file.path, file.reading.problem)
        self._embedding = threading.Thread(target=self._embed_in_background, name="embedding", daemon=True)
        self._embedding.start()

    def refresh(self, on_file: OnFile | None = None, on_chunks: OnChunks | None = None) -> Refreshed:
        """Read what is new or changed, forget what is gone, and make the missing vectors. Raises EngineFailed."""
        files, read, removed = self._read(on_file)
        index = self._index
        return Refreshed(
            files=len(files),
            read=read,
            removed=removed,
            skipped=tuple((file.path, file.reading.problem) for file in files if file.reading.document is None),
            chunks=len(index.chunks),
            embedded=self._embed(index.unembedded(), on_chunks),
        )

    def search(self, question: str, limit: int, is_stale: IsStale) -> tuple[Source, ...]:
        return self._index.search(question, limit, is_stale, self._min_score)

    def documents(self) -> tuple[DocumentInfo, ...]:
        return self._listed

    def on_change(self, listener: OnDocuments) -> None:
        """Have `listener` called with all documents now and after every change, from the thread that made it."""
        with self._changing:
            self._listeners.append(listener)
            listener(self._index.documents)

    def add(self, path: str, content: bytes) -> DocumentInfo:
        """See `Retriever`. Raises EngineFailed, too, when its vectors cannot be made: nothing has changed then."""
        if len(content) > self._limits.max_file_bytes:
            raise DocumentRefused("too_large", f"{path} {too_large(len(content), self._limits.max_file_bytes)} MiB")
        if not path or Path(path).name != path or "\\" in path or path.startswith("."):
            raise DocumentRefused("invalid", f"the name must be a plain file name, got {path!r}")
        reading = reading_of(path, content)
        if reading.document is None:
            raise DocumentRefused("invalid", f"{path} {reading.problem}")
        with self._changing:
            if path in self._of_folder or path in self._added:
                raise DocumentRefused("exists", f"there is a document {path} already")
            if len(self._added) >= self._limits.max_documents:
                raise DocumentRefused("full", f"there are {len(self._added)} added documents, as many as may be")
            self._embed(self._without_vectors(reading.document))
            if self._uploads is not None:
                _write(self._uploads, path, content)
            self._added[path] = FileRead(path, len(content), reading, fresh=True)
            self._swap()
            return next(info for info in self._listed if info.path == path)

    def remove(self, document_id: str) -> None:
        with self._changing:
            if document_id not in self._added:
                if document_id in self._of_folder:
                    raise DocumentRefused("fixed", f"{document_id} lies in the folder of documents; remove it there")
                raise DocumentRefused("unknown", f"there is no document {document_id!r}")
            if self._uploads is not None:
                try:
                    (self._uploads / document_id).unlink(missing_ok=True)
                except OSError as error:
                    raise DocumentRefused("fixed", f"{document_id} cannot be deleted: {error.strerror}") from error
            del self._added[document_id]
            self._swap()

    def close(self) -> None:
        self._closed.set()
        if self._embedding is not None:
            self._embedding.join(timeout=30)
        with self._changing:
            if self._vectors is not None:
                self._vectors.close()
            self._store.close()

    # ---------------------------------------------------------------------------------------- changes, one at a time

    def _read(self, on_file: OnFile | None = None) -> tuple[tuple[FileRead, ...], int, int]:
        """(all files, how many were read, how many are gone) after looking at the folders again."""
        with self._changing:
            folders = ((self._folder, self._of_folder), (self._uploads, self._added))
            for folder, files in folders:
                if folder is None or not folder.is_dir():
                    continue
                found = read_folder(folder, self._store, self._limits, on_file, self._closed.is_set)
                read = {file.path: file for file in found}
                if self._closed.is_set():  # the rest was not looked at, and is not gone
                    return tuple(read.values()), 0, 0
                files.clear()
                files.update(read)
            for path in self._of_folder.keys() & self._added.keys():
                del self._added[path]
            removed = self._store.forget_all_but([*self._of_folder, *self._added])
            self._swap()
            files = (*self._of_folder.values(), *self._added.values())
            return files, sum(file.fresh for file in files), removed

    def _swap(self) -> None:
        """A new index of the documents there are now, in the place of the old one."""
        files = sorted((*self._of_folder.values(), *self._added.values()), key=lambda file: file.path)
        documents = [file.reading.document for file in files if file.reading.document is not None]
        index = Index(documents, self._embedder, self._vectors, self._reranker)
        counts = {document.path: 0 for document in documents}
        for chunk in index.chunks:
            counts[chunk.passage.document.path] += 1
        listed = tuple(_info(file, counts.get(file.path, 0), file.path in self._added) for file in files)
        self._index, self._listed = index, listed
        if self._vectors is not None and (gone := self._vectors.known() - index.ids()):
            try:
                self._vectors.remove(gone)
            except EngineFailed as error:  # they point to nothing any more, and go with the next change
                log.warning("documents: vectors that are no longer needed stay: %s", error)
        for listener in self._listeners:
            listener(index.documents)

    # ------------------------------------------------------------------------------------------------------- vectors

    def _without_vectors(self, document: Document) -> list[Chunk]:
        known: set[str] = set() if self._vectors is None else set(self._vectors.known())
        missing: list[Chunk] = []
        for chunk in chunks_of((document,)):
            if chunk.id not in known:
                known.add(chunk.id)
                missing.append(chunk)
        return missing

    def _embed(self, chunks: Sequence[Chunk], on_chunks: OnChunks | None = None) -> int:
        """How many got a vector. Raises EngineFailed."""
        embedder, vectors = self._embedder, self._vectors
        if embedder is None or vectors is None:
            return 0
        # texts of like length fill a batch without padding
        ordered = sorted(chunks, key=lambda chunk: len(chunk.wording))
        done = 0
        for start in range(0, len(ordered), BATCH):
            if self._closed.is_set():
                break
            batch = ordered[start : start + BATCH]
            vectors.add([chunk.id for chunk in batch], embedder.of_passages([chunk.wording for chunk in batch]))
            done += len(batch)
            if on_chunks is not None:
                on_chunks(done, len(ordered))
        return done

    def _embed_in_background(self) -> None:
        chunks = self._index.unembedded()
        if not chunks:
            return
        started_s = time.monotonic()
        log.info("documents: %d passages are being embedded; until then they are found by their words", len(chunks))
        try:
            done = self._embed(chunks)
        except EngineFailed as error:
            log.warning("documents: the vectors could not be kept, so passages are found by their words: %s", error)
            return
        log.info("documents: %d passages embedded in %.1f s", done, time.monotonic() - started_s)


def create_retriever(settings: Settings, folder: Path | None, *, words_only: bool = False) -> DocumentRetriever:
    """By the section `knowledge`. `folder`: the configured or the shipped documents, or none.

    `words_only`: without models, for a list of documents that something else searches. Raises EngineUnavailable.
    """
    knowledge = settings.knowledge
    store = Store(index_path(knowledge, folder))
    embedder = None if words_only else create_embedder(settings)
    return DocumentRetriever(
        folder,
        store,
        uploads=knowledge.uploads,
        limits=Limits(knowledge.max_file_mib << 20, knowledge.max_documents),
        embedder=embedder,
        vectors=None if embedder is None else create_vectors(settings, store, embedder.name, folder),
        reranker=None if words_only else create_reranker(settings),
        min_score=knowledge.min_score,
    )


def _info(file: FileRead, passages: int, removable: bool) -> DocumentInfo:
    document = file.reading.document
    return DocumentInfo(
        id=file.path,
        title=document.title if document is not None else file.path.rsplit("/", 1)[-1],
        path=file.path,
        size_bytes=file.size_bytes,
        passages=passages,
        removable=removable,
        problem=file.reading.problem,
    )


def _write(folder: Path, name: str, content: bytes) -> None:
    """Whole or not at all. Raises DocumentRefused."""
    partial = folder / f".{name}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(folder / name)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DocumentRefused("full", f"{name} cannot be written: {error.strerror}") from error
