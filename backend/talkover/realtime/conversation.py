"""The conversation: items in order, what of them was heard, and the prompt made of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from talkover.audio import INPUT_RATE_HZ, Resampler, encode
from talkover.llm.history import History, Piece
from talkover.llm.summary import summary_prompt
from talkover.llm.token_estimate import estimated_tokens
from talkover.messages import (
    AudioFormat,
    Prompt,
    PromptCall,
    PromptCallOutput,
    PromptMessage,
    Samples,
    SummaryMade,
)
from talkover.pipeline.ledger import HeardLedger
from talkover.realtime.errors import ProtocolError, invalid_value
from talkover.realtime.items import ContentPart, Item, ItemReference
from talkover.realtime.settings import ResponsePlan

MAX_ITEMS = 1000
MAX_CHARACTERS = 4_000_000
MAX_AUDIO_SAMPLES = 120 * INPUT_RATE_HZ
"""input audio kept for `conversation.item.retrieve`: the last two minutes of speech"""
MAX_PROMPT_MESSAGES = 200

ROOT = "root"


@dataclass(slots=True)
class Entry:
    """An item and what we know of it beyond the wire."""

    item: Item
    ledger: HeardLedger | None = None
    """of our own spoken messages"""
    heard_chars: int | None = None
    """where the user stopped hearing it; None: heard to the end, or still being spoken"""
    goes_on: bool = False
    """what was not heard of it is said by a later item"""
    filler_chars: int = 0
    """at its head, said to bridge the wait: the user heard them, the LLM never said them"""
    is_interjection: bool = False
    """all of it is none of the LLM's, see `phrases.py`"""
    uncertain: bool = False
    emotion: str | None = None
    events: tuple[str, ...] = ()
    language: str | None = None
    runs_here: bool = False
    """a function call that the server carries out"""
    audio: NDArray[np.int16] | None = None
    """(n,) at 16 kHz, of user speech"""
    audio_format: AudioFormat = field(default_factory=AudioFormat)

    @property
    def cut_off(self) -> bool:
        """The user will not hear the rest."""
        return self.is_heard_in_part and not self.goes_on

    @property
    def is_heard_in_part(self) -> bool:
        return self.heard_chars is not None and self.heard_chars < len(self.item.text.rstrip())

    @property
    def ledger_text(self) -> str:
        """What has been spoken of it so far, also while its item is still open."""
        return "" if self.ledger is None else self.ledger.text

    @property
    def wire_item(self) -> Item:
        """The item as far as it is known: of one still being spoken, what was said by now."""
        if self.item.status != "in_progress" or self.ledger is None:
            return self.item
        return self.item.with_content(ContentPart("output_audio", transcript=self.ledger.text))

    @property
    def heard_text(self) -> str:
        text = self.item.text
        return text if self.heard_chars is None else text[: self.heard_chars].rstrip()

    @property
    def own_text(self) -> str:
        """What was heard of the speaker's own words, without anything said to fill a wait."""
        if self.is_interjection:
            return ""
        return self.heard_text[self.filler_chars :].lstrip() if self.filler_chars else self.heard_text

    @property
    def is_of_llm_or_user(self) -> bool:
        """It counts for the LLM: no message of the agent without a word of its own."""
        return self.item.type != "message" or self.item.role != "assistant" or bool(self.own_text)


class Conversation:
    """The default conversation of a session. Bounded: the oldest items are forgotten first."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self._entries: dict[str, Entry] = {}
        self._order: list[str] = []
        self.history: History | None = None
        """keeps prompts within their budget; None: they hold all there is"""
        self.known: tuple[str, ...] = ()
        """what the caller agreed to have remembered earlier"""

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._entries

    def get(self, item_id: str) -> Entry | None:
        return self._entries.get(item_id)

    @property
    def last_id(self) -> str | None:
        return self._order[-1] if self._order else None

    def newest_first(self) -> Iterator[Entry]:
        """All entries, from the end."""
        return (self._entries[item_id] for item_id in reversed(self._order))

    @property
    def newest_spoken_id(self) -> str | None:
        """The agent's newest message that has sound."""
        return next((entry.item.id for entry in self.newest_first() if entry.ledger is not None), None)

    def last_user_text(self) -> str:
        """What the user said last; empty when nothing was said."""
        entries = (self._entries[item_id].item for item_id in reversed(self._order))
        return next((item.text for item in entries if item.role == "user" and item.text.strip()), "")

    def previous_id(self, item_id: str) -> str | None:
        index = self._order.index(item_id)
        return self._order[index - 1] if index else None

    def append(self, entry: Entry) -> str | None:
        """Add at the end. Returns the id of the item before it."""
        return self._insert(entry, len(self._order))

    def create(self, item: Item, previous_item_id: str | None) -> str | None:
        """Add what a client created, after `previous_item_id`. Returns the id before it. Raises ProtocolError."""
        if item.id in self._entries:
            raise ProtocolError("invalid_value", f"item.id must be new, {item.id!r} exists already", "item.id")
        if item.type == "function_call_output" and not any(
            entry.item.type == "function_call" and entry.item.call_id == item.call_id
            for entry in self._entries.values()
        ):
            raise invalid_value("item.call_id", "the call_id of a function call in the conversation", item.call_id)
        if previous_item_id is None:
            index = len(self._order)
        elif previous_item_id == ROOT:
            index = 0
        elif previous_item_id in self._entries:
            index = self._order.index(previous_item_id) + 1
        else:
            raise invalid_value("previous_item_id", "the id of an item of the conversation, or root", previous_item_id)
        return self._insert(Entry(item), index)

    def replace(self, item: Item) -> bool:
        """Store a newer state of an item; False when it was deleted meanwhile."""
        entry = self._entries.get(item.id)
        if entry is None:
            return False
        entry.item = item
        return True

    def restore(self, entries: Iterable[Entry], summary: str, summarised: Iterable[str]) -> None:
        """Become the conversation that was stored. This one must be empty."""
        for entry in entries:
            self.append(entry)
        if self.history is not None:
            self.history.restore(summary, summarised)

    def delete(self, item_id: str) -> None:
        del self._entries[item_id]
        self._order.remove(item_id)

    def heard_item(self, entry: Entry) -> Item:
        """The item as a client may retrieve it: cut to what was heard, with the input audio in its wire format."""
        item = entry.item
        if entry.audio is not None and item.content:
            resampler = Resampler(INPUT_RATE_HZ, entry.audio_format.rate_hz)
            samples = resampler.feed((entry.audio / 32768).astype(np.float32), last=True)
            part = replace(item.content[0], audio=encode(samples, entry.audio_format.encoding))
            return item.with_content(part, *item.content[1:])
        if entry.is_heard_in_part and item.content:
            return item.with_transcript(entry.heard_text)
        return item

    def entries(self) -> list[Entry]:
        """In order."""
        return [self._entries[item_id] for item_id in self._order]

    def keep_audio(self, item_id: str, samples: Samples, audio_format: AudioFormat) -> None:
        """Remember the user's audio, as int16, dropping the oldest over the limit."""
        entry = self._entries.get(item_id)
        if entry is None:
            return
        entry.audio = np.clip(samples * 32768, -32768, 32767).astype(np.int16)
        entry.audio_format = audio_format
        total = 0
        for other_id in reversed(self._order):
            other = self._entries[other_id]
            if other.audio is not None:
                total += other.audio.size
                if total > MAX_AUDIO_SAMPLES:
                    other.audio = None

    def prompt(self, plan: ResponsePlan, *coming: PromptMessage) -> Prompt:
        """What the LLM gets to see: what was said by the user and what was heard of us, and what is about to be."""
        if plan.input is None:
            entries = self._entries_within_budget()
        else:
            inputs = [self._input(element) for element in plan.input]
            entries = [entry for entry in inputs if entry is not None]
        return Prompt(
            instructions=plan.instructions,
            messages=(*prompt_messages(entries), *coming)[-MAX_PROMPT_MESSAGES:],
            tools=plan.tools,
            tool_choice=plan.tool_choice,
            max_output_tokens=plan.max_output_tokens,
            spoken=plan.modality == "audio",
            summary=self.history.summary if self.history is not None and plan.input is None else "",
            known=self.known if plan.input is None else (),
        )

    def summary_wanted(self) -> Prompt | None:
        """What to ask a model for, so that later prompts stay within their budget; None when nothing is due."""
        if self.history is None or (span := self.history.to_summarise(self._pieces())) is None:
            return None
        entries = [self._entries[item_id] for item_id in self._order[slice(*span)]]
        return summary_prompt(self.history.summary, tuple(prompt_messages(entries)))

    def summarised(self, made: SummaryMade) -> None:
        """What was asked for came, or failed."""
        if self.history is not None and made.text:
            self.history.summarised(made.text)
        elif self.history is not None:
            self.history.failed(self._pieces())

    def _entries_within_budget(self) -> list[Entry]:
        start = 0 if self.history is None else self.history.start(self._pieces())
        return [self._entries[item_id] for item_id in self._order[start:]]

    def _pieces(self) -> list[Piece]:
        """The conversation as far as its size matters."""
        return [
            Piece(item_id, estimated_tokens(_all_text(entry.item)), entry.item.role == "user")
            for item_id, entry in ((item_id, self._entries[item_id]) for item_id in self._order)
        ]

    def check_inputs(self, plan: ResponsePlan) -> None:
        """Raises ProtocolError when the plan refers to an unknown item."""
        for index, element in enumerate(plan.input or ()):
            if self._input(element) is None:
                raise invalid_value(f"response.input[{index}].id", "the id of an item of the conversation", element.id)

    def _input(self, element: Item | ItemReference) -> Entry | None:
        return self._entries.get(element.id) if isinstance(element, ItemReference) else Entry(element)

    def _insert(self, entry: Entry, index: int) -> str | None:
        previous = self._order[index - 1] if index else None
        self._entries[entry.item.id] = entry
        self._order.insert(index, entry.item.id)
        while len(self._order) > MAX_ITEMS or (len(self._order) > 1 and self._characters() > MAX_CHARACTERS):
            self.delete(self._order[0])
        return previous

    def _characters(self) -> int:
        return sum(
            len(entry.item.text) + len(entry.item.output or "") + len(entry.item.arguments or "")
            for entry in self._entries.values()
        )


def _all_text(item: Item) -> str:
    return "".join((item.text, item.arguments or "", item.output or ""))


def prompt_messages(entries: Iterable[Entry]) -> Iterable[PromptMessage | PromptCall | PromptCallOutput]:
    """Entries as prompt messages; unfinished and unheard ones are left out, and what only filled a wait."""
    for entry in results_with_calls([entry for entry in entries if entry.is_of_llm_or_user]):
        item = entry.item
        match item.type:
            case "function_call":
                if item.status != "in_progress":
                    yield PromptCall(item.call_id or "", item.name or "", item.arguments or "{}")
            case "function_call_output":
                yield PromptCallOutput(item.call_id or "", item.output or "")
            case "message":
                yield PromptMessage(
                    item.role or "user",
                    entry.own_text,
                    entry.cut_off,
                    entry.uncertain,
                    entry.emotion,
                    entry.events,
                    entry.language,
                )


def results_with_calls(entries: list[Entry]) -> Iterator[Entry]:
    """Entries in order, but a function call that had to wait for its output stands where that came.

    What was said meanwhile comes first then: to the LLM the result is the newest thing, though the call is not.
    """
    late: dict[str, Entry] = {}
    said_since: set[str] = set()
    calls: dict[str, Entry] = {}
    for entry in entries:
        call_id = entry.item.call_id or ""
        if entry.item.type == "function_call":
            calls[call_id] = entry
        elif entry.item.type == "message":
            said_since |= calls.keys()
        elif call_id in calls and call_id in said_since:
            late[call_id] = calls[call_id]
    for entry in entries:
        call_id = entry.item.call_id or ""
        if entry.item.type == "function_call" and late.get(call_id) is entry:
            continue
        if entry.item.type == "function_call_output" and call_id in late:
            yield late[call_id]
        yield entry
