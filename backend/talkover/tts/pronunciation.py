"""A small dictionary of what to say for what is written: names and terms that a voice gets wrong.

The words of the speech still point into the text as it was written, so captions and the heard ledger see no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

from pydantic import Field

from talkover.engines import SpeechChunk
from talkover.messages import Word
from talkover.tts.spoken_text import Rule, SpokenText, rewrite

MAX_ENTRIES = 500
Written = Annotated[str, Field(min_length=1, max_length=60)]
Spoken = Annotated[str, Field(max_length=200)]
Pronunciation = Annotated[dict[Written, Spoken], Field(max_length=MAX_ENTRIES)]
"""written -> spoken, letter case counts; in a configuration or a voice's file: `[pronunciation]`, `SQL = "sequel"`"""

_LETTER = r"A-Za-z0-9\u00c0-\u024f"
"""of scripts that put blanks between words: there an entry is a whole word, elsewhere it matches anywhere"""
_STARTS_WITH_LETTER = re.compile(rf"[{_LETTER}]")
_ENDS_WITH_LETTER = re.compile(rf"[{_LETTER}]\Z")


def pronounced(text: str, pronunciation: Mapping[str, str]) -> SpokenText:
    """`text` with every entry replaced; of two that begin at the same place the longer one."""
    if not pronunciation:
        return SpokenText(text, text, (), "")
    longest_first = sorted(pronunciation, key=len, reverse=True)
    pattern = re.compile("|".join(_whole(written) for written in longest_first))
    return rewrite(text, [Rule(pattern, lambda match: pronunciation[match.group()])], "")


def speak_as_pronounced(
    text: str, pronunciation: Mapping[str, str], synthesize: Callable[[str], Iterator[SpeechChunk]]
) -> Iterator[SpeechChunk]:
    """What `synthesize` makes of the pronounced text, with its words' offsets into `text` itself."""
    spoken = pronounced(text, pronunciation)
    for chunk in synthesize(spoken.spoken):
        yield SpeechChunk(chunk.samples, tuple(_as_written(word, spoken) for word in chunk.words))


def _whole(written: str) -> str:
    before = rf"(?<![{_LETTER}])" if _STARTS_WITH_LETTER.match(written) else ""
    after = rf"(?![{_LETTER}])" if _ENDS_WITH_LETTER.search(written) else ""
    return f"{before}{re.escape(written)}{after}"


def _as_written(word: Word, spoken: SpokenText) -> Word:
    start, end = spoken.to_display(word.start, word.end)
    return Word(start, end, word.start_ms, word.end_ms)
