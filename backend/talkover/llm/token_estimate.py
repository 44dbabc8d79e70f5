"""How many tokens a text will be, without the tokenizer of whatever model will read it. Pure.

An estimate that rather says too much: byte-pair vocabularies take about four letters of English to a token, three of
other alphabets, and about one Chinese, Japanese or Korean character.
"""

from __future__ import annotations

import re

MESSAGE_TOKENS = 4
"""for the role and the marks around a message"""

_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")


def estimated_tokens(text: str) -> int:
    """Of one message, its role included."""
    n_wide = len(_WIDE.findall(text))
    n_plain = sum(character.isascii() for character in text)
    n_other = len(text) - n_wide - n_plain
    return MESSAGE_TOKENS + n_wide + -(-n_plain // 4) + -(-n_other // 2)
