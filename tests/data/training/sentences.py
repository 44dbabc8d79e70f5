"""What the small test models understand: commands and questions in English, in Mandarin, and in both at once.

A token is an English word or a Mandarin character. Every sentence exists with its punctuation; the recogniser is
trained on what `spoken` leaves of it, the punctuation model on the marks.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

SPECIAL_TOKENS = ("<blank>", "<s>", "</s>")
"""ids 0, 1 and 2 in every FunASR vocabulary; `<unk>` is the last one"""
MARKS = "，。？,.?"

_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twenty", "thirty")
_ENGLISH = (
    "What is Talkover?",
    "What is the time?",
    "What time is it?",
    "What is the date today?",
    "Who are you?",
    "What can you do?",
    "Can you speak Mandarin?",
    "Tell me a story.",
    "Tell me the time.",
    "How warm is it {day}?",
    "Play music.",
    "Play music in the {room}.",
    "Turn {onoff} the {device}.",
    "Turn {onoff} the {device} in the {room}.",
    "{open} the {opening}.",
    "{open} the {opening} in the {room}.",
    "Set a timer for {number} minutes.",
    "Stop the {device}.",
    "Stop.",
    "Wait.",
    "Hello.",
    "Thank you.",
    "Goodbye.",
)
_MANDARIN = (
    "你是谁？",
    "你会说什么？",
    "你会做什么？",
    "现在几点了？",
    "今天几号？",
    "{日}天气怎么样？",
    "{日}多少度？",
    "讲个故事。",
    "请讲个故事。",
    "播放音乐。",
    "请播放音乐。",
    "{开关}{房}的{物}。",
    "请{开关}{房}的{物}。",
    "{开关}{物}。",
    "把{房}的{物}{开关}。",
    "把{物}{开关}。",
    "定一个{数}分钟的闹钟。",
    "{数}分钟。",
    "停。",
    "等一下。",
    "你好。",
    "谢谢。",
    "再见。",
    "什么是Talkover？",
    "打开Talkover。",
    "播放music。",
    "Talkover会做什么？",
    "Hello，你是谁？",
)
_SLOTS = {
    "day": ("today", "tomorrow"),
    "room": ("kitchen", "bedroom"),
    "device": ("light", "music", "timer"),
    "onoff": ("on", "off"),
    "open": ("Open", "Close"),
    "opening": ("door", "window"),
    "number": _NUMBERS,
    "日": ("今天", "明天"),
    "房": ("厨房", "客厅", "卧室"),
    "物": ("灯", "音乐", "门", "窗户"),
    "开关": ("打开", "关掉"),
    "数": ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "二十", "三十"),
}
_ENGLISH_OPENINGS = ("Hello", "Please", "Stop", "Wait")
_MANDARIN_OPENINGS = ("你好", "谢谢", "等一下", "停")


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something a user may say."""

    text: str
    """with punctuation, as it should be written"""
    language: str
    """en, zh, or mixed"""

    @property
    def tokens(self) -> tuple[str, ...]:
        return tokens_of(self.text)

    @property
    def spoken(self) -> str:
        """As the recogniser writes it: words parted by blanks, characters not, no punctuation, no capitals."""
        return joined(self.tokens)


def tokens_of(text: str) -> tuple[str, ...]:
    """Lower-case words and single characters of `text`, without punctuation."""
    return tuple(re.findall(r"[a-z]+|[一-鿿]", text.lower()))


def joined(tokens: tuple[str, ...]) -> str:
    """Tokens as text; a blank between two English words."""
    text = ""
    for previous, token in itertools.pairwise(("", *tokens)):
        text += " " + token if previous and previous.isascii() and token.isascii() else token
    return text


def _language(text: str) -> str:
    latin, han = re.search(r"[a-zA-Z]", text), re.search(r"[一-鿿]", text)
    return "mixed" if latin and han else "en" if latin else "zh"


def _expand(template: str) -> list[str]:
    names = re.findall(r"\{(\w+)\}", template)
    choices = itertools.product(*(_SLOTS[name] for name in names))
    return [template.format(**dict(zip(names, values, strict=True))) for values in choices]


def _compound(text: str) -> list[str]:
    """`text` after a greeting or a first command: where commas come from."""
    if _language(text) == "en" and len(tokens_of(text)) > 2:
        rest = text if text.startswith("Talkover") else text[0].lower() + text[1:]
        return [f"{opening}, {rest}" for opening in _ENGLISH_OPENINGS]
    if _language(text) == "zh" and len(tokens_of(text)) > 3:
        return [f"{opening}，{text}" for opening in _MANDARIN_OPENINGS]
    return []


def simple_sentences() -> list[Sentence]:
    """Every sentence of the templates, once."""
    return [Sentence(text, _language(text)) for template in (*_ENGLISH, *_MANDARIN) for text in _expand(template)]


def all_sentences() -> list[Sentence]:
    """Those of the templates, and those that begin with a greeting or a first command."""
    simple = simple_sentences()
    return simple + [Sentence(text, _language(text)) for sentence in simple for text in _compound(sentence.text)]


def vocabulary() -> list[str]:
    """Every token in the order of FunASR's vocabularies."""
    found = sorted({token for sentence in all_sentences() for token in sentence.tokens})
    return [*SPECIAL_TOKENS, *found, "<unk>"]


def split(sentences: list[Sentence]) -> tuple[list[Sentence], list[Sentence]]:
    """Sentences to train on, and every ninth of those with enough relatives, which the models never hear."""
    held = [sentence for sentence in sentences if len(sentence.tokens) > 4][::9]
    return [sentence for sentence in sentences if sentence not in held], held
