"""What the agent still owes the user when it is cut off: the words of an answer that were not heard. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

MAX_ANSWERS = 4
"""whose text is kept: the one that sounds, the one being made, and what is prepared ahead"""
MAX_CHARACTERS = 100_000
"""of one answer: two hours of speech"""


@dataclass(frozen=True, slots=True)
class Owed:
    """An answer that was broken off."""

    item_id: str
    """the message that was being spoken; empty: nothing of the answer had been heard, it is given anew"""
    rest: str = ""
    """what it was still going to say; empty: that is not known, the LLM is asked anew"""


class AnswerTexts:
    """What the newest answers are going to say, as far as the LLM has said it."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, tuple[str, bool]] = OrderedDict()

    def add(self, response_id: str, text: str, is_last: bool) -> None:
        before, _ = self._texts.get(response_id, ("", False))
        self._texts[response_id] = (before + text)[:MAX_CHARACTERS], is_last
        while len(self._texts) > MAX_ANSWERS:
            self._texts.popitem(last=False)

    def whole(self, response_id: str) -> str:
        """All of an answer; empty while the LLM is not through with it."""
        text, is_whole = self._texts.get(response_id, ("", False))
        return text if is_whole else ""


def unheard_text(text: str, heard: str) -> str:
    """What of an answer is left when `heard` of it was heard.

    `heard` is the answer as it was spoken: markup and citations are not in it. So letters and digits are matched in
    order, and what lies between them in `text` is passed over.
    """
    position = 0
    for character in heard:
        if character.isalnum():
            found = text.find(character, position)
            if found < 0:
                return ""
            position = found + 1
    rest = text[position:]
    begin = next((index for index, character in enumerate(rest) if character.isalnum()), len(rest))
    return rest[begin:]
