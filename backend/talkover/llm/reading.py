"""Reads stories and documents aloud, sentence by sentence. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from talkover.llm.dialogue import Reply, Request, enumeration
from talkover.llm.documents import Document
from talkover.llm.knowledge import Library
from talkover.llm.resuming import first_unheard
from talkover.llm.words import STOPWORDS, bigrams, stem, tokens

_STORY = re.compile(
    r"(?:tell|read|give|let|i want|i d like|id like|i would like|do you (?:know|have)|can i (?:have|hear)|another|one more|a|the|next)"
    r"\b.*\b(?P<kind>story|stories|tale|fairy tale|fairytale)\b(?P<rest>.*)|(?:story|stories)(?: time| please)?"
)
_WHICH_STORIES = re.compile(r".*\b(?:what|which|how many)\b.*\b(?:stories|tales)\b.*")
_READ = re.compile(
    r"(?:read|recite|read out|lets read|start reading)(?: (?:me|us|to me|aloud|out|out loud))*(?: (?P<what>.+))?"
)
_PAGE = re.compile(
    r"\b(?:the|a|an|your|my|this|that|whole|entire|page|document|documents|doc|file|text|chapter|section|article|"
    r"guide|manual|about|on|of|for|aloud|out|loud|to|me|us|from|called|named|story|one)\b"
)
_ANYTHING = frozenset(("something", "something long", "anything", "aloud", "on", "more", "everything"))

NO_STORIES = "I have no stories here. Put a Markdown file into a folder called stories, and I will read it to you."
MIN_LIKENESS = 0.75
"""Dice share of letter pairs above which a heard word is taken for a word of a title"""


def reply(request: Request, library: Library) -> Reply | None:
    """The whole text that was asked for, or None when the user did not ask to be read to."""
    core = request.core
    if _WHICH_STORIES.fullmatch(core):
        return Reply(_story_titles(library.stories))
    story = _STORY.fullmatch(core)
    if story:
        if not library.stories:
            return Reply((NO_STORIES,))
        return Reply(tuple(_story(request, library.stories, story["rest"] or "").spoken()))
    read = _READ.fullmatch(core)
    if read is None:
        return None
    what = (read["what"] or "").strip()
    if not what or what in _ANYTHING:
        choice = library.stories or library.topics
        return Reply(tuple(_untold(request, choice).spoken())) if choice else None
    document = find_document(library.documents, what)
    if document is not None:
        return Reply(tuple(document.spoken()))
    if not re.search(r"\b(?:page|document|doc|file|guide|manual|chapter|text|story)\b", what):
        return None
    titles = enumeration([document.title for document in library.topics[:4]], "or")
    return Reply((f"I have no document like that. I can read you {titles}.",) if titles else ("I have no documents.",))


def find_document(documents: Sequence[Document], name: str) -> Document | None:
    """The document whose title or file name fits the spoken `name` best, by its telling words."""
    wanted = {stem(word) for word in tokens(_PAGE.sub(" ", name)) if word not in STOPWORDS}
    wanted = wanted or {stem(word) for word in tokens(name) if word not in STOPWORDS}
    if not wanted:
        return None
    best: tuple[float, Document] | None = None
    for document in documents:
        names = {stem(word) for word in tokens(f"{document.title} {document.path.removesuffix('.md')}")}
        fit = sum(max((_alike(word, other) for other in names), default=0.0) for word in wanted) / len(wanted)
        if fit >= 0.5 and (best is None or fit > best[0]):
            best = fit, document
    return best[1] if best else None


def continuation(library: Library, heard: str, sentences: int) -> tuple[str, ...] | None:
    """What follows `heard` in the document it was taken from: the next sentences, all of them for 0; None if in none."""
    for document in library.documents:
        pieces = tuple(document.spoken())
        # the place is found by the last words alone, so that an answer picked from the middle is found as well
        at = first_unheard(pieces, heard) if len(tokens(heard)) >= 4 else None
        if at is not None and _ends_like(pieces[: at + 1], heard):
            return pieces[at : at + sentences] if sentences else pieces[at:]
    return None


def _ends_like(pieces: Sequence[str], heard: str) -> bool:
    """Whether the last four heard words stand together near the end of `pieces`: fewer prove nothing."""
    text = " ".join(tokens(" ".join(pieces[-3:])))
    return " ".join(tokens(heard)[-4:]) in text


def _story(request: Request, stories: Sequence[Document], about: str) -> Document:
    named = find_document(stories, about) if about.strip() else None
    return named or _untold(request, stories)


def _untold(request: Request, documents: Sequence[Document]) -> Document:
    """The first one whose title the agent has not said yet; else the one it told longest ago."""
    said = [message.text for message in request.history if message.role == "assistant"]

    def last_told(document: Document) -> int:
        return max((at for at, text in enumerate(said) if text.startswith(document.title)), default=-1)

    return min(documents, key=last_told)


def _story_titles(stories: Sequence[Document]) -> tuple[str, ...]:
    if not stories:
        return (NO_STORIES,)
    count = "one story" if len(stories) == 1 else "these stories"
    return (f"I know {count}: {enumeration([story.title for story in stories[:5]])}.",)


def _alike(one: str, other: str) -> float:
    if one == other:
        return 1.0
    pairs, others = bigrams(one), bigrams(other)
    share = 2 * len(pairs & others) / (len(pairs) + len(others))
    return share if share >= MIN_LIKENESS else 0.0
