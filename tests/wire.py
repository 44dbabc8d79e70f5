"""A client that sees every frame, and what stock clients expect of the events in them."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from recordings import FRAME_MS, frames
from talkover.audio import OUTPUT_RATE_HZ, samples_to_pcm16
from talkover.messages import Samples

STOCK_MAX_FRAME_BYTES = 1 << 20
"""what a stock client is willing to receive"""

Event = dict[str, Any]


# ------------------------------------------------------------------------------------------------- validating events

_MODELS: dict[str, type[BaseModel]] = {
    typing.get_args(model.model_fields["type"].annotation)[0]: model
    for model in typing.get_args(typing.get_args(RealtimeServerEvent)[0])
}
_LEFT_OUT_BY_THE_MODELS = {"session.id", "session.object", "session.expires_at"}
"""sent by OpenAI and read by clients, though the SDK's model of the session does not name them"""


def check_event(event: Event) -> None:
    """A stock client must understand `event` to the last key. Raises AssertionError."""
    model = _MODELS.get(event["type"])
    assert model is not None, f"stock clients do not know {event['type']}"
    parsed = model.model_validate(event, strict=True)
    unknown = [path for path in _unknown_keys(parsed) if path not in _LEFT_OUT_BY_THE_MODELS]
    assert not unknown, f"{event['type']} has keys that stock clients do not know: {unknown}"


def _unknown_keys(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _unknown_keys(part, path)
    if not isinstance(value, BaseModel):
        return
    prefix = f"{path}." if path else ""
    yield from (prefix + key for key in value.model_extra or {})
    for name in type(value).model_fields:
        yield from _unknown_keys(getattr(value, name), prefix + name)


def check_order(events: Sequence[Event]) -> None:
    """The rules of order that hold for every stream: see section 8 of the protocol. Raises AssertionError."""
    assert events[0]["type"] == "session.created"
    ids = [event["event_id"] for event in events]
    assert len(ids) == len(set(ids))
    active: set[str] = set()
    done: set[str] = set()
    known_items: set[str] = set()
    for event in events:
        kind = event["type"]
        response_id = event.get("response_id") or event.get("response", {}).get("id")
        assert response_id not in done, f"{kind} of a response that was done"
        if kind == "response.created":
            if event["response"]["conversation_id"] is not None:
                assert not active, "two active responses"
                active.add(response_id)
        elif kind == "response.done":
            active.discard(response_id)
            done.add(response_id)
        if kind == "conversation.item.added":
            known_items.add(event["item"]["id"])
        if event.get("previous_item_id") is not None:
            assert event["previous_item_id"] in known_items


# ------------------------------------------------------------------------------------------------------------ client


class WireClient:
    """A client that speaks frames. Whatever it receives is kept, and checked with the models of a stock client."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] | None = None,
        origin: str | None = None,
        tls: ssl.SSLContext | None = None,
        raw_socket: socket.socket | None = None,
        max_queue: int | None = None,
        check: bool = True,
    ) -> None:
        """`max_queue`: how many frames are read ahead; none: all."""
        self.connection = connect(
            url,
            additional_headers=headers,
            subprotocols=subprotocols,  # pyright: ignore[reportArgumentType]
            origin=origin,  # pyright: ignore[reportArgumentType]
            ssl=tls,
            sock=raw_socket,
            compression=None,
            max_size=STOCK_MAX_FRAME_BYTES,
            max_queue=max_queue,
            proxy=None,
            ping_interval=None,
            close_timeout=5,
        )
        self.events: list[Event] = []
        self.arrived_s: list[float] = []
        """monotonic time at which each event was read"""
        self._check = check

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    # sending

    def send(self, event_type: str, **fields: Any) -> None:
        self.send_raw(json.dumps({"type": event_type, **fields}))

    def send_raw(self, frame: str | bytes) -> None:
        self.connection.send(frame)

    def update(self, **session: Any) -> Event:
        """Change the session. Returns the effective session object."""
        self.send("session.update", session={"type": "realtime", **session})
        return self.until("session.updated")["session"]

    def say(self, samples: Samples) -> None:
        """Microphone audio, faster than real time."""
        for piece in frames(samples):
            self.append(samples_to_pcm16(piece))

    def say_live(self, samples: Samples, rate_hz: int = OUTPUT_RATE_HZ, encode: Any = samples_to_pcm16) -> None:
        """Microphone audio in real time; what the server sends meanwhile is read."""
        due_s = time.monotonic()
        for piece in frames(samples, rate_hz):
            due_s += FRAME_MS / 1000
            self.append(encode(piece))
            while (left_s := due_s - time.monotonic()) > 0:
                self.poll(left_s)

    def append(self, payload: bytes) -> None:
        self.send("input_audio_buffer.append", audio=base64.b64encode(payload).decode())

    def ask(self, text: str) -> None:
        self.add_text(text)
        self.send("response.create")

    def add_text(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})

    # receiving

    def poll(self, timeout_s: float) -> Event | None:
        """The next event; None when none comes in time. Raises ConnectionClosed."""
        try:
            frame = self.connection.recv(timeout_s)
        except TimeoutError:
            return None
        event: Event = json.loads(frame)
        self.events.append(event)
        self.arrived_s.append(time.monotonic())
        if self._check:
            check_event(event)
        return event

    def next(self, timeout_s: float = 10.0) -> Event:
        event = self.poll(timeout_s)
        assert event is not None, f"nothing came; so far: {self.types()[-20:]}"
        return event

    def until(self, event_type: str, timeout_s: float = 10.0) -> Event:
        """Read on until an event of this type."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            event = self.poll(left_s)
            if event is not None and event["type"] == event_type:
                return event
        raise AssertionError(f"no {event_type}; so far: {self.types()[-20:]}")

    def nth(self, event_type: str, count: int = 1, timeout_s: float = 10.0) -> Event:
        """The `count`-th event of this type since the beginning; read on when it has not come yet."""
        while len(self.of(event_type)) < count:
            self.until(event_type, timeout_s)
        return self.of(event_type)[count - 1]

    def read_for(self, duration_s: float) -> list[Event]:
        """Everything that comes in the next `duration_s`."""
        before = len(self.events)
        deadline = time.monotonic() + duration_s
        while (left_s := deadline - time.monotonic()) > 0:
            self.poll(left_s)
        return self.events[before:]

    def round_trip(self) -> list[Event]:
        """What was sent until now has been handled when this returns; returns what came of it."""
        before = len(self.events)
        self.send("conversation.item.retrieve", item_id="nowhere", event_id="round_trip")
        while (event := self.next())["type"] != "error" or event["error"]["event_id"] != "round_trip":
            pass
        return self.events[before:-1]

    def closed(self, timeout_s: float = 10.0) -> tuple[int, str]:
        """Code and reason with which the server closes."""
        deadline = time.monotonic() + timeout_s
        try:
            while (left_s := deadline - time.monotonic()) > 0:
                self.poll(left_s)
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
        raise AssertionError("the connection was not closed")

    # what can be asked

    def of(self, event_type: str) -> list[Event]:
        return [event for event in self.events if event["type"] == event_type]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def audio(self, response_id: str | None = None) -> bytes:
        """All audio received, or that of one response."""
        deltas = self.of("response.output_audio.delta")
        return b"".join(
            base64.b64decode(event["delta"]) for event in deltas if response_id in (None, event["response_id"])
        )

    def transcript(self, response_id: str) -> str:
        deltas = self.of("response.output_audio_transcript.delta")
        return "".join(event["delta"] for event in deltas if event["response_id"] == response_id)
