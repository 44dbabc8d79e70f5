"""Reads stories and documents aloud, sentence by sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from talkover.knowledge.documents import Document
from talkover.knowledge.words import STOPWORDS, likeness, stem, tokens
from talkover.llm.dialogue import YES, Reply, Request, enumeration
from talkover.llm.knowledge import Library
from talkover.llm.phrases import Phrases

_STORY = Phrases(
    """
    (tell|read|give|let|i want|id like|i d like|i would like|do you know|do you have|can i have|can i hear) ... \
        (story|tale|fairytale) [about|called|of|with] <about>
    (tell|read|give|let|i want|id like|i d like|i would like|do you know|do you have|can i have|can i hear) ... \
        (story|stories|tale|tales|fairytale)
    [another|one more|a|an|the|next|new|short|long|funny|good|nice]* (story|stories|tale) \
        [time|please|about|called]* [<about>]
    """
)
_WHICH_STORIES = Phrases(
    """
    [tell me] (what|which|how many) [other] (stories|tales) ...
    (do you know|do you have|are there) (any|some|other|more) (stories|tales)
    """
)
_READ = Phrases(
    """
    [lets|start]* (read|reading|recite) [me|us|to me|to us|aloud|out|out loud]* [<what>]
    """
)
_PAGE_WORDS = frozenset(
    (
        "page",
        "document",
        "documents",
        "doc",
        "file",
        "text",
        "chapter",
        "section",
        "article",
        "guide",
        "manual",
        "whole",
        "entire",
        "aloud",
        "loud",
        "called",
        "named",
        "story",
    )
)
"""words that say what kind of text it is, and not which"""
_ANYTHING = frozenset(("something", "something long", "anything", "aloud", "on", "more", "everything"))

OFFER = "Shall I tell you a story?"
NO_STORIES = "I have no stories here. Put a Markdown file into a folder called stories, and I will read it to you."
MIN_ANCHOR_WORDS = 4
"""last words of an answer that have to stand together in a document for the answer to be taken from it"""
MIN_LIKENESS = 0.75
"""Dice share of letter pairs above which a heard word is taken for a word of a title"""


def reply(request: Request, library: Library) -> Reply | None:
    """The whole text that was asked for, or None when the user did not ask to be read to."""
    core = request.core
    if _WHICH_STORIES.fits(core) or _WHICH_STORIES.fits(request.said):
        return Reply(_story_titles(library.stories))
    story = _STORY.match(core)
    if story is not None:
        if not library.stories:
            return Reply((NO_STORIES,))
        return Reply(tuple(_story(request, library.stories, story.get("about", "")).spoken()))
    read = _READ.match(core)
    if read is None:
        return None
    what = read.get("what", "")
    if what in _ANYTHING or not set(what.split()) - STOPWORDS - {"aloud", "loud"}:
        choice = library.stories or library.topics
        return Reply(tuple(_untold(request, choice).spoken())) if choice else None
    document = find_document(library.documents, what)
    if document is not None:
        return Reply(tuple(document.spoken()))
    if not _PAGE_WORDS & set(what.split()):
        return None
    titles = enumeration([document.title for document in library.topics[:4]], "or")
    return Reply((f"I have no document like that. I can read you {titles}.",) if titles else ("I have no documents.",))


def answer_to_offer(request: Request, library: Library) -> Reply | None:
    """The story that the agent offered and the user said yes to."""
    before = request.last("assistant")
    if before is None or not before.text.endswith(OFFER) or not YES.fits(request.said) or not library.stories:
        return None
    return Reply(tuple(_untold(request, library.stories).spoken()))


def find_document(documents: Sequence[Document], name: str) -> Document | None:
    """The document whose title or file name fits the spoken `name` best, by its telling words."""
    telling = [word for word in tokens(name) if word not in STOPWORDS]
    wanted = {stem(word) for word in telling if word not in _PAGE_WORDS} or {stem(word) for word in telling}
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
    """What follows `heard` in the document it comes from: so many sentences, 0 for all; None when it is in none."""
    for script in library.scripts:
        at = script.first_unheard(heard, MIN_ANCHOR_WORDS)
        if at is not None and at < len(script.pieces):
            return script.pieces[at : at + sentences] if sentences else script.pieces[at:]
    return None


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
    share = likeness(one, other)
    return share if share >= MIN_LIKENESS else 0.0
