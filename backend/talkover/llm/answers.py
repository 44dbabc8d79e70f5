"""Answers questions from the documents, word for word, and says plainly when they hold no answer. Pure.

The best passage is found by `knowledge.Library`; of it one to three sentences are spoken that answer. Below
`ANSWER_CONFIDENCE` nothing is answered: the threshold was measured with tests/data/llm/questions.jsonl.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from talkover.knowledge.documents import Document, Passage, Sentence
from talkover.knowledge.sentences import with_full_stop
from talkover.knowledge.words import STOPWORDS, contains_cjk, stem, tokens
from talkover.llm.dialogue import YES, Reply, Request
from talkover.llm.knowledge import Group, Hit, Library, question_form
from talkover.llm.phrases import Phrases
from talkover.llm.small_talk import spoken_title
from talkover.messages import Source

ANSWER_CONFIDENCE = 0.37
"""at least this much of a question must be explained by the passage that answers it"""
ASK_BACK_CONFIDENCE = 0.3
"""between this and the one above, the nearest heading is asked back"""
CONTEXT_PREFERRED = 0.8
"""share of the confidence of a question taken alone, from which its reading with the one before it is preferred"""
LATER_START = 0.25
"""share of the question's weight that a later sentence has to add for an answer to start there"""
MAX_SENTENCES = 3
MAX_WORDS = 55
MAX_ITEMS = 6
SNIPPET_CHARACTERS = 240

_DEPENDENT = re.compile(
    r"^(?:it|its|they|their|them|this|that|these|those|then|there|both|also|but|so|he|she|you can also|otherwise|"
    r"therefore|in return|in that case|after that)\b",
    re.IGNORECASE,
)
"""beginnings of a sentence that lean on the one before"""

_FOLLOW_UP = Phrases("(and|but|or|what about|how about|what if) ...")
_PRONOUNS = frozenset(("it", "that", "this", "them", "these", "those"))
_NO = Phrases(
    "(no|nope|nah|not now|not really|rather not) [no|thanks|thank you|please|not now|not really|i dont|its not]*"
)
_OFFER = re.compile(r"(?:tell you about|Did you mean:) (?P<what>.+)\?$")

DECLINES = (
    "I don't find that in my documents.",
    "My documents say nothing about that.",
    "I don't know that, because it is not in my documents.",
)
OFFERS = (
    "Shall I tell you about {topic}?",
    "Would you like me to tell you about {topic}?",
)
NOT_UNDERSTOOD = (
    "Sorry, I did not understand that.",
    "I am not sure that I understood you.",
)
ASK_BACK = "Did you mean: {heading}?"
NO_DOCUMENTS = (
    "I have no documents to answer from. Put Markdown files into the knowledge folder, or connect a language model."
)
ALL_RIGHT = ("All right. What else would you like to know?", "Okay. Just ask me something else.")


def reply(request: Request, library: Library) -> Reply:
    """The sentences that answer, with their sources; or the plain statement that there are none."""
    if not library.passages:
        return Reply((NO_DOCUMENTS,))
    context = previous_question(request)
    if not context and not _own_words(request):
        return Reply((request.one_of(NOT_UNDERSTOOD), offer(request, library)), request.text)
    hits = _search(request, library, context)
    if hits and hits[0].confidence >= ANSWER_CONFIDENCE:
        return _answer(request.text, hits)
    apology = request.one_of(NOT_UNDERSTOOD if request.uncertain else DECLINES)
    heading = hits[0].passage.section.heading.rstrip("?!. ") if hits else ""
    if heading and hits[0].confidence >= ASK_BACK_CONFIDENCE:
        return Reply((apology, ASK_BACK.format(heading=heading)), request.text)
    return Reply((apology, offer(request, library)), request.text)


def answer_to_offer(request: Request, library: Library) -> Reply | None:
    """What a yes or no to the agent's own question asks for; None when there was no such question."""
    before = request.last("assistant")
    offer = _OFFER.search(before.text.strip()) if before else None
    if offer is None:
        return None
    if _NO.fits(request.said):
        return Reply((request.one_of(ALL_RIGHT),))
    if not YES.fits(request.said):
        return None
    wanted = offer["what"].strip()
    document = _topic_called(library, wanted)
    if document is not None:
        first = Passage(document, document.sections[0], 0, document.sections[0].sentences)
        return Reply(_spoken_sentences(first.sentences[:MAX_SENTENCES]), wanted, (_source(first, 0.0),))
    hits = library.search(wanted)
    return _answer(wanted, hits) if hits else None


def offer(request: Request, library: Library) -> str:
    """A question whose yes gets an answer."""
    return request.one_of(OFFERS).format(topic=spoken_title(request.one_of(library.topics).title))


def previous_question(request: Request) -> str:
    """The newest earlier user message that had a subject; empty when none of the last three had."""
    users = [message.text for message in request.history if message.role == "user"]
    for text in reversed(users[-3:]):
        if any(word not in STOPWORDS for word in tokens(text)):
            return text
    return ""


def _search(request: Request, library: Library, context: str) -> tuple[Hit, ...]:
    """Passages for a question, read in the light of the one before it where it leans on that."""
    alone = library.search(request.text)
    if not context:
        return alone
    if not _own_words(request):
        form = question_form(request.text)
        hits = library.search(request.text, context, limit=8)
        same_form = tuple(hit for hit in hits if not form or question_form(hit.passage.section.heading) == form)
        return _not_said_yet(request, same_form) or same_form
    if not _FOLLOW_UP.fits(request.said) and not _PRONOUNS.intersection(request.words):
        return alone
    together = _not_said_yet(request, library.search(request.text, context, limit=8))
    is_better = bool(together) and (not alone or together[0].confidence >= CONTEXT_PREFERRED * alone[0].confidence)
    return together if is_better else alone


def _own_words(request: Request) -> list[str]:
    """Its words that have a subject of their own."""
    return [word for word in tokens(request.text) if word not in STOPWORDS]


def _not_said_yet(request: Request, hits: Sequence[Hit]) -> tuple[Hit, ...]:
    before = request.last("assistant")
    said = before.text if before else ""
    return tuple(hit for hit in hits if hit.passage.sentences[0].text not in said)


def _answer(question: str, hits: Sequence[Hit]) -> Reply:
    best = hits[0]
    return Reply(_spoken_sentences(best_sentences(best)), question, (_source(best.passage, best.score),))


def best_sentences(hit: Hit) -> tuple[Sentence, ...]:
    """One to three sentences of the passage that answer the question, in their order.

    Prose starts at its beginning, unless a later sentence explains much that neither heading nor beginning do; then
    there, or before it when it leans on its neighbour ("It ..."). List items and table rows are picked one by one.
    """
    sentences = hit.passage.sentences
    if all(sentence.item for sentence in sentences):
        return _best_items(hit)
    section = hit.passage.section
    beginning = _stems(" ".join((*section.headings, *section.asked, sentences[0].text)))
    gains = [_gain(hit, _stems(sentence.text), beginning) for sentence in sentences]
    best = max(range(len(sentences)), key=lambda at: (gains[at], -at))
    start = best if gains[best] >= LATER_START * sum(group.weight for group in hit.groups) else 0
    while start > 0 and _DEPENDENT.match(sentences[start].text):
        start -= 1
    chosen = [sentences[start]]
    words = len(sentences[start].text.split())
    for sentence in sentences[start + 1 :]:
        words += len(sentence.text.split())
        if len(chosen) == MAX_SENTENCES or words > MAX_WORDS:
            break
        chosen.append(sentence)
    return tuple(chosen)


def _best_items(hit: Hit) -> tuple[Sentence, ...]:
    """The items that explain most; the first ones when all explain the same."""
    items = hit.passage.sentences
    explained = [_gain(hit, _stems(item.text), frozenset()) for item in items]
    best = max(explained)
    as_good = [item for item, share in zip(items, explained, strict=True) if share == best]
    return tuple(as_good[:MAX_SENTENCES] if len(as_good) < len(items) else items[:MAX_ITEMS])


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in tokens(text))


def _gain(hit: Hit, stems: frozenset[str], known: frozenset[str]) -> float:
    """How much more of the question `stems` explain than `known` do."""

    def fit(group: Group, words: frozenset[str]) -> float:
        return max((fit for word, fit in group.alternatives.items() if word in words), default=0.0)

    return sum(group.weight * max(0.0, fit(group, stems) - fit(group, known)) for group in hit.groups)


def _spoken_sentences(sentences: Sequence[Sentence]) -> tuple[str, ...]:
    return tuple(with_full_stop(sentence.text) for sentence in sentences)


def _source(passage: Passage, score: float) -> Source:
    text = " ".join(sentence.text for sentence in passage.sentences)
    snippet = text if len(text) <= SNIPPET_CHARACTERS else f"{text[:SNIPPET_CHARACTERS].rsplit(' ', 1)[0]} ..."
    document, heading = passage.document, passage.section.heading
    place = f"{document.path}#{heading or document.title}-{passage.first}"
    return Source(place, document.title, document.path, snippet, round(score, 3), text, heading)


def _topic_called(library: Library, name: str) -> Document | None:
    return next((topic for topic in library.topics if spoken_title(topic.title) == name), None)


def is_foreign(request: Request, library: Library) -> bool:
    """Whether the user writes Chinese or Japanese and no document does."""
    return contains_cjk(request.text) and not library.has_cjk
