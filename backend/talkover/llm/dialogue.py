"""What the embedded skills look at and what they give back: one request of the user within its history. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from talkover.knowledge.words import plain_words
from talkover.llm.phrases import Phrases
from talkover.messages import Prompt, PromptMessage, Source

Option = TypeVar("Option")

_OPENING = Phrases(
    """
    (please|okay|ok|hey|hi|hello|so|well|um|uh|hm|hmm|oh|alright|all right|now|just|yes|no|sorry|excuse me) <rest>
    (talkover|talk over|actually|by the way|and then|good (morning|afternoon|evening)) <rest>
    (can|could|would|will) (you|we) [please] <rest>
    (i|we) (want|would like|d like) you to <rest>
    (id like you to|i want to know|do you know|can i ask you) <rest>
    """
)
_CLOSING = Phrases("<rest> (please|now|right now|for me|thank you|thanks|today|then|okay|would you|will you)")


YES = Phrases(
    """
    (yes|yeah|yep|sure|please|okay|ok|of course|certainly|gladly|why not) \
        [yes|please|of course|do|sure|tell me|go ahead|that|it|i would|i do|right|exactly|do that]*
    (go ahead|do that|do it|i do|i would|tell me|thats right|it is) [please|yes]*
    """
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as pieces of text, each a sentence or so, to be streamed one by one."""

    pieces: tuple[str, ...]
    query: str = ""
    """what was searched for, when passages were used"""
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """The user's last words and everything before them."""

    text: str
    history: tuple[PromptMessage, ...]
    """user and assistant messages before it, oldest first"""
    now: datetime
    uncertain: bool = False
    spoken: bool = True
    instructions: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Lower case, without punctuation and apostrophes."""
        return tuple(plain_words(self.text))

    @property
    def said(self) -> str:
        """All its words in one string."""
        return " ".join(self.words)

    @property
    def core(self) -> str:
        """Its words without greeting, fillers and politeness around them; all of them when nothing else is there."""
        core = self.said
        for wrapping in (_OPENING, _CLOSING):
            while (inner := wrapping.match(core)) is not None:
                core = inner["rest"]
        return core

    @property
    def turn(self) -> int:
        """How many user messages came before."""
        return sum(message.role == "user" for message in self.history)

    def one_of(self, options: Sequence[Option]) -> Option:
        """One of several wordings; another one in another turn, always the same one in the same turn."""
        return options[self.turn % len(options)]

    def last(self, role: str) -> PromptMessage | None:
        """The newest earlier message of `role` that has any words."""
        return next((message for message in reversed(self.history) if message.role == role and message.text), None)

    def at(self, index: int) -> Request:
        """The request that the user message `history[index]` made in its time; its clock is today's."""
        message = self.history[index]
        return Request(message.text, self.history[:index], self.now, message.uncertain, self.spoken, self.instructions)


def latest_request(prompt: Prompt, now: datetime) -> Request:
    """The newest user message as a request; with empty text when the conversation does not end with one."""
    spoken = tuple(
        message
        for message in prompt.messages
        if isinstance(message, PromptMessage) and message.role in ("user", "assistant")
    )
    ends_with_user = bool(spoken) and spoken[-1].role == "user"
    return Request(
        text=spoken[-1].text.strip() if ends_with_user else "",
        history=spoken[:-1] if ends_with_user else spoken,
        now=now,
        uncertain=ends_with_user and spoken[-1].uncertain,
        spoken=prompt.spoken,
        instructions=prompt.instructions,
    )


def enumeration(names: Sequence[str], conjunction: str = "and") -> str:
    """`a, b and c`."""
    return f" {conjunction} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
