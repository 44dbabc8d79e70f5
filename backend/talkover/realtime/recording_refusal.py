"""Whether the user refuses to be recorded, in English, Chinese, German, Spanish and French. Pure.

Where it is not certain, it is a refusal: a recording that is missing can be borne, one that was not wanted cannot.
"""

from __future__ import annotations

import re

from talkover.realtime.consent import understood

MAX_ONLY_WORDS = 9
MAX_ONLY_CHARACTERS = 14
"""a refusal in Chinese of so many characters says nothing else that wants an answer"""

_CJK = re.compile(r"[\u3400-\u9fff]")

_EXPLICIT = re.compile(
    r"\b(?:do(?: no|n')t|stop|quit|never) (?:you )?(?:keep )?record(?:ing)?\b"
    r"|\bdo(?: no|n')t (?:want|wish|like|agree|consent)\b.{0,40}\brecord"
    r"|\b(?:turn|switch) (?:off )?(?:the |this |that )?record(?:ing|er)\b"
    r"|\bno recording|\bwithout (?:being )?record|\b(?:not (?:to )?be|not being|rather not be) recorded\b"
    r"|\b(?:delete|erase) (?:the|this|my|that) recording\b|\b(?:object|refuse) to (?:\w+ ){0,2}(?:be )?record"
    r"|\b(?:nicht|keine?n?|ohne|stopp\w*|beenden?|löschen?)\b(?:,? \w+){0,4} "
    r"(?:auf(?:ge|zu)?(?:zeichne|zeichnung|nehme|nommen|nahme)|mit(?:ge|zu)?schn)\w*"
    r"|\b(?:nehmen?|zeichnen?|schneiden?)\b.{0,30}\bnicht (?:auf|mit)\b"
    r"|\b(?:aufnahme|aufzeichnung|mitschnitt)\b.{0,20}\b(?:stopp|beend|lösch|aus\b|abbrech)"
    r"|\bno\b.{0,25}\bgrab(?:e|a|o|ar|ad|aci)|\b(?:deje|deja|pare|detenga|borre|sin)\b.{0,15}\bgrab"
    r"|\b(?:ne|n'|pas)\b.{0,30}enregistr|\b(?:arrêtez|stoppez|coupez|supprimez|effacez|sans)\b.{0,20}enregistr"
)
_EXPLICIT_ZH = re.compile(
    r"(?:不要|不想|不能|不许|不可以|不同意|不愿意|不希望|别|停止|关掉|关闭|取消|拒绝|删除|删掉).{0,6}录(?:音|制|下|我|了|$)"
)
_OBJECTION = re.compile(
    r"\bi (?:do(?: no|n')t|can(?:no|')t) (?:agree|consent|want|like)\b|\bi (?:object|refuse)\b|\brather not\b"
    r"|\bnicht einverstanden\b|\bdagegen\b|\bmöchte (?:ich )?(?:das )?nicht\b|\bwill (?:ich )?(?:das )?nicht\b"
    r"|\bno (?:estoy de acuerdo|quiero|acepto|me gusta)\b|\b(?:pas d'accord|je refuse|je ne veux pas)\b"
    r"|(?:我|还是)(?:不同意|不想|不要|不愿意|拒绝)|^拒绝"
)
_NO_OBJECTION = re.compile(
    r"^(?:(?:oh|well|okay|ok|no|nope|nein|non) ?)*(?:no|not a) (?:problem|worries|issue|objections?)\b"
    r"|\bdo(?: no|n')t mind\b|\bnever ?mind\b|^no need\b"
    r"|^no,? (?:that's|that is|it's|it is) (?:fine|okay|ok|all right|alright|good)\b|^no,? go ahead\b"
    r"|\bkein problem\b|\bnichts dagegen\b|\bschon gut\b|^no (?:hay|tengo) (?:ningún )?(?:problema|inconveniente)"
    r"|\bpas de (?:problème|souci)|不介意|没问题|不要紧|不客气"
)


def refuses(text: str, is_reply: bool) -> bool:
    """Whether these words refuse a recording. `is_reply`: they follow the sentence that tells of it: "no" will do."""
    said = text.lower().replace("’", "'").strip()
    if _EXPLICIT.search(said) or _EXPLICIT_ZH.search(said):
        return True
    if not is_reply or _NO_OBJECTION.search(said):
        return False
    return _OBJECTION.search(said) is not None or understood(text) in ("no", "stop")


def says_only_that(text: str) -> bool:
    """Whether a refusal is so short that it says nothing else that wants an answer."""
    if _CJK.search(text):
        return len(text) <= MAX_ONLY_CHARACTERS
    return len(text.split()) <= MAX_ONLY_WORDS
