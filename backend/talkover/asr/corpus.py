"""Markdown documents as training text of a language model: spoken sentences, likely questions, and spellings of names.

Pure text work. Words are lower case and hold letters and apostrophes only; how a word was written (`CosyVoice`,
`API`) is kept aside, for pronouncing it and for showing it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Words = tuple[str, ...]

MAX_SENTENCE_WORDS = 60
"""longer runs are tables or listings, not speech"""

_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->|<[^>\n]+>", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_URL = re.compile(r"\b(?:https?|wss?)://\S+")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$")
_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z\"'(`*0-9])|[;:]\s+")
_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*\.?|\d+(?:\.\d+)?")
_IDENTIFIER = re.compile(r"\S*[a-zA-Z]_[a-zA-Z]\S*")
"""names of variables and the like: their capitals mean nothing"""
_INSIDE = re.compile(r"[a-z,] $")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ASKING = frozenset({
    "what", "who", "where", "when", "why", "how", "which", "whose", "is", "are", "was", "were", "do", "does",
    "did", "can", "could", "will", "would", "should", "may", "must", "am", "has", "have",
})  # fmt: skip
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = (
    "zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Corpus:
    """What documents contribute to a language model."""

    questions: tuple[Words, ...]
    """headings, and what somebody would ask about headings and names"""
    sentences: tuple[Words, ...]
    """the running text"""
    spellings: dict[str, str]
    """lower-case word -> how the documents write it, for names and abbreviations"""


def read_corpus(documents: Iterable[str]) -> Corpus:
    """The corpus of Markdown texts; empty texts are fine."""
    questions: dict[Words, None] = {}
    sentences: list[Words] = []
    spellings: Counter[str] = Counter()
    for document in documents:
        for is_heading, text in _sentences(document):
            spellings.update(_spellings(text))
            words = spoken_words(text)
            if not words or len(words) > MAX_SENTENCE_WORDS:
                continue
            if is_heading:
                for variant in heading_questions(words):
                    questions.setdefault(variant)
            else:
                sentences.append(words)
    best = {written.lower(): written for written, _ in sorted(spellings.items(), key=lambda item: item[1])}
    names = {word: written for word, written in best.items() if word != written}
    for name in names:
        for variant in term_questions((name,)):
            questions.setdefault(variant)
    return Corpus(tuple(questions), tuple(sentences), names)


def _sentences(document: str) -> Iterator[tuple[bool, str]]:
    """(is a heading, text) of one Markdown text, without code blocks, addresses and markup."""
    text = _FENCE.sub("\n\n", document)
    text = _URL.sub(" ", _LINK.sub(r"\1", _COMMENT.sub(" ", text)))
    paragraph: list[str] = []
    for line in [*text.splitlines(), ""]:
        heading = _HEADING.match(line)
        starts_item = re.match(r"\s*(?:[-*+]|\d+[.)]|\|)\s*", line)
        if heading or starts_item or not line.strip():
            for sentence in _SENTENCE_END.split(" ".join(paragraph)):
                yield False, sentence
            paragraph = []
        if heading:
            yield True, heading[1]
        elif line.strip():
            paragraph.append(line[starts_item.end() :] if starts_item else line)


def spoken_words(text: str) -> Words:
    """The words of a text as they are said: numbers in words, camel case kept whole, punctuation dropped.

    >>> spoken_words("Run `talkover serve` on port 8000, then open CosyVoice2.")
    ('run', 'talkover', 'serve', 'on', 'port', 'eight', 'thousand', 'then', 'open', 'cosyvoice', 'two')
    """
    words: list[str] = []
    for match in _WORD.findall(text.replace("’", "'")):
        token: str = match.rstrip(".")
        if token[0].isdigit():
            whole, _, fraction = token.partition(".")
            words += number_words(int(whole))
            if fraction:
                words += ["point", *(_ONES[int(digit)] for digit in fraction)]
        else:
            words.append(token.lower())
    return tuple(words)


def number_words(number: int) -> list[str]:
    """A whole number in words; from a million on digit by digit.

    >>> number_words(16042)
    ['sixteen', 'thousand', 'forty', 'two']
    """
    if number >= 1_000_000:
        return [_ONES[int(digit)] for digit in str(number)]
    if number >= 1000:
        return [*number_words(number // 1000), "thousand", *(number_words(number % 1000) if number % 1000 else [])]
    if number >= 100:
        return [_ONES[number // 100], "hundred", *(number_words(number % 100) if number % 100 else [])]
    if number >= 20:
        return [_TENS[number // 10], *([_ONES[number % 10]] if number % 10 else [])]
    return [_ONES[number]]


def _spellings(text: str) -> Iterator[str]:
    """Words as written, where that says something: the first of a sentence only when it has inner capitals."""
    plain = _IDENTIFIER.sub(" ", text.replace("’", "'"))
    for match in _WORD.finditer(plain):
        word = match[0].rstrip(".").removesuffix("'s")
        inner_capitals = any(letter.isupper() for letter in word[1:])
        if len(word) > 1 and word[0].isalpha() and (inner_capitals or _INSIDE.search(plain, 0, match.start())):
            yield word


def camel_parts(written: str) -> tuple[str, ...]:
    """`CosyVoice` -> (`Cosy`, `Voice`), `OpenAI` -> (`Open`, `AI`)."""
    return tuple(_CAMEL.findall(written))


_HEADING_FORMS: tuple[tuple[str, str], ...] = (
    (
        r"what is (?P<x>.+)",
        "what's {x}|tell me about {x}|what does {x} mean|explain {x}|do you know what {x} is|"
        "can you tell me what {x} is|can you explain {x}|i want to know what {x} is|what about {x}",
    ),
    (
        r"what are (?P<x>.+)",
        "what about {x}|tell me about {x}|what are the {x}|explain {x}|can you tell me about {x}",
    ),
    (
        r"how (?:do|can) (?:i|you|we) (?P<x>.+)",
        "how do i {x}|how can i {x}|how do you {x}|how could i {x}|how to {x}|can i {x}|can you tell me how to {x}|"
        "tell me how to {x}|tell me how i can {x}|i want to {x}|i would like to {x}|where do i {x}|where can i {x}|"
        "what do i need to {x}|is it possible to {x}|explain how to {x}|do you know how to {x}|how would i {x}",
    ),
    (r"how (?P<a>does|is) (?P<x>.+)", "can you tell me how {x}|tell me how {x}|how {a} {x} then"),
    (
        r"(?:can|may|could) i (?P<x>.+)",
        "is it possible to {x}|how can i {x}|how do i {x}|am i able to {x}|could i {x}|can you {x}",
    ),
    (
        r"do i need (?P<x>.+)",
        "is {x} needed|does it need {x}|do you need {x}|does it work without {x}|can i use it without {x}|"
        "must i have {x}",
    ),
    (
        r"(?:which|what) (?P<x>.+) are there",
        "what {x} do you have|which {x} can i use|how many {x} are there|tell me about the {x}|what {x} are there|"
        "list the {x}",
    ),
    (r"why .+", "tell me why|can you tell me why|what is the reason"),
)
"""a heading, and other ways to ask for what stands under it"""
_TERM_FORMS = (
    "{x}|what is {x}|what's {x}|tell me about {x}|tell me more about {x}|how do i use {x}|how can i use {x}|"
    "can i use {x}|how does {x} work|what does {x} mean|what does {x} do|do you know {x}|do you use {x}|"
    "do i need {x}|explain {x}|how do i connect {x}|can you use {x}|what about {x}|where is {x}|"
    "does it work with {x}|can i connect {x}|how do i connect to {x}|where do i find {x}|i want to use {x}"
)
_ABOUT_THE_AGENT = (
    # the agent is asked about itself in the second person, and as "it"
    (re.compile(r"\b(does|can|is|will|do) talkover\b"), (r"\1 it", r"\1 you", r"\1 this program")),
    (re.compile(r"\btalkover\b"), ("it", "you", "this")),
)
_SECOND_PERSON = (("does you", "do you"), ("is you", "are you"))


def heading_questions(words: Words) -> tuple[Words, ...]:
    """A heading and other ways to ask for what stands under it."""
    heading = " ".join(words)
    variants: dict[str, None] = {heading: None}
    for pattern, forms in _HEADING_FORMS:
        match = re.fullmatch(pattern, heading)
        if match:
            for form in forms.split("|"):
                variants.setdefault(form.format(**match.groupdict()))
    if len(variants) == 1 and len(words) <= 5 and _ASKING.isdisjoint(words[:1]):
        for question in term_questions(words):
            variants.setdefault(" ".join(question))
    for pattern, replacements in _ABOUT_THE_AGENT:
        for variant in list(variants):
            for replacement in replacements if pattern.search(variant) else ():
                changed = pattern.sub(replacement, variant)
                for wrong, right in _SECOND_PERSON:
                    changed = changed.replace(wrong, right)
                variants.setdefault(changed)
    return tuple(tuple(variant.split()) for variant in variants)


def term_questions(term: Words) -> tuple[Words, ...]:
    """What one asks about a thing or name."""
    return tuple(tuple(form.format(x=" ".join(term)).split()) for form in _TERM_FORMS.split("|"))
