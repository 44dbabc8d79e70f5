"""A conversation as it stands, as data: to be stored, and to go on from in another process. Pure.

What is heard of an answer counts up to the moment of the snapshot, as if the user had been cut off then. Audio is not
kept: of an utterance whose words are not known yet only its beginning is, from where the client can send it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from talkover.pipeline.ledger import HeardLedger, LedgerState, Playback
from talkover.realtime.conversation import Conversation, Entry
from talkover.realtime.items import ContentPart, Item
from talkover.realtime.owed import Owed
from talkover.realtime.settings import SessionSettings

VERSION = 1
"""of what is stored: another one is not read"""
OUTCOME_UNKNOWN = '{"error": "The server was restarted. Whether this was carried out is not known."}'
"""what the model is told of a call that ran when the process ended: it is never run again by itself"""


@dataclass(frozen=True, slots=True)
class ItemSnapshot:
    """An item and what was heard of it; see `Entry`."""

    item: Item
    ledger: LedgerState | None = None
    heard_chars: int | None = None
    goes_on: bool = False
    filler_chars: int = 0
    is_interjection: bool = False
    uncertain: bool = False
    emotion: str | None = None
    events: tuple[str, ...] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class SessionState:
    """Everything but the items."""

    session_id: str
    conversation_id: str
    model: str
    expires_at: int
    """seconds since the epoch"""
    settings: SessionSettings
    order: tuple[str, ...]
    """ids of the items"""
    summary: str = ""
    summarised: tuple[str, ...] = ()
    """ids of the items that `summary` stands for"""
    input_ms: float = 0.0
    """of the user's audio: what came before is in the conversation, or was none"""
    owed: Owed | None = None
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One conversation."""

    state: SessionState
    items: tuple[ItemSnapshot, ...]
    """in order"""


class SnapshotUnreadable(Exception):
    """What was stored is damaged, or of another version."""


# --------------------------------------------------------------------------------------------------------- taking


def item_snapshots(
    conversation: Conversation, playback: Playback, unknown: frozenset[str], now_s: float
) -> tuple[ItemSnapshot, ...]:
    """All items. `unknown` are those of the user whose words have not been recognised: without them they say nothing.

    An answer that still sounds, or of which more is to come, is cut where the user is.
    """
    entries = conversation.entries()
    answered = {entry.item.call_id for entry in entries if entry.item.type == "function_call_output"}
    taken: list[ItemSnapshot] = []
    for entry in entries:
        item = entry.item
        if item.id in unknown or (item.type == "function_call" and item.status == "in_progress"):
            continue
        taken.append(_taken(entry, playback, now_s))
        if item.type == "function_call" and entry.runs_here and item.call_id not in answered:
            output = Item(f"{item.id}_lost", "function_call_output", call_id=item.call_id, output=OUTCOME_UNKNOWN)
            taken.append(ItemSnapshot(output))
    return tuple(taken)


def _taken(entry: Entry, playback: Playback, now_s: float) -> ItemSnapshot:
    item, heard_chars = _without_audio(entry.item), entry.heard_chars
    ledger = entry.ledger
    if item.status == "in_progress":
        text = "" if ledger is None else ledger.text
        item = item.with_content(ContentPart("output_audio", transcript=text)).with_status("incomplete")
    if ledger is not None and heard_chars is None:
        played_ms = playback.played_ms(item.id, now_s)
        is_cut = entry.item.status == "in_progress" or played_ms < playback.sent_ms(item.id)
        heard_chars = ledger.heard_chars(played_ms) if is_cut else None
    return ItemSnapshot(
        item,
        None if ledger is None else ledger.state(),
        heard_chars,
        entry.goes_on,
        entry.filler_chars,
        entry.is_interjection,
        entry.uncertain,
        entry.emotion,
        entry.events,
        entry.language,
    )


def _without_audio(item: Item) -> Item:
    if all(part.audio is None for part in item.content):
        return item
    return item.with_content(*(replace(part, audio=None) for part in item.content))


# ------------------------------------------------------------------------------------------------------- restoring


def entries_of(snapshots: Iterable[ItemSnapshot]) -> Iterable[Entry]:
    """The entries of a conversation that goes on."""
    for kept in snapshots:
        yield Entry(
            kept.item,
            None if kept.ledger is None else HeardLedger.restored(kept.ledger),
            kept.heard_chars,
            kept.goes_on,
            kept.filler_chars,
            kept.is_interjection,
            kept.uncertain,
            kept.emotion,
            kept.events,
            kept.language,
        )


# --------------------------------------------------------------------------------------------------------- storing

_state_decoder = msgspec.json.Decoder(SessionState)
_item_decoder = msgspec.json.Decoder(ItemSnapshot)
encode = msgspec.json.encode


def decode(state: bytes, items: Iterable[bytes]) -> Snapshot:
    """What `encode` made of a state and its items, the latter in any order. Raises SnapshotUnreadable."""
    try:
        read = _state_decoder.decode(state)
        kept = {one.item.id: one for one in map(_item_decoder.decode, items)}
        if read.version != VERSION:
            raise SnapshotUnreadable(f"version {read.version} is stored, {VERSION} is read")
        if not all(one.ledger is None or one.ledger.is_within_text for one in kept.values()):
            raise SnapshotUnreadable("words are stored that lie outside of their text")
        return Snapshot(read, tuple(kept[item_id] for item_id in read.order))
    except (ValueError, KeyError, RecursionError) as error:
        raise SnapshotUnreadable(str(error)) from error
