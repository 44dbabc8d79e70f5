"""The voices that a speech server lists, in whatever shape it does. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from talkover.engines import Voice

OPENAI_VOICE_NAMES = (
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "fable",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
)
"""of OpenAI's speech endpoint, which has no list"""
MAX_VOICES = 500
_MAX_NAME_CHARS = 64
_LANGUAGE_CHARS = 35
"""longest language tag worth keeping (RFC 5646, 4.4.1)"""


def voices_of(document: Any, engine: str) -> list[Voice]:
    """Of a list or of an object that holds one as `data` or `voices`: names, or objects with `id`, `name`, `language`.

    What is no name is left out, and what comes twice.
    """
    if isinstance(document, dict):
        document = document.get("data") or document.get("voices")
    if isinstance(document, dict):  # name -> what is known of it
        document = list(document)
    entries: list[Any] = document if isinstance(document, list) else []
    found = {voice.id: voice for voice in _voices(entries[:MAX_VOICES], engine)}
    return list(found.values())


def _voices(entries: list[Any], engine: str) -> Iterator[Voice]:
    for entry in entries:
        facts: dict[str, Any] = entry if isinstance(entry, dict) else {"id": entry}
        name = _text(facts.get("id"), _MAX_NAME_CHARS) or _text(facts.get("name"), _MAX_NAME_CHARS)
        if name and not any(char.isspace() for char in name):
            yield Voice(
                name,
                _text(facts.get("name"), _MAX_NAME_CHARS) or name,
                _text(facts.get("language"), _LANGUAGE_CHARS) or "und",
                engine,
                _text(facts.get("gender"), 20),
            )


def _text(value: Any, max_chars: int) -> str:
    """A printable string, "" for anything else."""
    return value if isinstance(value, str) and value.isprintable() and len(value) <= max_chars else ""
