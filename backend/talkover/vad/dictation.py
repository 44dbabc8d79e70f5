"""Is something being dictated that is not complete yet: digits, an e-mail address, letters, a list? Pure rules.

People pause between groups of digits, around "at" and "dot" and between the items of a list, and their voice often
falls there as if they were done. Only the form of what was dictated so far tells.
"""

from __future__ import annotations

from collections.abc import Sequence

from talkover.vad.expectation import ANYTHING, Expectation
from talkover.vad.word_lists import word_set

DIGIT_WORDS = word_set("zero oh one two three four five six seven eight nine double triple")
_NUMBER_WORDS = DIGIT_WORDS | word_set(
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty "
    "seventy eighty ninety hundred thousand"
)
_HOMOPHONES = word_set("to too for ate won")
"""what recognisers make of digits among other digits"""
_TOPIC_DIGITS = {
    "phone": 7, "telephone": 7, "mobile": 7, "number": 7, "numbers": 7, "zip": 5, "postcode": 5, "pin": 4, "code": 4,
    "card": 12, "account": 6, "order": 4, "id": 4, "serial": 6,
}  # fmt: skip
"""words that announce digits, and with how many they are complete at the earliest"""
PHONE_DIGITS = 10
SPELLED_OUT = 3
"""digits in a row that are dictated, whatever is said before them"""
_EMAIL_TOPICS = word_set("email e-mail mail")
_DOMAIN_ENDS = word_set("com org net edu gov io de cn uk fr info co")
_LIST_OPENINGS = (
    ("i", "need"), ("i", "want"), ("we", "need"), ("buy",), ("add",), ("get",), ("order",), ("i'd", "like"),
    ("i", "would", "like"), ("the", "ingredients", "are"), ("they", "are"), ("there", "are"),
)  # fmt: skip
_LIST_ITEMS = 2
OPEN, LIKELY_OPEN, EITHER, LIKELY_DONE, DONE = 0.06, 0.15, 0.5, 0.7, 0.9


def dictated(words: Sequence[str], expected: Expectation = ANYTHING) -> float | None:
    """Probability that what is dictated at the end of `words` is complete; None when nothing is dictated."""
    if not words:
        return None
    return _email(words, expected) or _digits(words, expected) or _letters(words, expected)


def trailing_digits(words: Sequence[str]) -> int:
    """How many digits the text ends with; "double five" are two."""
    count = 0
    for index in range(len(words) - 1, -1, -1):
        word = words[index]
        if not (word.isdigit() or word in DIGIT_WORDS or (count and word in _HOMOPHONES)):
            break
        count += len(word) if word.isdigit() else {"double": 1, "triple": 2}.get(word, 1)
    return count


def _digits(words: Sequence[str], expected: Expectation) -> float | None:
    digits = trailing_digits(words)
    topics = [_TOPIC_DIGITS[word] for word in words if word in _TOPIC_DIGITS]
    asked = expected.kind == "number"
    if not digits:
        is_number = words[-1] in _NUMBER_WORDS or words[-1].isdigit()
        return LIKELY_DONE if asked and expected.digits is None and is_number else None
    if words[-1] in ("double", "triple"):
        return OPEN
    if asked and expected.digits is None and digits <= 3:  # "how many?" - "two"
        return LIKELY_DONE
    if asked and expected.digits is not None:
        least = expected.digits
    elif topics:
        least = topics[-1]
    elif digits >= SPELLED_OUT or (digits == len(words) and digits > 1):
        least = min(_TOPIC_DIGITS["phone"], digits + 1)
    else:
        return None
    if digits < least:
        return LIKELY_OPEN if digits > 2 else OPEN
    # a telephone number may be done with seven digits and mostly has ten or more; of a code only who asked knows it
    if least == _TOPIC_DIGITS["phone"]:
        return DONE if digits >= PHONE_DIGITS else EITHER - 0.1
    return DONE if asked else EITHER


def _email(words: Sequence[str], expected: Expectation) -> float | None:
    spoken_at = any(word == "at" for word in words[1:]) and "dot" in words
    if not (expected.kind == "email" or spoken_at or _EMAIL_TOPICS & set(words)):
        return None
    last = words[-1]
    if last in ("dot", "at", "underscore", "dash", "hyphen", "is"):
        return OPEN
    if "@" in last and "." in last:
        return DONE
    if last in _DOMAIN_ENDS and "at" in words:
        return DONE
    if expected.kind == "email" or spoken_at or "at" in words:
        return LIKELY_OPEN
    return None


def _letters(words: Sequence[str], expected: Expectation) -> float | None:
    spelled = 0
    for word in reversed(words):
        if len(word) != 1 or not word.isalpha():
            break
        spelled += 1
    if spelled >= 2 or (expected.kind == "spelling" and spelled):
        return LIKELY_OPEN if spelled < 4 else 0.35
    return None


def is_open_list(words: Sequence[str]) -> bool:
    """Whether it can be a list that goes on: one is done after "and" and one more item, before that after any item."""
    for opening in _LIST_OPENINGS:
        if tuple(words[: len(opening)]) == opening and len(words) - len(opening) > _LIST_ITEMS:
            return "and" not in words[-4:-1]
    return False
