"""The client's function tools, as far as words alone can serve them. Pure.

Without a language model a tool is called when the client demands it, or when the user's words name the tool and hold
what its required parameters need. What a function returned is read back as a short sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from talkover.knowledge.words import STOPWORDS, plain_words, stem
from talkover.llm.numbers import find_number
from talkover.llm.phrases import Phrases
from talkover.messages import FunctionTool, Prompt, PromptCallOutput

_NAME_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# Verbs that tool names begin with and users do not say.
_VERBS = frozenset(("get", "fetch", "do", "run", "call", "query", "retrieve", "handle", "tool", "function", "api"))
_PREPOSITIONS = frozenset(("in", "at", "for", "to", "of", "about", "from", "named", "called", "with", "on", "by"))
_CLOSING = frozenset(("please", "now", "today", "tomorrow", "thanks", "right"))
_MAX_SPOKEN_CHARACTERS = 400
_MAX_FIELDS = 4
MAX_SPOKEN_DEPTH = 6
"""of what a function returned: each level may take four members"""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call to be made."""

    name: str
    arguments: str
    """JSON object"""


def demanded_call(prompt: Prompt, text: str) -> ToolCall | None:
    """The call that `tool_choice` asks for, its arguments filled from the user's words as well as they can be."""
    if not prompt.tools or prompt.tool_choice in ("auto", "none"):
        return None
    if prompt.tool_choice == "required":
        tool = max(prompt.tools, key=lambda candidate: _overlap(candidate, text))
    else:
        named = [tool for tool in prompt.tools if tool.name == prompt.tool_choice]
        if not named:
            return None
        tool = named[0]
    arguments, _ = _arguments(tool, text)
    return ToolCall(tool.name, json.dumps(arguments, ensure_ascii=False))


def meant_call(prompt: Prompt, text: str) -> ToolCall | None:
    """A call the user's words clearly ask for: they hold every word of its name and all required arguments.

    A tool that says how users ask for it is called for those words alone.
    """
    if prompt.tool_choice != "auto":
        return None
    words = plain_words(text)
    said = {stem(word) for word in words}
    for tool in prompt.tools:
        name = _telling_words(tool.name)
        is_meant = Phrases(tool.asked_by).fits(" ".join(words)) if tool.asked_by else name and name <= said
        if not is_meant:
            continue
        arguments, missing = _arguments(tool, text)
        if not missing:
            return ToolCall(tool.name, json.dumps(arguments, ensure_ascii=False))
    return None


def spoken_result(prompt: Prompt) -> tuple[str, ...] | None:
    """The newest function outputs as sentences, when the conversation ends with them."""
    outputs: list[str] = []
    for message in reversed(prompt.messages):
        if not isinstance(message, PromptCallOutput):
            break
        outputs.append(message.output)
    return tuple(_sentence(output) for output in reversed(outputs)) or None


def _sentence(output: str) -> str:
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        value = output
    text = _phrase(value, MAX_SPOKEN_DEPTH).strip()
    if len(text) > _MAX_SPOKEN_CHARACTERS:
        text = text[:_MAX_SPOKEN_CHARACTERS].rsplit(" ", 1)[0] + " and so on"
    if not text:
        return "That is done."
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", "。", "！", "？")) else f"{text}."


def _phrase(value: Any, levels: int) -> str:
    """`levels` of it; what lies deeper nobody could follow by ear."""
    match value:
        case dict() | list() if levels == 0:
            return "more"
        case dict():
            fields: dict[str, Any] = value
            if fields.get("error"):
                return f"That did not work: {_phrase(fields['error'], levels - 1)}"
            if isinstance(results := fields.get("results"), list) and "notice" in fields:
                return _found(results)
            told = {key: item for key, item in fields.items() if key not in ("ok", "success", "status")}
            if not told:
                failed = fields.get("ok") is False or fields.get("success") is False
                return "That did not work" if failed else "That is done"
            spoken = [f"{_words(key)} is {_phrase(item, levels - 1)}" for key, item in list(told.items())[:_MAX_FIELDS]]
            return f"The {', '.join(spoken)}"
        case list():
            items: list[Any] = value
            return (
                ", ".join(_phrase(item, levels - 1) for item in items[:_MAX_FIELDS]) if items else "Nothing was found"
            )
        case bool():
            return "yes" if value else "no"
        case None:
            return "nothing"
        case _:
            return str(value)


def _found(results: list[Any]) -> str:
    """The first result of a search that says anything, with where it stands."""
    for result in results:
        if isinstance(result, dict) and (text := result.get("snippet") or result.get("text")):
            site = result.get("site")
            return f"On {site} it says: {text}" if site else str(text)
    return "The search found nothing"


def _words(name: str) -> str:
    return " ".join(part.lower() for part in _NAME_PART.findall(name)) or name


def _telling_words(name: str) -> frozenset[str]:
    words = [part.lower() for part in _NAME_PART.findall(name)]
    return frozenset(stem(word) for word in words if word not in _VERBS and word not in STOPWORDS)


def _overlap(tool: FunctionTool, text: str) -> int:
    said = {stem(word) for word in plain_words(text) if word not in STOPWORDS}
    known = _telling_words(tool.name) | {stem(word) for word in plain_words(tool.description)}
    return len(said & known) + 2 * len(said & _telling_words(tool.name))


def _arguments(tool: FunctionTool, text: str) -> tuple[dict[str, Any], list[str]]:
    """(arguments found, required parameters for which the words hold nothing)."""
    properties: Mapping[str, Any] = tool.parameters.get("properties") or {}
    required: Sequence[str] = tool.parameters.get("required") or ()
    arguments: dict[str, Any] = {}
    missing: list[str] = []
    for name, schema in properties.items():
        value = _value(name, schema if isinstance(schema, dict) else {}, tool, text, name in required)
        if value is not None:
            arguments[name] = value
        elif name in required:
            missing.append(name)
    return arguments, missing


def _value(name: str, schema: Mapping[str, Any], tool: FunctionTool, text: str, required: bool) -> Any:
    """What the words hold for one parameter, or None."""
    words = plain_words(text)
    options: Sequence[Any] = schema.get("enum") or ()
    if options:
        said = f" {' '.join(words)} "
        return next((option for option in options if f" {' '.join(plain_words(str(option)))} " in said), None)
    match schema.get("type", "string"):
        case "integer" | "number":
            return find_number(words)
        case "boolean":
            return ("off" not in words and "not" not in words) if stem(_words(name)) in words else None
        case "string":
            return _string(tool, text) if required else None
        case _:
            return None


def _string(tool: FunctionTool, text: str) -> str | None:
    """Words after a preposition ("weather in Paris"), or after those of the tool's name ("search notes budget")."""
    originals = re.findall(r"[^\s,.!?;:\"“”]+", text)
    words = [word.lower() for word in originals]
    while words and words[-1] in _CLOSING:
        words.pop()
    name = _telling_words(tool.name)
    named = [at for at, word in enumerate(words) if stem(word) in name]
    start = max(named, default=-1) + 1
    for at in range(start, len(words)):
        if words[at] in _PREPOSITIONS:
            start = at + 1
            break
    found = originals[start : len(words)]
    while found and found[0].lower() in ("the", "a", "an", "my", "is", "are", "like"):
        found = found[1:]
    return " ".join(found) or None
