"""The opt-in extension `s2s`: what our own page gets beyond the standard. Silent unless a client asked for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec

from talkover.messages import Source, SourcesFound, Transcript, Word
from talkover.metrics import TurnMetrics
from talkover.realtime.actions import OfferResume, Outbox
from talkover.realtime.conversation import Conversation
from talkover.realtime.fields import JsonObject
from talkover.realtime.settings import S2s
from talkover.realtime.tool_runs import Call

DUCKED_GAIN = 0.25
DUCK_RAMP_MS = 40
RELEASE_RAMP_MS = 120
MAX_HANDED_OVER = 40
"""newest items that a human gets to see"""
MAX_QUOTED_CHARACTERS = 1500
"""of a passage, for people to read"""
MAX_RESUMED_BYTES = 800_000
ENVELOPE_BYTES = 100
"""of an item in a list, its entry in `heard_chars` included"""
PAUSE_FADE_MS = 20
"""hides the click; what is faded out is played again when the fade comes back in"""


class Extension:
    """Sends the events of the groups the client opted in to."""

    def __init__(self, outbox: Outbox, info: JsonObject) -> None:
        """`info`: what `s2s.session.info` tells about this server."""
        self._outbox = outbox
        self._info = info
        self._groups: frozenset[str] = frozenset()
        self._informed = False

    def configure(self, s2s: S2s | None) -> None:
        before, self._groups = self._groups, frozenset(() if s2s is None else s2s.events)
        if "resume" in self._groups - before:
            self._outbox.act(OfferResume())
        if "state" in self._groups and not self._informed:
            self._informed = True
            self._outbox.send({"type": "s2s.session.info", **self._info})

    def restore(self, s2s: S2s | None) -> None:
        """The client opted in earlier, and was told what it has to know."""
        self._groups, self._informed = frozenset(() if s2s is None else s2s.events), True

    def wants(self, group: str) -> bool:
        return group in self._groups

    def partial(self, transcript: Transcript) -> None:
        if self.wants("input_transcript"):
            self._outbox.send(
                {
                    "type": "s2s.input_transcript.updated",
                    "item_id": transcript.item_id,
                    "content_index": 0,
                    "text": transcript.text,
                    "stable_chars": transcript.stable_chars,
                    "audio_end_ms": transcript.audio_end_ms,
                }
            )

    def tags(self, transcript: Transcript) -> None:
        """What the recogniser tells of a final transcript beside its words; nothing when it tells nothing."""
        tags: JsonObject = {
            "language": transcript.language,
            "emotion": transcript.emotion,
            "events": list(transcript.events),
        }
        if any(tags.values()) and self.wants("input_transcript"):
            item: JsonObject = {"item_id": transcript.item_id, "content_index": 0}
            self._outbox.send({"type": "s2s.input_transcript.tags", **item, **tags})

    def sources(self, response_id: str, found: SourcesFound) -> None:
        if self.wants("sources"):
            search: JsonObject = {"response_id": response_id, "search_id": found.search_id}
            self._outbox.send(
                {"type": "s2s.response.search_started", **search, "kind": found.kind, "query": found.query}
            )
            sources = [_source(source) for source in found.sources]
            error = {} if found.error is None else {"error": found.error}
            self._outbox.send({"type": "s2s.response.sources", **search, "sources": sources, **error})

    def words(self, response_id: str, item_id: str, words: Sequence[Word]) -> None:
        if words and self.wants("words"):
            self._outbox.send(
                {
                    "type": "s2s.response.words",
                    "response_id": response_id,
                    "item_id": item_id,
                    "content_index": 0,
                    "words": [
                        {
                            "start": word.start,
                            "end": word.end,
                            "start_ms": round(word.start_ms),
                            "end_ms": round(word.end_ms),
                        }
                        for word in words
                    ],
                }
            )

    def gain(self, ducked: bool) -> None:
        self._outbox.send(
            {
                "type": "s2s.playback.gain",
                "gain": DUCKED_GAIN if ducked else 1.0,
                "ramp_ms": DUCK_RAMP_MS if ducked else RELEASE_RAMP_MS,
                "reason": "speech_onset" if ducked else "speech_dropped",
            }
        )

    def pause(self) -> None:
        """For clients that asked for it: stop at the sample and keep the rest."""
        self._outbox.send({"type": "s2s.playback.pause", "fade_ms": PAUSE_FADE_MS})

    def resume(self) -> None:
        """Play on from that sample, as loud as before."""
        self._outbox.send({"type": "s2s.playback.resume", "fade_ms": PAUSE_FADE_MS})

    def heard(self, item_id: str, transcript: str, heard_chars: int, audio_end_ms: int) -> None:
        if self.wants("words"):
            self._outbox.send(
                {
                    "type": "s2s.item.heard",
                    "item_id": item_id,
                    "transcript": transcript,
                    "heard_chars": heard_chars,
                    "audio_end_ms": audio_end_ms,
                }
            )

    def tool(self, state: str, call: Call, **details: Any) -> None:
        """What a server-side tool does: started, asked (for consent), finished or failed."""
        if self.wants("tools"):
            place: JsonObject = {"response_id": call.batch, "item_id": call.item_id, "call_id": call.call_id}
            self._outbox.send({"type": f"s2s.tool.{state}", **place, "name": call.name, **details})

    def handover(self, reason: str, conversation: Conversation) -> None:
        """A human shall take over: why, and what was said so far."""
        if self.wants("call"):
            said: list[JsonObject] = [
                {"role": entry.item.role, "text": entry.own_text[:MAX_QUOTED_CHARACTERS]}
                for entry in islice(conversation.newest_first(), MAX_HANDED_OVER)
                if entry.item.type == "message" and entry.own_text
            ]
            self._outbox.send({"type": "s2s.handover", "reason": reason, "said": said[::-1]})

    def resumed(self, conversation: Conversation, input_ms: float) -> None:
        """All that a client needs to draw the conversation again, and where to go on sending audio.

        The oldest items are left out where they do not fit into an event.
        """
        items: list[JsonObject] = []
        heard: JsonObject = {}
        room = MAX_RESUMED_BYTES
        entries = conversation.entries()
        for entry in reversed(entries):
            item = entry.wire_item.wire()
            room -= len(msgspec.json.encode(item)) + ENVELOPE_BYTES
            if room < 0:
                break
            items.append(item)
            if entry.is_heard_in_part:
                heard[entry.item.id] = entry.heard_chars
        self._outbox.send(
            {
                "type": "s2s.session.resumed",
                "conversation_id": conversation.id,
                "items": items[::-1],
                "items_left_out": len(entries) - len(items),
                "heard_chars": heard,
                "spoken_item_id": conversation.newest_spoken_id,
                "input_audio_ms": math.floor(input_ms),
            }
        )

    def recording(self, on: bool, reason: str) -> None:
        """Whether what is said is recorded from now on."""
        self._outbox.send({"type": "s2s.recording.updated", "recording": on, "reason": reason})

    def call_ended(self) -> None:
        """The agent hangs up; the connection is closed next."""
        if self.wants("call"):
            self._outbox.send({"type": "s2s.call.ended"})

    def decided(self, decision: str, reason: str, at_ms: float, **details: object) -> None:
        """What turn taking did, and on which grounds; `at_ms` on the clock of the user's audio."""
        if self.wants("decisions"):
            self._outbox.send(
                {
                    "type": "s2s.decision",
                    "decision": decision,
                    "reason": reason,
                    "at_ms": round(at_ms),
                    **details,
                }
            )

    def metrics(self, turn: TurnMetrics) -> None:
        if self.wants("metrics"):
            self._outbox.send({"type": "s2s.turn.metrics", **turn.wire()})


def _source(source: Source) -> JsonObject:
    """A web page is named by its URL, a document by its path; what is not known is left out."""
    place = "url" if source.path.startswith(("http://", "https://")) else "path"
    more = {"heading": source.heading, "location": source.location, "text": source.text[:MAX_QUOTED_CHARACTERS]}
    return {
        "id": source.id,
        "title": source.title,
        place: source.path,
        "snippet": source.snippet,
        "score": round(source.score, 4),
        **{name: value for name, value in more.items() if value},
    }
