"""One response as a state machine: results of the stages in, server events in the right order out. No I/O."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Any, Literal

from talkover.messages import CallDelta, TextDelta, Usage, WireAudio, Word
from talkover.metrics import Timeline, TurnMetrics
from talkover.pipeline.ledger import HeardLedger
from talkover.realtime.actions import Outbox
from talkover.realtime.conversation import Conversation, Entry
from talkover.realtime.fields import JsonObject
from talkover.realtime.items import ContentPart, Item, Status
from talkover.realtime.settings import ResponsePlan

ResponseStatus = Literal["in_progress", "completed", "cancelled", "incomplete", "failed"]


@dataclass(slots=True)
class _Message:
    """The message being spoken or written."""

    item: Item
    output_index: int
    ledger: HeardLedger
    text: str = ""


class Response:
    """Everything a client gets to see of one response, from `created` to exactly one `done`."""

    def __init__(
        self,
        response_id: str,
        generation: int,
        plan: ResponsePlan,
        conversation: Conversation | None,
        outbox: Outbox,
        timeline: Timeline,
        item_id: str | None = None,
    ) -> None:
        """`conversation` is None for an out-of-band response; `item_id` names the user's turn it answers."""
        self.id = response_id
        self.source_id = response_id
        """the id under which the pipeline makes it: another one when it goes on after a stop, or was made ahead"""
        self.generation = generation
        self.plan = plan
        self.timeline = timeline
        self.item_id = item_id
        self.status: ResponseStatus = "in_progress"
        self.dispatched = False
        self.deadline_s = 0.0
        """the watchdog gives up on it then"""
        self.failure: JsonObject | None = None
        """why it has failed; it ends when the apology for that was heard"""
        self.audio_ms = 0.0
        self.synthesized_at_s = 0.0
        """when its newest audio was made"""
        self._conversation = conversation
        self._outbox = outbox
        self._output: list[Item] = []
        self._message: _Message | None = None
        self.entry: Entry | None = None
        """the newest message, with its ledger"""
        self.is_interjection = False
        """a re-prompt, the bridge of a tool's wait and the like: what it says is none of the LLM's"""
        self.has_called_server = False
        """tools run for it: the wait from there on is theirs"""
        self.continues = ""
        """what was heard of it before it was broken off"""
        self._call_arguments = ""
        self._segment_offset = 0
        """characters put before the segment's own text, less those it lost at its beginning"""
        self._segment_lead_ms = 0.0
        """what the segment's audio lost at its beginning"""

    @property
    def output(self) -> tuple[Item, ...]:
        """The items so far."""
        return tuple(self._output)

    @property
    def is_empty(self) -> bool:
        """Nothing came of it, in words or deeds; one that goes on may have nothing left to say."""
        return not self._output and not self.has_called_server and self.source_id == self.id

    @property
    def message_id(self) -> str | None:
        """Id of the message being spoken."""
        return None if self._message is None else self._message.item.id

    def announce(self) -> None:
        self._outbox.send({"type": "response.created", "response": self._wire(None, None)})

    # -------------------------------------------------------------------------------------------------- content

    def text(self, delta: TextDelta) -> None:
        """Text of a written answer."""
        if not delta.text:
            return
        message = self._open_message()
        message.text += delta.text
        self._send_part(message, "response.output_text.delta", delta=delta.text)

    def audio(self, audio: WireAudio) -> tuple[Word, ...]:
        """Speech, with the text of a segment on its first chunk. Returns the words in it, in the item's coordinates."""
        message = self._open_message()
        if audio.text:
            spoken = f" {audio.text}" if _needs_space(message.text, audio.text) else audio.text
            self._segment_offset, self._segment_lead_ms = len(spoken) - len(audio.text), 0.0
            message.ledger.begin_segment(spoken)
            message.text += spoken
            self._send_part(message, "response.output_audio_transcript.delta", delta=spoken)
        offset, lead_ms = self._segment_offset, self._segment_lead_ms
        words = [
            Word(word.start + offset, word.end + offset, word.start_ms - lead_ms, word.end_ms - lead_ms)
            for word in audio.words
        ]
        placed = message.ledger.add_audio(audio.duration_ms, words, audio.segment_end)
        self.audio_ms += audio.duration_ms
        self.synthesized_at_s = audio.synthesized_at_s
        return placed

    def goes_on_inside_segment(self, cut_chars: int, cut_ms: float) -> None:
        """The newest segment lacks its beginning; the words that still come for it count from there."""
        self._segment_offset -= cut_chars
        self._segment_lead_ms = cut_ms

    def send_audio(self, audio: WireAudio) -> None:
        """The audio itself; after whatever tells about its words."""
        if audio.payload:
            delta = binascii.b2a_base64(audio.payload, newline=False).decode("ascii")
            self._send_part(self._open_message(), "response.output_audio.delta", delta=delta)

    def call(self, delta: CallDelta) -> None:
        """A function call. It is shown once it is complete: nobody may act on half of its arguments."""
        self._call_arguments += delta.arguments
        if not delta.last:
            return
        arguments, self._call_arguments = self._call_arguments or "{}", ""
        self._close_message("completed")
        item = Item(
            self._outbox.next_id("item_"),
            "function_call",
            "in_progress",
            call_id=delta.call_id,
            name=delta.name,
            arguments="",
        )
        index = self._add_item(Entry(item))
        place: JsonObject = {
            "response_id": self.id,
            "item_id": item.id,
            "output_index": index,
            "call_id": delta.call_id,
        }
        self._outbox.send({"type": "response.function_call_arguments.delta", **place, "delta": arguments})
        self._outbox.send(
            {"type": "response.function_call_arguments.done", **place, "name": delta.name, "arguments": arguments}
        )
        self._finish_item(item.with_arguments(arguments).with_status("completed"), index)

    def call_for_server(self, delta: CallDelta) -> Item | None:
        """A function call that the server runs itself; the item once it is complete.

        It enters the conversation, and is no output of the response: clients run what they find there.
        """
        self._call_arguments += delta.arguments
        if not delta.last or self._conversation is None:
            return None
        arguments, self._call_arguments = self._call_arguments or "{}", ""
        self._close_message("completed")
        self.has_called_server = True
        item_id = self._outbox.next_id("item_")
        item = Item(item_id, "function_call", call_id=delta.call_id, name=delta.name, arguments=arguments)
        previous = self._conversation.append(Entry(item, runs_here=True))
        for event_type in ("conversation.item.added", "conversation.item.done"):
            self._outbox.send({"type": event_type, "previous_item_id": previous, "item": item.wire()})
        return item

    # ------------------------------------------------------------------------------------------------------ end

    def break_off(self) -> None:
        """What was being said ends here; what follows is a message of its own."""
        self._call_arguments = ""
        self._close_message("incomplete")

    def finish(self, status: ResponseStatus, details: JsonObject | None = None, usage: Usage | None = None) -> None:
        """Close whatever is open, then the response. Nothing of it may be sent afterwards."""
        self._close_message("completed" if status == "completed" else "incomplete")
        self.status = status
        self._outbox.send({"type": "response.done", "response": self._wire(details, usage or Usage())})

    def turn_metrics(self, reason: str | None, usage: Usage | None, interrupted_at_ms: int | None) -> TurnMetrics:
        """The numbers of it, now that it has ended."""
        first_audio_s = self.timeline.at_s("tts_first_audio")
        tts_rtf = None
        if first_audio_s is not None and self.audio_ms:
            tts_rtf = max(0.0, self.synthesized_at_s - first_audio_s) * 1000 / self.audio_ms
        return TurnMetrics.of(
            self.timeline,
            item_id=self.item_id,
            response_id=self.id,
            status=self.status,
            reason=reason,
            audio_ms=self.audio_ms,
            tts_rtf=tts_rtf,
            interrupted_at_ms=interrupted_at_ms,
            usage=usage,
        )

    def _wire(self, details: JsonObject | None, usage: Usage | None) -> JsonObject:
        conversation = self._conversation
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self.status,
            "status_details": details,
            "output": [item.wire() for item in self._output],
            "conversation_id": None if conversation is None else conversation.id,
            "usage": None if usage is None else usage_wire(usage),
            **self.plan.wire(),
        }

    # ------------------------------------------------------------------------------------------ items and parts

    def _open_message(self) -> _Message:
        if self._message is not None:
            return self._message
        item = Item(self._outbox.next_id("item_"), "message", "in_progress", "assistant")
        ledger = HeardLedger()
        entry = Entry(item, ledger=ledger if self.plan.modality == "audio" else None)
        entry.is_interjection = self.is_interjection
        self.entry = entry
        message = self._message = _Message(item, self._add_item(entry), ledger)
        self._send_part(message, "response.content_part.added", part=self._part(""))
        return message

    def _close_message(self, status: Status) -> None:
        message, self._message = self._message, None
        if message is None:
            return
        text = message.text
        if self.plan.modality == "audio":
            content = ContentPart("output_audio", transcript=text)
            self._send_part(message, "response.output_audio.done")
            self._send_part(message, "response.output_audio_transcript.done", transcript=text)
        else:
            content = ContentPart("output_text", text=text)
            self._send_part(message, "response.output_text.done", text=text)
        self._send_part(message, "response.content_part.done", part=self._part(text))
        self._finish_item(message.item.with_content(content).with_status(status), message.output_index)

    def _add_item(self, entry: Entry) -> int:
        index = len(self._output)
        self._output.append(entry.item)
        self._outbox.send(
            {
                "type": "response.output_item.added",
                "response_id": self.id,
                "output_index": index,
                "item": entry.item.wire(),
            }
        )
        if self._conversation is not None:
            previous = self._conversation.append(entry)
            self._outbox.send(
                {"type": "conversation.item.added", "previous_item_id": previous, "item": entry.item.wire()}
            )
        return index

    def _finish_item(self, item: Item, index: int) -> None:
        self._output[index] = item
        if self._conversation is not None and self._conversation.replace(item):
            previous = self._conversation.previous_id(item.id)
            self._outbox.send({"type": "conversation.item.done", "previous_item_id": previous, "item": item.wire()})
        self._outbox.send(
            {
                "type": "response.output_item.done",
                "response_id": self.id,
                "output_index": index,
                "item": item.wire(),
            }
        )

    def _part(self, text: str) -> JsonObject:
        if self.plan.modality == "audio":
            return {"type": "audio", "transcript": text}
        return {"type": "text", "text": text}

    def _send_part(self, message: _Message, event_type: str, **fields: Any) -> None:
        self._outbox.send(
            {
                "type": event_type,
                "response_id": self.id,
                "item_id": message.item.id,
                "output_index": message.output_index,
                "content_index": 0,
                **fields,
            }
        )


def usage_wire(usage: Usage) -> JsonObject:
    """The usage object; what the LLM does not tell is 0, never null."""
    none = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
    return {
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "input_token_details": {
            **none,
            "text_tokens": usage.input_tokens,
            "cached_tokens": usage.cached_tokens,
            "cached_tokens_details": {**none, "text_tokens": usage.cached_tokens},
        },
        "output_token_details": {"text_tokens": usage.output_tokens, "audio_tokens": 0},
    }


def cancelled(reason: Literal["turn_detected", "client_cancelled"]) -> JsonObject:
    return {"type": "cancelled", "reason": reason}


def incomplete(reason: str) -> JsonObject:
    return {"type": "incomplete", "reason": reason}


def failed(code: str, message: str) -> JsonObject:
    return {"type": "failed", "error": {"type": "server_error", "code": code, "message": message}}


def _needs_space(before: str, after: str) -> bool:
    """Latin segments are joined by a space, Chinese ones by nothing."""
    return bool(before) and not before[-1].isspace() and not after[0].isspace() and min(before[-1], after[0]) < "\u2e80"
