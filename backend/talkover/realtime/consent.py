"""How the user is asked for consent to what a tool is to do, and how their reply is understood. Pure."""

from __future__ import annotations

import re
from typing import Literal

Reply = Literal["yes", "no", "stop", "other"]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CJK = re.compile(r"[\u3400-\u9fff]")

_AROUND = "(?:(?:oh|well|um|uh|actually|okay|ok|so|please|just|then|now|thanks|thank you|no|sorry|you can) )*"
_YES = re.compile(
    r"(?:(?:yes|yeah|yep|yup|sure|okay|ok|of course|certainly|absolutely|definitely|please|please do|go ahead|go for it"
    r"|do it|do that|do so|that's right|that is right|right|correct|confirm|confirmed|i confirm|i do|sounds good"
    r"|thank you|thanks|ja|jawohl|gerne|genau|bitte|oui|bien sûr|d'accord|sí|si|claro|por favor|vale) )+"
)
_NO = re.compile(
    r"(?:(?:oh|well|um|uh|actually|okay|ok) )*"
    r"(?:no|nope|nah|don't|do not|not|never|rather not|nein|lieber nicht|non|no gracias)\b"
)
_PURE_NO = re.compile(
    r"(?:(?:oh|well|um|uh|actually|okay|ok|no|nope|nah|please|thanks|thank you|don't|do not|do it|do that|rather not"
    r"|nein|danke|non|merci|gracias) )+"
)
_STOP = re.compile(
    _AROUND + r"(?:never ?mind|forget (?:it|that|about it|about that)|cancel(?: (?:it|that|this))?"
    r"|stop(?: (?:it|that|looking|searching|waiting|trying))?|don't bother|do not bother|leave it|no need"
    r"|that's not necessary|skip (?:it|that)|give up"
    r"|vergiss es|schon gut|laissez tomber|laisse tomber|déjalo|olvídalo) " + _AROUND
)
_ZH_YES = re.compile(
    r"(?:是|是的|好|好的|好啊|可以|行|行的|对|对的|没错|确认|确定|请|请吧|要|嗯|麻烦你了|谢谢)+[吧了的啊]?"
)
_ZH_NO = re.compile(r"(?:不|不要|不用|不行|别|不是|先不)")
_ZH_STOP = re.compile(
    r"(?:那|好|好的|哦)*(?:算了|不用了|不用查了|不用找了|别查了|别找了|取消|取消吧|停|停下|不查了)[吧啊]?(?:谢谢)?"
)


def understood(text: str) -> Reply:
    """How a user's words answer a question for consent, or bear on work under way.

    Only words that say nothing else count as `yes`: "yes, but to another address" is `other`, and nothing is done.
    """
    if _CJK.search(text):
        said = "".join(_WORD.findall(text))
        if _ZH_STOP.fullmatch(said):
            return "stop"
        if _ZH_NO.match(said):
            return "no"
        return "yes" if _ZH_YES.fullmatch(said) else "other"
    said = "".join(f"{word} " for word in _WORD.findall(text.lower().replace("’", "'")))
    if not said:
        return "other"
    if _STOP.fullmatch(said):
        return "stop"
    if _NO.match(said):
        return "no"
    return "yes" if _YES.fullmatch(said) else "other"


def is_only_no(text: str) -> bool:
    """Whether a refusal says nothing that wants an answer of its own."""
    if _CJK.search(text):
        return len("".join(_WORD.findall(text))) <= 4
    said = "".join(f"{word} " for word in _WORD.findall(text.lower().replace("’", "'")))
    return _PURE_NO.fullmatch(said) is not None


def question(template: str, arguments: dict[str, object]) -> str:
    """A tool's question for consent with the arguments in it; what a template names and is not there is left out."""
    filled = re.sub(r"\{(\w+)\}", lambda found: str(arguments.get(found[1], "")), template)
    return re.sub(r"\s+(?=[\s?!.,]|$)", "", filled).strip()
