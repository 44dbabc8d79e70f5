"""Small to big: the chunks that are searched, and the passage around one that is quoted. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from talkover.knowledge.documents import Document, Passage, Section, passages, word_count
from talkover.messages import Source

CONTEXT_WORDS = 220
"""of the section around a chunk that go to the language model with it"""
SNIPPET_CHARACTERS = 240
MAX_HEADING_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is searched: some 90 words of one section, with the headings above them."""

    id: str
    """UUID of its wording: the same text is the same chunk, wherever it stands"""
    passage: Passage
    heading: str
    """title of the document and the headings down to its own"""
    text: str

    @property
    def wording(self) -> str:
        """What is embedded."""
        return f"{self.heading}\n{self.text}"

    @property
    def section(self) -> tuple[str, int]:
        """The same for all chunks of one section."""
        return self.passage.document.path, id(self.passage.section)


def chunks_of(documents: Iterable[Document]) -> Iterator[Chunk]:
    """In the order of the documents, without those that are only read aloud."""
    for passage in passages(list(documents)):
        headings = (passage.document.title, *passage.section.headings)
        heading = " > ".join(part for part in headings if part)[:MAX_HEADING_CHARACTERS]
        text = " ".join(sentence.text for sentence in passage.sentences)
        wording = "\n".join((heading, *passage.section.asked, text))
        digest = blake2b(wording.encode(), digest_size=16).digest()
        yield Chunk(str(uuid.UUID(bytes=digest)), passage, heading, text)


def source_of(chunk: Chunk, score: float) -> Source:
    """What is shown and what a language model gets of a chunk that was found."""
    passage = chunk.passage
    document, section = passage.document, passage.section
    snippet = chunk.text
    if len(snippet) > SNIPPET_CHARACTERS:
        end = snippet.rfind(" ", SNIPPET_CHARACTERS // 2, SNIPPET_CHARACTERS)
        snippet = snippet[: end if end > 0 else SNIPPET_CHARACTERS].rstrip() + "…"
    return Source(
        id=chunk.id,
        title=document.title,
        path=document.path,
        snippet=snippet,
        score=round(min(1.0, max(0.0, score)), 4),
        text=surroundings(section, passage.first, len(passage.sentences)),
        heading=section.heading,
        location=section.location,
    )


def surroundings(section: Section, first: int, n_sentences: int) -> str:
    """Sentences `first` on with what stands around them in the section, about CONTEXT_WORDS in all."""
    sentences = [sentence.text for sentence in section.sentences]
    start, end = first, first + n_sentences
    words = sum(word_count(text) for text in sentences[start:end])
    while start > 0 or end < len(sentences):
        after = word_count(sentences[end]) if end < len(sentences) else None
        before = word_count(sentences[start - 1]) if start > 0 else None
        if after is not None and words + after <= CONTEXT_WORDS:
            words, end = words + after, end + 1
        elif before is not None and words + before <= CONTEXT_WORDS:
            words, start = words + before, start - 1
        else:
            break
    return " ".join(sentences[start:end])
