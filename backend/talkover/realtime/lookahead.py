"""When to look documents up for a question that is still being spoken. Pure.

Each stable prefix that says something new is worth a search: it costs milliseconds on a thread of its own, and the one
for the last prefix is the one that the answer uses. What may still be taken back is not searched for, nor is the same
question in other little words.
"""

from __future__ import annotations

from talkover.llm.grounding import same_question, search_question
from talkover.messages import Transcript

MIN_WORDS = 2
"""telling words before a first search: one alone finds anything"""
MAX_SEARCHES = 12
"""a turn; a long story told before the question is not searched for sentence by sentence"""


class Lookahead:
    """Follows the transcripts of one session."""

    def __init__(self) -> None:
        self._item_id = ""
        self._searches = 0
        self._asked: frozenset[str] = frozenset()

    def hear(self, transcript: Transcript, before: str) -> str | None:
        """The question to search for now, behind `before`, the user's previous one; None when there is nothing new."""
        if transcript.item_id != self._item_id:
            self._item_id, self._searches, self._asked = transcript.item_id, 0, frozenset()
        question = search_question(transcript.text[: transcript.stable_chars], before)
        words = same_question(question)
        if len(words) < (1 if transcript.final else MIN_WORDS) or words == self._asked:
            return None
        if self._searches >= MAX_SEARCHES and not transcript.final:
            return None
        self._searches += 1
        self._asked = words
        return question
