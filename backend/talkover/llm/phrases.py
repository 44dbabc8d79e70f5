"""Things people say, as patterns that can be read. Pure.

One pattern per line: `(a|b)` one of them, `[a|b]` perhaps one of them, `[a|b]*` any number of them, `...` any words,
`<name>` one or more words that are kept under that name. A backslash continues a long line.

>>> GO_ON = Phrases("[please] (go on|continue) [with <what>]")
>>> GO_ON.match("please go on with the story")["what"]
'the story'
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[\w']+|<\w+>|\.\.\.|\]\*|[()\[\]|]|\s+")
_REGEX = {"(": "(?:", ")": ")", "[": "(?:", "]": ")?", "]*": ")*", "|": "|", "...": r"(?:\S+ )*"}


class Phrases:
    """A set of patterns for the whole of what was said."""

    def __init__(self, patterns: str) -> None:
        lines = [line.strip() for line in patterns.splitlines()]
        # every word is followed by a space, so that optional words need no care about the spaces between them
        self._patterns = [re.compile(_regex(line)) for line in lines if line]

    def match(self, said: str) -> dict[str, str] | None:
        """The kept words when a pattern fits all of `said` (lower-case words and single spaces), else None."""
        for pattern in self._patterns:
            found = pattern.fullmatch(f"{said} ")
            if found is not None:
                return {name: words.strip() for name, words in found.groupdict().items() if words}
        return None

    def fits(self, said: str) -> bool:
        """Whether a pattern fits all of `said`."""
        return self.match(said) is not None


def _regex(line: str) -> str:
    pieces: list[str] = []
    for token in _TOKEN.findall(line):
        if token.isspace():
            continue
        if token.startswith("<"):
            pieces.append(rf"(?P<{token[1:-1]}>(?:\S+ )+)")
        else:
            pieces.append(_REGEX.get(token) or f"{token} ")
    return "".join(pieces)
