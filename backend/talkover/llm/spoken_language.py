"""The language the user speaks, as a mark behind their words. Pure.

A recogniser hears the language where the words alone do not show it (`OK`, a name, a number, an accent). The mark is
data beside the words: only where the language changes is it set, so a conversation in one language has one mark, and
one in English, which most instructions are written in, has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from talkover.messages import PromptCall, PromptCallOutput, PromptMessage

NAMES: Mapping[str, str] = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "yue": "Cantonese",
    "zh": "Chinese",
}
"""ISO 639 -> how a model is told; others are passed on as they are"""

LANGUAGE_NOTE = (
    "A mark such as [in Chinese] behind a user message tells the language that is spoken from there on: answer in the "
    "language of the newest mark, and do not mention it."
)
_MAX_TAG_CHARACTERS = 12


def language_marks(messages: Sequence[PromptMessage | PromptCall | PromptCallOutput]) -> Mapping[int, str]:
    """Index of a user message -> its mark, where the language is known and another one than before."""
    marks: dict[int, str] = {}
    before = NAMES["en"]
    for index, message in enumerate(messages):
        if not isinstance(message, PromptMessage) or message.role != "user" or not message.text.strip():
            continue
        name = language_name(message.language)
        if name is not None and name != before:
            marks[index] = f"[in {name}]"
            before = name
    return marks


def language_name(tag: str | None) -> str | None:
    """The English name of a language tag, `zh-CN` as well as `zh`; None for none, or for what is no tag."""
    if not tag or len(tag) > _MAX_TAG_CHARACTERS or not tag.replace("-", "").isalpha():
        return None
    primary = tag.lower().split("-")[0]
    return NAMES.get(primary, primary)
