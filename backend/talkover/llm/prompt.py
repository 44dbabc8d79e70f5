"""A prompt as the messages of a chat-completions request. Pure.

What speech adds to a chat is told in ways that every chat template accepts, so with one system message in front only:

- An answer that was interrupted ends in an em dash, at the last word the user heard, and the system message says what
  that means. The unheard rest is in no message at all.
- Words the recogniser was unsure of are followed by `[unclear]`, explained there too.
- How words were said, where the recogniser hears that (`[angry]`, `[laughter]`), follows them in brackets.
- A turn without words (the agent opens the conversation, or the user stays silent) is a remark in parentheses, because
  many templates demand a user message.

Consecutive messages of one role are merged, and every function call is followed at once by its output, as endpoints
demand; a call whose output never came is given one that says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from talkover.messages import FunctionTool, Prompt, PromptCall, PromptCallOutput, PromptMessage

CUT_OFF_MARK = "—"
UNCLEAR_MARK = "[unclear]"
CUT_OFF_NOTE = (
    f"An assistant message that ends with {CUT_OFF_MARK} was interrupted there by the user, who did not hear the rest."
)
UNCLEAR_NOTE = (
    f"A user message that ends with {UNCLEAR_MARK} was hard to understand: when it makes no sense, ask back briefly."
)
MANNER_NOTE = (
    "Words in brackets behind a user message tell how it was said or what was heard with it, such as [angry] or "
    "[laughter]: let your tone fit, and do not mention them."
)
NOT_BEGUN = "(The user has connected and has not said anything yet.)"
SILENCE = "(The user stays silent.)"
NO_OUTPUT = "(no result yet)"

ChatMessage = dict[str, Any]


def chat_messages(prompt: Prompt) -> list[ChatMessage]:
    """The `messages` of a request."""
    outputs = {message.call_id: message.output for message in prompt.messages if isinstance(message, PromptCallOutput)}
    called = {message.call_id for message in prompt.messages if isinstance(message, PromptCall)}
    chat: list[ChatMessage] = []
    system = _system_text(prompt)
    if system:
        chat.append({"role": "system", "content": system})
    calls: list[PromptCall] = []
    for message in prompt.messages:
        if isinstance(message, PromptCall):
            calls.append(message)
            continue
        if isinstance(message, PromptCallOutput) and message.call_id in called:
            continue
        _append_calls(chat, calls, outputs)
        if isinstance(message, PromptCallOutput):
            _append(chat, "user", f"(A function returned: {message.output})")
        else:
            _append(chat, message.role, _text(message))
    _append_calls(chat, calls, outputs)
    if not any(message["role"] in ("user", "tool") for message in chat):
        chat.append({"role": "user", "content": NOT_BEGUN})
    return chat


def chat_tools(tools: Sequence[FunctionTool]) -> list[dict[str, Any]]:
    """The `tools` of a request."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters or {"type": "object", "properties": {}},
            },
        }
        for tool in tools
    ]


def chat_tool_choice(tool_choice: str) -> str | dict[str, Any]:
    """The `tool_choice` of a request: one of the three words, or the named function."""
    if tool_choice in ("auto", "none", "required"):
        return tool_choice
    return {"type": "function", "function": {"name": tool_choice}}


def _system_text(prompt: Prompt) -> str:
    spoken = [message for message in prompt.messages if isinstance(message, PromptMessage)]
    notes = [prompt.instructions.strip()]
    if any(message.cut_off for message in spoken):
        notes.append(CUT_OFF_NOTE)
    if any(message.uncertain for message in spoken):
        notes.append(UNCLEAR_NOTE)
    if any(_manner(message) for message in spoken):
        notes.append(MANNER_NOTE)
    return "\n\n".join(note for note in notes if note)


def _text(message: PromptMessage) -> str:
    text = message.text.strip()
    if message.role == "assistant" and message.cut_off:
        return f"{text}{CUT_OFF_MARK}"
    if message.role == "user" and not text:
        return SILENCE
    if message.role == "user":
        marks = [f"[{heard}]" for heard in _manner(message)] + [UNCLEAR_MARK] * message.uncertain
        return " ".join([text, *marks])
    return text


def _manner(message: PromptMessage) -> tuple[str, ...]:
    """What is worth telling of how it was said."""
    emotion = () if message.emotion in (None, "neutral") else (message.emotion,)
    return (*emotion, *message.events)


def _append(chat: list[ChatMessage], role: str, text: str) -> None:
    if not text:
        return
    last = chat[-1] if chat else None
    if last is not None and last["role"] == role and "tool_calls" not in last and role in ("user", "assistant"):
        last["content"] = f"{last['content']}\n{text}"
    else:
        chat.append({"role": role, "content": text})


def _append_calls(chat: list[ChatMessage], calls: list[PromptCall], outputs: dict[str, str]) -> None:
    """Move `calls` into the chat: one assistant message with all of them, then their outputs."""
    if not calls:
        return
    tool_calls = [
        {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": _json(call.arguments)}}
        for call in calls
    ]
    if chat and chat[-1]["role"] == "assistant" and "tool_calls" not in chat[-1]:
        chat[-1]["tool_calls"] = tool_calls
    else:
        chat.append({"role": "assistant", "content": None, "tool_calls": tool_calls})
    for call in calls:
        chat.append({"role": "tool", "tool_call_id": call.call_id, "content": outputs.get(call.call_id, NO_OUTPUT)})
    calls.clear()


def _json(arguments: str) -> str:
    """The arguments if they are a JSON object, else an empty one: several servers parse them for their template."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except ValueError:
        return "{}"
