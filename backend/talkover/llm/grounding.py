"""Tying an answer to documents: what to search for, and which passages the answer draws on. Pure.

A model does not say what it took from where, and in speech it must not ("[1]" would be read aloud). So an answer's own
words tell: those that the question did not bring along and a passage has. Where answer and passage are written in
different scripts no words can be compared, and all passages are given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from talkover.knowledge.words import STOPWORDS, contains_cjk, plain_words, stem, tokens
from talkover.messages import PromptCall, PromptCallOutput, PromptMessage, Source

LEANING_WORDS = 3
"""a question with a pronoun and at most so many words of its own leans on the one before"""
TELLING_WORDS = 2
"""words that an answer must share with a passage to draw on it; of a number one will do"""
TELLING_SHARE = 0.5
"""share of an answer's own words that will do, too, for the shortest answers"""

_LEANING = re.compile(r"^(?:and|but|or|then|what about|how about|what if)\b|^(?:那|还有)|呢[?？]?$", re.IGNORECASE)
_PRONOUNS = frozenset(("it", "its", "they", "them", "their", "that", "this", "these", "those", "there", "one"))
_CJK_PRONOUNS = re.compile("[它这那]")
_CLAUSE_ENDS = re.compile(r"(?<=[.!?,;:])\s+|(?<=[。！？，；：])")
_DECLINES = re.compile(
    r"(?:n.t|not|unable to) (?:find|found|see|have)\b|(?:n.t|not) (?:in|mentioned|covered)\b.*\b(?:document|passage)|"
    r"找不到|没有?找到|没有?提到|未提及",
    re.IGNORECASE,
)
_ABOUT_SEARCHING = frozenset(map(stem, ("find", "found", "document", "documents", "information", "passage", "mention")))


def search_question(said: str, before: str) -> str:
    """What to search for: the user's words, behind their previous question where they lean on it."""
    own = [word for word in tokens(said) if word not in STOPWORDS]
    pronoun = bool(_PRONOUNS & set(plain_words(said))) or _CJK_PRONOUNS.search(said) is not None
    leans = not own or (len(own) <= LEANING_WORDS and (pronoun or _LEANING.search(said.strip()) is not None))
    return f"{before} {said}".strip() if leans else said.strip()


def question_of(messages: Sequence[PromptMessage | PromptCall | PromptCallOutput]) -> str:
    """The question that a conversation waits to have answered; empty when the user has said nothing."""
    said = [message.text for message in messages if isinstance(message, PromptMessage) and message.role == "user"]
    said = [text for text in said if text.strip()]
    return search_question(said[-1], said[-2] if len(said) > 1 else "") if said else ""


def same_question(text: str) -> frozenset[str]:
    """What makes two wordings one search: their stems, little words aside; empty when there is nothing to search for.

    A partial transcript and the final one differ in punctuation and in "um", which no search sees.
    """
    return _stems(text)


class Attribution:
    """Tells while an answer comes in which of its passages it draws on."""

    def __init__(self, question: str, passages: Sequence[Source]) -> None:
        self._asked = _stems(question) | _ABOUT_SEARCHING
        self._left = [(source, _stems(quoted_text(source))) for source in passages]
        self._text = ""
        self._judged = 0
        """characters of it that were compared"""
        self._told: frozenset[str] = frozenset()
        """what the answer said beyond the question, and no passage given so far explains"""

    def feed(self, text: str) -> tuple[Source, ...]:
        """Take the next piece of the answer; the passages that its clauses so far show to be used, each once."""
        if not self._left:  # what is read again at every clause must not grow for nothing
            return ()
        self._text += text
        ends = [match.end() for match in _CLAUSE_ENDS.finditer(self._text)]
        return self._used(self._text[: ends[-1]]) if ends and ends[-1] > self._judged else ()

    def flush(self) -> tuple[Source, ...]:
        """The answer is complete."""
        return self._used(self._text) if len(self._text) > self._judged else ()

    def _used(self, answer: str) -> tuple[Source, ...]:
        self._judged = len(answer)
        clauses = [clause for clause in _CLAUSE_ENDS.split(answer) if not _DECLINES.search(clause)]
        self._told = _stems(" ".join(clauses)) - self._asked
        if not self._told:
            return ()
        is_cjk = contains_cjk(answer)
        used = [source for source, _ in self._left if contains_cjk(quoted_text(source)) != is_cjk]
        self._left = [(source, stems) for source, stems in self._left if source not in used]
        while (best := self._best()) is not None:
            used.append(best)
        return tuple(used)

    def _best(self) -> Source | None:
        """The passage that explains most of what was told, taken out; None when none explains enough."""
        if not self._left:
            return None
        at = max(range(len(self._left)), key=lambda index: len(self._left[index][1] & self._told))
        source, stems = self._left[at]
        shared = stems & self._told
        number = any(character.isdigit() for word in shared for character in word)
        if len(shared) < TELLING_WORDS and not number and len(shared) < TELLING_SHARE * max(1, len(self._told)):
            return None
        del self._left[at]
        self._asked |= shared
        self._told -= shared
        return source


def quoted_text(source: Source) -> str:
    """The whole passage."""
    return source.text or source.snippet


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in tokens(text) if word not in STOPWORDS)
