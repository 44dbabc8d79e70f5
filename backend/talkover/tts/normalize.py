"""From a segment of LLM text to what is shown and what is spoken.

Markdown, emoji and citations go from both; figures, dates, amounts, units, addresses and abbreviations become words
for the speech only. English and Mandarin have rules of their own (`english.py`, `mandarin.py`); other languages are
handed on with their figures, which espeak-ng reads in each of its languages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from talkover.tts.english import ENGLISH_RULES
from talkover.tts.language import language_of
from talkover.tts.mandarin import MANDARIN_RULES
from talkover.tts.markdown import CODE_BLOCK, MarkdownStripper
from talkover.tts.speech_marks import hidden, shown
from talkover.tts.spoken_text import Change, Rule, SpokenText, rewrite

_RULES: dict[str, Sequence[Rule]] = {"en": ENGLISH_RULES, "zh": MANDARIN_RULES}
_LINE_BREAK = re.compile(r"(?<=[\w)）])\n")
_CODE_OMITTED = {
    "zh": "（代码略）",
    "de": "(Code ausgelassen)",
    "fr": "(code omis)",
    "es": "(código omitido)",
}
_CODE_OMITTED_IN_ENGLISH = "(code omitted)"


def speakable(
    text: str,
    language_hint: str | None = None,
    stripper: MarkdownStripper | None = None,
    marks: frozenset[str] = frozenset(),
) -> SpokenText:
    """What is read and what is spoken of one segment; both are empty when nothing is left to say.

    `language_hint`: any BCP 47 tag, for texts whose script does not tell. `stripper`: made once for a response, for
    Markdown that spans segments; without one the text stands alone. `marks`: those of `speech_marks.py` that the
    engine knows.
    """
    return shown(_spoken(hidden(text), language_hint, stripper or MarkdownStripper()), marks)


def _spoken(text: str, language_hint: str | None, stripper: MarkdownStripper) -> SpokenText:
    display = stripper.strip(text)
    language = language_of(display, language_hint)
    display = display.replace(CODE_BLOCK, _CODE_OMITTED.get(language, _CODE_OMITTED_IN_ENGLISH))
    # a heading, list item or paragraph is a sentence for the voice, also without a full stop
    stop = "。" if language in {"zh", "ja"} else "."
    line_break = Rule(_LINE_BREAK, lambda _match: stop + "\n")
    result = rewrite(display, (*_RULES.get(language, ()), line_break), language)
    if "\n" in text[len(text.rstrip()) :] and result.spoken[-1:].isalnum():
        n_display, n_spoken = len(display), len(result.spoken)
        end = Change(n_display, n_display, n_spoken, n_spoken + 1)
        return SpokenText(display, result.spoken + stop, (*result.changes, end), language)
    return result
