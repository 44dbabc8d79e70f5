"""What the agent's last words ask for: a yes or no, a number of so many digits, an address, a spelling. Pure rules.

An answer to "do you want milk?" is over after "yes"; one to "what is your telephone number?" is not after five digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from talkover.vad.word_lists import word_set

Kind = Literal["anything", "yes_no", "number", "email", "spelling"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What kind of answer is due."""

    kind: Kind = "anything"
    digits: int | None = None
    """how many a number has at least; None when unknown"""


ANYTHING = Expectation()


@dataclass(frozen=True, slots=True)
class ExpectedField:
    """A value that one of the session's tools needs."""

    words: frozenset[str]
    """of its name, lower case"""
    expectation: Expectation


_INVERTED = word_set(
    "do does did is are was were can could will would shall should may have has had am isn't aren't don't doesn't "
    "didn't won't wouldn't can't couldn't haven't hasn't"
)
_TAGS = ("right?", "correct?", "okay?", "ok?", "yes?", "no?", "isn't it?", "is that right?", "would you like that?")
_OPEN_QUESTION = re.compile(r"\b(what|which|who|whom|whose|where|when|why|how)\b")
_CHOICE = re.compile(r"\bor\b(?! not\b)")
_ASKS = re.compile(
    r"\?|？|\b(please|tell me|give me|say|enter|spell|i need|may i have|can i have|could you)\b|请|告诉我|输入"
)
_NUMBERS: tuple[tuple[re.Pattern[str], int | None], ...] = (
    (re.compile(r"\b(tele)?phone\b|\bmobile\b|\bcall you back\b|\bcell\b|电话|手机"), 7),
    (re.compile(r"\bzip\b|\bpost(al)? ?code\b|\bpostcode\b|邮编|邮政编码"), 5),
    (re.compile(r"\bpin\b|密码"), 4),
    (re.compile(r"\b(verification|confirmation|security|access)? ?code\b|验证码"), 4),
    (re.compile(r"\b(credit|bank|debit)? ?card number\b|卡号"), 12),
    (
        re.compile(
            r"\b(account|order|customer|reference|booking|serial|member\w*|tracking) (number|id)\b|编号|账号|订单号"
        ),
        4,
    ),
    (re.compile(r"\bnumber\b|\bhow (many|much|old)\b|号码|几个|多少"), None),
)
_EMAIL = re.compile(r"\be-?mail( address)?\b|邮箱|邮件地址")
_SPELLING = re.compile(r"\bspell\b|\bletter by letter\b|怎么拼|拼写")
_MANDARIN_YES_NO = re.compile(r"(吗|对吧|是吧|好吧|好吗|对吗|是不是|要不要|可以吗|对不对|行不行|好不好)[?？。]?$")
_ASKS_FOR = re.compile(r"(can|could|may|would) (you|i) (please )?(tell|give|have|get|say)")
_SENTENCE = re.compile(r"[^.!?。！？]+[.!?。！？]*")


def expectation(agent_text: str, fields: Iterable[ExpectedField] = ()) -> Expectation:
    """What an answer to the agent's last sentence is; `fields` are what the tools at hand need."""
    sentences = _SENTENCE.findall(agent_text.strip())
    if not sentences:
        return ANYTHING
    last = sentences[-1].strip().lower().replace("’", "'")
    if not _ASKS.search(last):
        return ANYTHING
    if _SPELLING.search(last):
        return Expectation("spelling")
    if _is_yes_no(last):
        return Expectation("yes_no")
    if _EMAIL.search(last):
        return Expectation("email")
    words = set(re.findall(r"[a-z]+", last))
    named = [field for field in fields if field.words and field.words <= words]
    if named:
        return max(named, key=lambda field: len(field.words)).expectation
    for pattern, digits in _NUMBERS:
        if pattern.search(last):
            return Expectation("number", digits)
    return ANYTHING


def _is_yes_no(sentence: str) -> bool:
    if not sentence.endswith(("?", "？")):
        return bool(_MANDARIN_YES_NO.search(sentence))
    if sentence.endswith(_TAGS) or _MANDARIN_YES_NO.search(sentence):
        return True
    clause = re.split(r"[,;:]\s*(?:and|so|but|then)?\s*", sentence)[-1]
    words = re.findall(r"[a-z']+", clause)
    while words and words[0] in ("so", "and", "but", "okay", "well", "then", "now", "please"):
        words = words[1:]
    if not words or words[0] not in _INVERTED or _CHOICE.search(clause):
        return False
    # "could you tell me your number?" asks for the number
    return not (_OPEN_QUESTION.search(clause) or _ASKS_FOR.match(clause))


def expected_field(name: str, schema: Mapping[str, Any]) -> ExpectedField | None:
    """A tool's parameter (a JSON schema) as something a caller dictates; None for what has no shape of its own."""
    words = frozenset(word for word in re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) if word)
    kind = schema.get("type")
    if schema.get("format") == "email":
        return ExpectedField(words, Expectation("email"))
    if kind in ("number", "integer"):
        return ExpectedField(words, Expectation("number"))
    pattern = schema.get("pattern")
    if kind == "string" and isinstance(pattern, str) and re.fullmatch(r"\^?(\\d|\[0-9\])[^a-zA-Z]*\$?", pattern):
        counted = re.search(r"\{(\d+)", pattern)
        length = schema.get("minLength")
        digits = int(counted[1]) if counted else length if isinstance(length, int) else None
        return ExpectedField(words, Expectation("number", digits))
    if kind == "boolean":
        return ExpectedField(words, Expectation("yes_no"))
    return None
