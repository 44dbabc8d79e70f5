"""What the agent must never say, checked on the text before it is spoken. Pure.

Text is held back until a clause is complete and has been checked, so what a rule forbids is never begun within one
clause. That costs the time a model takes for a clause, and only where there are rules. A rule that spans clauses stops
the answer at the clause that completes it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MAX_HELD_CHARACTERS = 240
"""text without punctuation is checked and let go at the last space of so many characters"""
MAX_CONTEXT_CHARACTERS = 1000
"""how far back of one sentence a rule sees"""

_CLAUSE_END = re.compile(r"[,;:.!?](?=\s)|[，、；：。！？\n]")
_SENTENCE_END = re.compile(r"[.!?。！？\n]\s*$")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class SayRules:
    """What is forbidden, and what is said in its place."""

    patterns: tuple[re.Pattern[str], ...] = ()
    instead: str = ""

    def broken_by(self, text: str) -> int | None:
        """The position of the first rule that `text` breaks, or None."""
        plain = _plain(text)
        return next((index for index, pattern in enumerate(self.patterns) if pattern.search(plain)), None)


@dataclass(slots=True)
class SayFilter:
    """The text of one answer on its way to the voice."""

    rules: SayRules
    broken: int | None = None
    """the rule that ended the answer"""
    _sentence: str = ""
    """what was let go of the current sentence"""
    _held: str = ""
    _has_begun: bool = False

    def feed(self, text: str) -> str:
        """More text of the model in; what may be spoken of it out. Nothing comes any more once a rule was broken."""
        if self.broken is not None:
            return ""
        self._held += text
        free = ""
        while self.broken is None and (end := self._clause_end()) is not None:
            clause, self._held = self._held[:end], self._held[end:]
            free += self._checked(clause)
        return free

    def flush(self) -> str:
        """The rest, at the end of the answer or before a function call."""
        if self.broken is not None:
            return ""
        rest, self._held = self._held, ""
        return self._checked(rest)

    def _clause_end(self) -> int | None:
        match = _CLAUSE_END.search(self._held)
        if match is not None:
            return match.end()
        if len(self._held) <= MAX_HELD_CHARACTERS:
            return None
        return self._held.rfind(" ", 1, MAX_HELD_CHARACTERS) + 1 or MAX_HELD_CHARACTERS

    def _checked(self, clause: str) -> str:
        seen = self._sentence + clause
        self.broken = self.rules.broken_by(seen)
        if self.broken is not None:
            self._held = ""
            return f" {self.rules.instead}" if self._has_begun else self.rules.instead
        self._has_begun = self._has_begun or bool(clause.strip())
        self._sentence = "" if _SENTENCE_END.search(clause) else seen[-MAX_CONTEXT_CHARACTERS:]
        return clause


def say_rules(phrases: Sequence[str], patterns: Sequence[str], instead: str) -> SayRules:
    """Rules from phrases, which match word by word whatever stands between the words, and from regular expressions.

    Raises re.error for an expression that is none.
    """
    compiled = [re.compile(_phrase_pattern(phrase)) for phrase in phrases if _WORD.search(phrase)]
    compiled += [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
    return SayRules(tuple(compiled), instead)


def _phrase_pattern(phrase: str) -> str:
    words = [re.escape(word) for word in _WORD.findall(_plain(phrase).casefold())]
    pattern = r"[\W_]+".join(words)
    # Chinese has no spaces: its phrases match inside a run of characters
    return rf"(?i)\b{pattern}\b" if phrase.isascii() else rf"(?i){pattern}"


def _plain(text: str) -> str:
    """Compatibility forms and invisible characters undone, so that a look-alike is no way around a rule."""
    normal = unicodedata.normalize("NFKC", text)
    return "".join(character for character in normal if unicodedata.category(character) != "Cf")
