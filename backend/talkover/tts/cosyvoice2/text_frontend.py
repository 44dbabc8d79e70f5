"""Text before the tokenizer: rewriting by language, and cutting into pieces that are synthesised one by one.

Nearly the rules of the released code without its optional normalisers, since the model was trained on their output.
Every character keeps where it came from, so that word times refer to the text that was given.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from talkover.tts.english_numbers import cardinal, digits

MAX_PIECE = 80
"""characters (Chinese) or ids (other languages) that a piece should not exceed"""
MIN_PIECE = 60
"""what a piece must hold before the next sentence is put into a new one"""
SHORT_PIECE = 20
"""a last piece shorter than this joins the one before"""

_MARKS_ZH = "。？！；：、.?!;"
_MARKS_OTHER = ".?!;:"
_CLOSING_QUOTES = ('"', "”")
_CHINESE = re.compile("[\u4e00-\u9fff]")
_DIGITS = re.compile(r"\d+")

LengthOf = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class TracedText:
    """A text and, for each of its characters, the range of the given text it stands for."""

    text: str
    origins: tuple[tuple[int, int], ...]
    """(start, end) per character of `text`; both never fall"""

    @staticmethod
    def of(text: str) -> TracedText:
        return TracedText(text, tuple((index, index + 1) for index in range(len(text))))

    def __getitem__(self, part: slice) -> TracedText:
        return TracedText(self.text[part], self.origins[part])

    def __add__(self, other: TracedText) -> TracedText:
        return TracedText(self.text + other.text, self.origins + other.origins)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The range of the given text that text[start:end], not empty, stands for."""
        return self.origins[start][0], self.origins[end - 1][1]

    def sub(self, pattern: str | re.Pattern[str], replacement: str | Callable[[str], str]) -> TracedText:
        """Like `re.sub`; what is put in stands for all that it replaces."""
        parts = TracedText("", ())
        position = 0
        for match in re.finditer(pattern, self.text):
            if match.end() == match.start():
                continue
            new = replacement if isinstance(replacement, str) else replacement(match.group())
            span = self.origin(match.start(), match.end())
            parts = parts + self[position : match.start()] + TracedText(new, (span,) * len(new))
            position = match.end()
        return parts + self[position:]

    def strip(self) -> TracedText:
        start = len(self.text) - len(self.text.lstrip())
        return self[start : max(start, len(self.text.rstrip()))]


def is_chinese(text: str) -> bool:
    return _CHINESE.search(text) is not None


def only_punctuation(text: str) -> bool:
    """Whether `text` holds nothing but Unicode punctuation and symbols; true for the empty text."""
    return all(unicodedata.category(char)[0] in "PS" for char in text)


def normalized(text: str) -> TracedText:
    """`text` rewritten as a whole: what a prompt's transcript goes through."""
    if not text or ("<|" in text and "|>" in text):  # control marks: the caller knows what to do
        return TracedText.of(text)
    traced = TracedText.of(text).strip()
    return _normalized_chinese(traced) if is_chinese(traced.text) else traced.sub(_DIGITS, spelled_out)


def pieces(text: str, length_of: LengthOf) -> list[TracedText]:
    """`text` rewritten and cut into pieces; pieces without anything to say are left out.

    `length_of`: ids of a text, by which pieces of languages other than Chinese are measured.
    """
    traced = normalized(text)
    if not text or ("<|" in text and "|>" in text):
        return [traced]
    chinese = is_chinese(traced.text)
    sentences = _sentences(traced, _MARKS_ZH if chinese else _MARKS_OTHER, "。" if chinese else ".")
    merged = _merged(sentences, len if chinese else length_of)
    return [piece for piece in merged if not only_punctuation(piece.text)]


_SCALES = (
    "",
    " thousand",
    " million",
    " billion",
    " trillion",
    " quadrillion",
    " quintillion",
    " sextillion",
    " septillion",
    " octillion",
    " nonillion",
    " decillion",
)


def spelled_out(number: str) -> str:
    """A run of digits in English words: `300` -> three hundred, `1234` -> one thousand, two hundred and thirty-four.

    Beyond decillions they are read one by one.
    """
    value = int(number)
    groups: list[tuple[int, int]] = []  # (value below 1000, power of 1000), highest first
    power = 0
    rest = value
    while rest:
        rest, low = divmod(rest, 1000)
        if low:
            groups.insert(0, (low, power))
        power += 1
    if power > len(_SCALES):
        return digits(str(value))
    words = [cardinal(low) + _SCALES[power] for low, power in groups]
    if len(words) > 1 and groups[-1][0] < 100 and groups[-1][1] == 0:
        return ", ".join(words[:-1]) + " and " + words[-1]
    return ", ".join(words) or "zero"


def _normalized_chinese(traced: TracedText) -> TracedText:
    traced = _without_idle_blanks(traced.sub("\n", ""))
    for old, new in _CHINESE_REPLACEMENTS:
        traced = traced.sub(old, new)
    return traced.sub(r"[，,、]+$", "。")


_CHINESE_REPLACEMENTS = (
    ("²", "平方"),
    ("³", "立方"),
    (r"\.", "。"),
    (" - ", "，"),
    (r"[（）【】`]", ""),
    ("——", " "),
)


def _without_idle_blanks(traced: TracedText) -> TracedText:
    """Blanks stay between two ASCII characters only."""
    text = traced.text

    def is_ascii(index: int) -> bool:
        return 0 <= index < len(text) and text[index].isascii() and text[index] != " "

    kept = [index for index, char in enumerate(text) if char != " " or (is_ascii(index - 1) and is_ascii(index + 1))]
    return TracedText("".join(text[index] for index in kept), tuple(traced.origins[index] for index in kept))


def _sentences(traced: TracedText, marks: str, stop: str) -> list[TracedText]:
    """Cut after every mark; a mark with nothing before it makes no sentence, a closing quote goes with its mark."""
    if traced.text[-1:] not in marks or not traced.text:
        end = traced.origins[-1][1] if traced.origins else 0
        traced = traced + TracedText(stop, ((end, end),))
    sentences: list[TracedText] = []
    start = 0
    for index, char in enumerate(traced.text):
        if char not in marks:
            continue
        if index > start:
            sentences.append(traced[start : index + 1])
        start = index + 1
        if traced.text[start : start + 1] in _CLOSING_QUOTES and sentences:
            sentences[-1] = sentences[-1] + traced[start : start + 1]
            start += 1
    return sentences


def _merged(sentences: list[TracedText], length_of: LengthOf) -> list[TracedText]:
    """Sentences put together greedily up to the length of a piece."""
    merged: list[TracedText] = []
    current = TracedText("", ())
    for sentence in sentences:
        if length_of(current.text + sentence.text) > MAX_PIECE and length_of(current.text) > MIN_PIECE:
            merged.append(current)
            current = TracedText("", ())
        current = current + sentence
    if current.text:
        if merged and length_of(current.text) < SHORT_PIECE:
            merged[-1] = merged[-1] + current
        else:
            merged.append(current)
    return merged
