"""Keeps a model's `<think> ... </think>` out of what is spoken, however the stream cuts it. Pure.

Only thoughts before the answer are left out: later on the tag is text like any other. Of a template that puts the
opening tag into the prompt only the closing tag arrives; it is dropped, the thoughts before it cannot be recognised.
"""

from __future__ import annotations

from enum import Enum

_TAGS = {"<think>": "</think>", "<thinking>": "</thinking>"}


class _State(Enum):
    BEFORE = "nothing but white space so far"
    INSIDE = "in the thoughts"
    ANSWER = "in the answer"


class ThoughtFilter:
    """Feed it the pieces of a stream; it returns what may be spoken."""

    def __init__(self) -> None:
        self._state = _State.BEFORE
        self._held = ""
        self._closing = ""

    def feed(self, text: str) -> str:
        """The speakable part of `text` and of what was held back, as far as it is certain."""
        self._held += text
        if self._state is _State.BEFORE:
            self._begin()
        while self._state is _State.INSIDE and self._skipped():
            self._begin()
        if self._state is _State.ANSWER:
            return self._answer()
        return ""

    def flush(self) -> str:
        """What was held back when the stream ended; unfinished thoughts stay unspoken."""
        held = "" if self._state is _State.INSIDE else self._held
        self._held = ""
        return held

    def _begin(self) -> None:
        stripped = self._held.lstrip()
        for opening, closing in _TAGS.items():
            if stripped.startswith(opening):
                self._state, self._closing = _State.INSIDE, closing
                self._held = stripped[len(opening) :]
                return
        if stripped and not any(opening.startswith(stripped) for opening in _TAGS):
            self._state, self._held = _State.ANSWER, stripped

    def _skipped(self) -> bool:
        """Drop what is known to be thought; whether its end was found."""
        before, closing, after = self._held.partition(self._closing)
        if not closing:
            self._held = before[-len(self._closing) :]
            return False
        self._held, self._state = after, _State.BEFORE
        return True

    def _answer(self) -> str:
        text = self._held
        for closing in _TAGS.values():
            text = text.replace(closing, "")
        kept = max(
            (
                length
                for closing in _TAGS.values()
                for length in range(1, len(closing))
                if text.endswith(closing[:length])
            ),
            default=0,
        )
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]
