"""What no stream of server events may ever break, whatever happened: checked event by event."""

from __future__ import annotations

from typing import Any

OPENS = {
    "response.output_item.added": "response.output_item.done",
    "response.content_part.added": "response.content_part.done",
}
PARTS = (
    "response.output_text.",
    "response.output_audio.",
    "response.output_audio_transcript.",
)


class WireRules:
    """Follows the events of one session; raises AssertionError with the event that breaks a rule."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.created: dict[str, dict[str, Any]] = {}
        self.done: dict[str, dict[str, Any]] = {}
        self._event_ids: set[str] = set()
        self._added: dict[tuple[str, str], bool] = {}
        """(response, item) -> it is open"""
        self._parts: dict[tuple[str, str], bool] = {}
        self._items: set[str] = set()
        self._closed_items: set[str] = set()
        self._speaking: str | None = None
        """the item whose speech was announced and has not stopped"""

    def sent(self, event: dict[str, Any]) -> None:
        """The next event."""
        kind = event["type"]
        assert event["event_id"] not in self._event_ids, f"two events have the id of {event}"
        self._event_ids.add(event["event_id"])
        self.events.append(event)
        if not self.events[1:]:
            assert kind == "session.created", kind
        if kind == "response.created":
            self._created(event["response"])
        elif kind == "response.done":
            self._done(event["response"])
        elif kind.startswith("response."):
            self._of_response(kind, event)
        elif kind.startswith("conversation.item."):
            self._of_item(kind, event)
        elif kind == "input_audio_buffer.speech_started":
            assert self._speaking is None, f"speech of {self._speaking} has not stopped: {event}"
            self._speaking = event["item_id"]
        elif kind == "input_audio_buffer.speech_stopped":
            assert self._speaking == event["item_id"], f"speech of {self._speaking} was announced: {event}"
            self._speaking = None
        elif kind == "input_audio_buffer.committed" and self._speaking == event["item_id"]:
            self._speaking = None  # the client committed while the user spoke
        elif kind == "input_audio_buffer.cleared":
            self._speaking = None
        elif kind == "session.updated" and event["session"]["audio"]["input"]["turn_detection"] is None:
            self._speaking = None  # what was announced is the client's to commit

    @property
    def unfinished(self) -> list[str]:
        """Responses without their end."""
        return [response_id for response_id in self.created if response_id not in self.done]

    def _created(self, response: dict[str, Any]) -> None:
        assert response["id"] not in self.created, f"{response['id']} was created before"
        self.created[response["id"]] = response
        if response["conversation_id"] is not None:
            others = [one for one in self.unfinished if self.created[one]["conversation_id"] is not None]
            assert others == [response["id"]], f"{others} are active together"

    def _done(self, response: dict[str, Any]) -> None:
        response_id = response["id"]
        assert response_id in self.created, f"{response_id} ends and was never created"
        assert response_id not in self.done, f"{response_id} ends twice"
        assert response["status"] in ("completed", "cancelled", "incomplete", "failed"), response["status"]
        still_open = [key for key, is_open in [*self._added.items(), *self._parts.items()] if is_open]
        assert not [key for key in still_open if key[0] == response_id], f"{response_id} ends with {still_open} open"
        self.done[response_id] = response

    def _of_response(self, kind: str, event: dict[str, Any]) -> None:
        response_id = event["response_id"]
        assert response_id in self.created, f"{kind} of a response never created"
        assert response_id not in self.done, f"{kind} of a response that is done"
        item_id = event["item"]["id"] if "item" in event else event["item_id"]
        key = (response_id, item_id)
        if kind == "response.output_item.added":
            assert key not in self._added, f"{item_id} was added before"
            assert not [one for one, is_open in self._added.items() if is_open and one[0] == response_id], (
                f"{item_id} is added inside another"
            )
            self._added[key] = True
        elif kind == "response.output_item.done":
            assert self._added.get(key), f"{item_id} is done and not open"
            assert not self._parts.get(key), f"{item_id} is done with its part open"
            self._added[key] = False
        elif kind == "response.content_part.added":
            assert self._added.get(key), f"a part of {item_id}, which is not open"
            self._parts[key] = True
        elif kind == "response.content_part.done":
            assert self._parts.get(key), f"the part of {item_id} is done and not open"
            self._parts[key] = False
        elif kind.startswith(PARTS):
            assert self._parts.get(key), f"{kind} of {item_id}, whose part is not open"
        else:
            assert self._added.get(key), f"{kind} of {item_id}, which is not open"

    def _of_item(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "conversation.item.added":
            item_id = event["item"]["id"]
            assert item_id not in self._items, f"{item_id} was added before"
            previous = event["previous_item_id"]
            assert previous is None or previous in self._items, f"{item_id} follows {previous}, which nobody knows"
            self._items.add(item_id)
        elif kind == "conversation.item.done":
            item_id = event["item"]["id"]
            assert item_id in self._items, f"{item_id} is done before it was added"
            assert item_id not in self._closed_items, f"{item_id} is done twice"
            self._closed_items.add(item_id)
        elif kind == "conversation.item.deleted":
            self._items.discard(event["item_id"])
            self._closed_items.discard(event["item_id"])
