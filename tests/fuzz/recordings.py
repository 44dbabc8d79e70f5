"""What is kept of calls: conversations in the journal, transcripts of recordings, and what is masked in them."""

from __future__ import annotations

import re

from fuzz.harness import Fuzzer
from fuzz.mutation import mutated_json
from talkover.realtime.events import encode_event
from talkover.realtime.snapshot import SnapshotUnreadable, decode, encode, entries_of
from talkover.recording.export import AGENT, USER, redacted_transcript
from talkover.recording.redaction import masked, redacted
from talkover.recording.transcript import decoded, encoded, readable

_LONG_NUMBER = re.compile(r"\d{3}")
_EMAIL = re.compile(r"[a-z0-9]@[a-z0-9]+\.[a-z]{2}", re.ASCII)


def fuzz_kept_session(data: bytes) -> None:
    """The first line is the state, the others are items: what is read is stored again as it was, and can be told."""
    state, *items = data.split(b"\n")
    try:
        snapshot = decode(state, items)
    except SnapshotUnreadable:
        return
    assert decode(encode(snapshot.state), map(encode, snapshot.items)) == snapshot
    for entry in entries_of(snapshot.items):
        encode_event(entry.wire_item.wire())
        assert len(entry.heard_text) <= max(len(entry.item.text), len(entry.ledger.text) if entry.ledger else 0)
        if entry.ledger is not None:
            heard = [entry.ledger.heard_chars(played_ms) for played_ms in (-1.0, 0.0, 500.0, 1e9)]
            assert all(0 <= chars <= len(entry.ledger.text) for chars in heard)


def fuzz_recording_transcript(data: bytes) -> None:
    """What is read is written again as it was, readable line by line, and exported without what is masked."""
    try:
        transcript = decoded(data)
    except ValueError:
        return
    assert decoded(encoded(transcript)) == transcript
    head, _, lines = readable(transcript).partition("\n\n")
    assert head.count("\n") <= 3 + len(transcript.unrecorded_ms)
    assert lines.splitlines() == lines.split("\n")[:-1]
    assert lines.count("\n") == len(transcript.items)
    export, silenced = redacted_transcript(transcript)
    assert export.redacted
    assert export.caller is None
    assert redacted_transcript(export) == (export, [])
    for item, shown in zip(transcript.items, export.items, strict=True):
        _check_masked(shown.text)
        _check_masked(shown.unheard)
        assert shown.words == (() if masked(item.text) else item.words)
    assert all(channel in (USER, AGENT) for channel, _, _ in silenced)


def fuzz_redaction(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    end = 0
    for stretch in masked(text):
        assert end <= stretch.start < stretch.end <= len(text)
        end = stretch.end
    _check_masked(redacted(text))


def _check_masked(shown: str) -> None:
    """By the finder, and by a simpler one."""
    assert masked(shown) == []
    assert not _LONG_NUMBER.search(shown)
    assert not _EMAIL.search(shown)


FUZZERS = (
    Fuzzer("kept_session", fuzz_kept_session, mutate=mutated_json),
    Fuzzer("recording_transcript", fuzz_recording_transcript, mutate=mutated_json),
    Fuzzer("redaction", fuzz_redaction, 2048),
)
