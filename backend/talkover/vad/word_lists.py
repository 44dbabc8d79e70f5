"""What short utterances over the agent's speech usually mean, per language. A prior: voice and situation decide too."""

from __future__ import annotations

import re
from typing import Literal

Meaning = Literal["backchannel", "command", "content", "nothing"]


def word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def is_han(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


def english_words(text: str) -> list[str]:
    """Lower case, without punctuation."""
    return re.findall(r"[a-z0-9]+(?:['’-][a-z0-9]+)*", text.lower().replace("’", "'"))


_BACKCHANNELS = word_set(
    "uh-huh uhhuh uh huh mm mhm mm-hmm mmhmm hmm hm yeah yep yes ok okay right sure aha ah oh wow really cool nice"
)
_BACKCHANNEL_PHRASES = ("i see", "got it", "all right", "makes sense", "i know", "of course")
_FILLERS = word_set("um uh er erm ehm hmm hm mm ah oh eh well so like the a and")
"""also what a recogniser makes of a cough or a breath"""
_COMMANDS = word_set("stop wait no pause quiet enough halt cancel shush nope")
_COMMAND_PHRASES = (
    "hold on",
    "hang on",
    "shut up",
    "one moment",
    "one second",
    "never mind",
    "be quiet",
    "that's wrong",
)

_SHORT_CONTENT = word_set(
    "what why who where when which how again louder quieter slower faster repeat next back skip continue wrong help "
    "thanks bye goodbye hello more less yes sorry excuse hey actually but listen"
)
"""what people say over the agent in half a second and mean to be answered"""
_MANDARIN_SHORT_CONTENT = re.compile("什么|为什么|谁|哪|怎么|几|再|大声|小声|慢|快|继续|下一|谢谢|再见|你好|错")

_MANDARIN_BACKCHANNELS = re.compile(
    "嗯+|好的|好吧|好|对+|是的|是|哦+|噢|啊|呃|行|明白|知道了|没错|这样啊|真的吗|真的|ok|okay", re.IGNORECASE
)
_MANDARIN_COMMANDS = re.compile(
    "停|等一下|等等|等会|别说|不对|不是|不要|不用|安静|闭嘴|够了|打断|暂停|慢着|但是|可是|取消"
)
_NO_WORD = re.compile(r"[\W_]+")


def meaning_of(text: str) -> Meaning:
    """What a text said over the agent would mean on paper."""
    if any(is_han(character) for character in text):
        if _MANDARIN_COMMANDS.search(text):
            return "command"
        rest = _NO_WORD.sub("", _MANDARIN_BACKCHANNELS.sub("", text))
        return "content" if rest else "backchannel"
    words = english_words(text)
    sentence = " ".join(words)
    if any(word in _COMMANDS for word in words[:3]) or any(phrase in sentence for phrase in _COMMAND_PHRASES):
        return "command"
    for phrase in _BACKCHANNEL_PHRASES:
        sentence = re.sub(rf"\b{phrase}\b", "ok", sentence)
    rest_words = sentence.split()
    if not rest_words or all(word in _FILLERS and word not in _BACKCHANNELS for word in rest_words):
        return "nothing"
    return "backchannel" if all(word in _BACKCHANNELS or word in _FILLERS for word in rest_words) else "content"


def is_backchannel(text: str) -> bool:
    """Whether the text only says "I am listening"; False for no text."""
    return meaning_of(text) == "backchannel"


def is_short_content(text: str) -> bool:
    """Whether a text that took less than half a second says something: what else is heard in so little is a guess."""
    if any(is_han(character) for character in text):
        return bool(_MANDARIN_SHORT_CONTENT.search(text))
    return any(word in _SHORT_CONTENT for word in english_words(text))
