"""A realtime client over a real socket: sends and receives on threads of its own, and plays what arrives.

It behaves as stock web clients do: on `speech_started` it throws away what it has not played and truncates the item to
what was heard. With the extension's `playback` it also ducks, and reports its position.
"""

from __future__ import annotations

import binascii
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from talkover.audio import pcm16_to_samples, samples_to_pcm16
from talkover.client.loudspeaker import Cut
from talkover.messages import Samples

JsonObject = dict[str, Any]

MAX_EVENTS = 20_000
"""events remembered; older ones are forgotten"""
MAX_ANNOUNCED = 16
"""items whose audio may still be under way"""
REPORT_INTERVAL_S = 0.25
"""how often the position of playback is reported"""
OPEN_TIMEOUT_S = 10.0


class ServerUnreachable(Exception):
    """There is no realtime server at the address, or it refuses; the message says which."""


class ServerFull(ServerUnreachable):
    """It has no place now."""

    def __init__(self, message: str, retry_after_s: int | None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """when the server says to come back; None: it does not say"""


class ConversationEnded(OSError):
    """The connection is closed."""


@dataclass(frozen=True, slots=True)
class Received:
    """A server event; audio is left out of it, `bytes` tells how much there was."""

    index: int
    at_s: float
    """monotonic time of arrival"""
    event: JsonObject

    @property
    def type(self) -> str:
        return self.event["type"]


class Player(Protocol):
    """Where audio goes; see `Loudspeaker`."""

    def play(self, item_id: str, samples: Samples, now_s: float) -> None: ...
    def flush(self, now_s: float) -> Cut | None: ...
    def set_gain(self, gain: float, ramp_s: float, now_s: float) -> None: ...
    def playing(self, now_s: float) -> str | None: ...
    def played_ms(self, item_id: str, now_s: float) -> float: ...


class RealtimeClient:
    """One conversation with a server."""

    def __init__(
        self,
        url: str,
        player: Player,
        *,
        key: str | None = None,
        extension: Collection[str] = (),
        on_event: Callable[[Received], None] | None = None,
        open_timeout_s: float = OPEN_TIMEOUT_S,
    ) -> None:
        """`extension` names the groups of `s2s` events to ask for; `on_event` is called on the receiving thread.

        Raises ServerUnreachable.
        """
        self._player = player
        self._reports = "playback" in extension
        self._on_event = on_event
        self._changed = threading.Condition()
        self._events: deque[Received] = deque(maxlen=MAX_EVENTS)
        self._n_events = 0
        self._closed: str | None = None
        self._unfinished: str | None = None
        self._announced: deque[str] = deque(maxlen=MAX_ANNOUNCED)
        self._silenced: frozenset[str] = frozenset()
        self._reported: tuple[str, int] = ("", -1)
        self._next_report_s = 0.0
        self._decode = msgspec.json.Decoder().decode
        self._encode = msgspec.json.Encoder().encode
        self._socket = _connect(url, key, open_timeout_s)
        self._thread = threading.Thread(target=self._receive, name="client", daemon=True)
        self._thread.start()
        if extension:
            self.send({"type": "session.update", "session": {"s2s": {"version": 1, "events": list(extension)}}})

    # ------------------------------------------------------------------------------------------------- sending

    def send(self, event: JsonObject) -> None:
        """Raises ConversationEnded."""
        try:
            self._socket.send(self._encode(event), text=True)
        except ConnectionClosed as error:
            raise ConversationEnded(self._closed or str(error)) from error

    def append(self, samples: Samples) -> None:
        """Send (n,) float32 at 24 kHz of the microphone. Raises ConversationEnded."""
        audio = binascii.b2a_base64(samples_to_pcm16(samples), newline=False).decode("ascii")
        self.send({"type": "input_audio_buffer.append", "audio": audio})

    def say_text(self, text: str) -> None:
        """A typed turn, answered at once. Raises ConversationEnded."""
        content = [{"type": "input_text", "text": text}]
        self.send({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})
        self.send({"type": "response.create"})

    def stop_answer(self) -> None:
        """Cut the answer off, as a stop button does; what of it is still under way is not played.

        Raises ConversationEnded.
        """
        self.send({"type": "response.cancel"})
        with self._changed:
            self._silenced = frozenset(self._announced)
            cut = self._flush(time.monotonic())
        if cut is not None:
            self._truncate(cut)

    def close(self) -> None:
        self._socket.close()
        self._thread.join(2.0)

    # ------------------------------------------------------------------------------------------------ receiving

    @property
    def cursor(self) -> int:
        """Index of the next event."""
        with self._changed:
            return self._n_events

    def events(self, since: int = 0) -> list[Received]:
        with self._changed:
            return [received for received in self._events if received.index >= since]

    def wait(self, event_type: str, timeout_s: float, since: int = 0) -> Received:
        """The first event of a type since the index `since`. Raises TimeoutError, ConversationEnded."""
        found: list[Received] = []

        def look() -> bool:
            found.extend(received for received in self._events if received.index >= since)
            found[:] = [received for received in found if received.type == event_type]
            return bool(found)

        self.wait_until(look, timeout_s, event_type)
        return found[0]

    def wait_until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Until a condition on events and player holds; looked at whenever something arrives, with the lock held.

        Raises TimeoutError, ConversationEnded.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                if self._closed is not None:
                    raise ConversationEnded(self._closed)
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError(f"{what} did not come within {timeout_s:g} s")
                self._changed.wait(left_s)

    def wait_closed(self) -> None:
        """Until the connection ends. Raises ConversationEnded then."""
        with self._changed:
            while self._closed is None:
                self._changed.wait(1.0)
            raise ConversationEnded(self._closed)

    # --------------------------------------------------------------------------------------- the receiving thread

    def _receive(self) -> None:
        try:
            while True:
                try:
                    frame = self._socket.recv(REPORT_INTERVAL_S, decode=False)
                except TimeoutError:
                    frame = None
                now_s = time.monotonic()
                if frame is not None:
                    self._take(self._decode(frame), now_s)
                if self._reports and now_s >= self._next_report_s:
                    self._next_report_s = now_s + REPORT_INTERVAL_S
                    self._report(now_s)
        except (ConnectionClosed, ConversationEnded, ValueError, RecursionError) as error:
            with self._changed:
                self._closed = f"the connection was closed: {error}"
                self._changed.notify_all()

    def _take(self, event: JsonObject, now_s: float) -> None:
        cut: Cut | None = None
        with self._changed:
            match event["type"]:
                case "response.output_item.added":
                    self._announced.append(event["item"]["id"])
                case "response.output_audio.delta":
                    data = binascii.a2b_base64(event["delta"])
                    if event["item_id"] not in self._silenced:
                        self._player.play(event["item_id"], pcm16_to_samples(data), now_s)
                        self._unfinished = event["item_id"]
                    event = {key: value for key, value in event.items() if key != "delta"} | {"bytes": len(data)}
                case "response.output_audio.done":
                    self._unfinished = None if self._unfinished == event["item_id"] else self._unfinished
                case "input_audio_buffer.speech_started":
                    cut = self._flush(now_s)
                case "s2s.playback.gain":
                    self._player.set_gain(event["gain"], event["ramp_ms"] / 1000, now_s)
                case _:
                    pass
            received = Received(self._n_events, now_s, event)
            self._events.append(received)
            self._n_events += 1
            self._changed.notify_all()
        if cut is not None:
            self._truncate(cut)
        if self._on_event is not None:
            self._on_event(received)

    def _flush(self, now_s: float) -> Cut | None:
        cut = self._player.flush(now_s)
        self._player.set_gain(1.0, 0.0, now_s)
        return cut

    def _truncate(self, cut: Cut) -> None:
        self.send(
            {
                "type": "conversation.item.truncate",
                "item_id": cut.item_id,
                "content_index": 0,
                "audio_end_ms": int(cut.played_ms),
            }
        )

    def _report(self, now_s: float) -> None:
        with self._changed:
            item_id = self._player.playing(now_s)
            last_item, last_ms = self._reported
            ended = item_id is None and last_item not in ("", self._unfinished)
            item_id = item_id or (last_item if ended else None)
            if item_id is None:
                return
            played_ms = int(self._player.played_ms(item_id, now_s))
            self._reported = ("", -1) if ended else (item_id, played_ms)
        if (item_id, played_ms) != (last_item, last_ms) or ended:
            self.send(
                {
                    "type": "s2s.playback.updated",
                    "item_id": item_id,
                    "audio_played_ms": played_ms,
                    "ended": ended,
                }
            )


def _connect(url: str, key: str | None, timeout_s: float) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else None
    try:
        return connect(
            url, additional_headers=headers, compression=None, max_size=None, open_timeout=timeout_s, proxy=None
        )
    except InvalidStatus as error:
        reason = {
            401: "it wants a key (TALKOVER_API_KEY)",
            403: "it refuses this origin",
        }
        status = error.response.status_code
        if status == 503:
            after = error.response.headers.get("Retry-After", "")
            retry_after_s = int(after) if after.isdecimal() else None
            raise ServerFull(f"{url}: all sessions are taken", retry_after_s) from error
        raise ServerUnreachable(f"{url}: {reason.get(status, f'it answered with HTTP {status}')}") from error
    except (OSError, InvalidHandshake, ValueError) as error:
        raise ServerUnreachable(f"{url}: no realtime server answers there ({error})") from error
