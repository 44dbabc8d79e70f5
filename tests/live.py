"""A server on a real port and a client that sees every frame, for tests over the socket."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from talkover.app import asgi_server, create_app
from talkover.audio import OUTPUT_RATE_HZ, resampled, samples_to_pcm16
from talkover.config import load_settings
from talkover.engines import Engines
from talkover.messages import Samples
from talkover.realtime.server import RealtimeServer

ROOT = Path(__file__).resolve().parent.parent
SPEECH = ROOT / "tests/data/speech"
ARTEFACTS = ROOT / "test-artefacts"
STOCK_MAX_FRAME_BYTES = 1 << 20
"""what a stock client is willing to receive"""
FRAME_MS = 20
HEARD_TOLERANCE_MS = 350
"""a word is heard by half, and one that ends a text is spoken longer"""

Event = dict[str, Any]


# ------------------------------------------------------------------------------------------------------------ speech


@cache
def speech(name: str, rate_hz: int = OUTPUT_RATE_HZ) -> Samples:
    """(n,) float32 of a file in tests/data/speech, at `rate_hz`."""
    samples, file_rate_hz = soundfile.read(SPEECH / f"{name}.wav", dtype="float32")
    return resampled(samples, file_rate_hz, rate_hz)


def silence(duration_s: float, rate_hz: int = OUTPUT_RATE_HZ) -> Samples:
    return np.zeros(round(duration_s * rate_hz), np.float32)


def tone(duration_s: float, rate_hz: int = OUTPUT_RATE_HZ) -> Samples:
    """What the scripted engines take for speech."""
    return (0.5 * np.sin(2 * np.pi * 400 * np.arange(round(duration_s * rate_hz)) / rate_hz)).astype(np.float32)


def frames(samples: Samples, rate_hz: int = OUTPUT_RATE_HZ) -> Iterator[Samples]:
    """In pieces of 20 ms, as a microphone or a telephone delivers them."""
    size = rate_hz * FRAME_MS // 1000
    for begin in range(0, samples.size, size):
        yield samples[begin : begin + size]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


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


# ------------------------------------------------------------------------------------------------------------ server


class InProcessServer:
    """The whole app on a free port, in a thread of this process."""

    def __init__(
        self,
        engines: Engines,
        overrides: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        """`overrides` are those of `--set`."""
        self.settings = load_settings(None, overrides, {})
        self.app = create_app(self.settings, engines, environ or {})
        self.realtime: RealtimeServer = self.app.state.realtime
        self._listener = socket.create_server(("127.0.0.1", port))
        self._server = asgi_server(self.app, self.settings, time.monotonic())
        self._thread = threading.Thread(target=self._run, name="test-server")
        self.port: int = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        secure = "s" if self.settings.server.tls_certificate else ""
        self.http_url = f"http{secure}://{self.host}"
        self.ws_url = f"ws{secure}://{self.host}/v1/realtime"

    def __enter__(self) -> InProcessServer:
        self._thread.start()
        assert eventually(lambda: self._server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        """As SIGTERM does. Does not wait."""
        self._server.should_exit = True

    @property
    def open_connections(self) -> int:
        """Sockets the server still keeps."""
        return len(self._server.server_state.connections)

    def _run(self) -> None:
        asyncio.run(self._server.serve([self._listener]))


class ServerProcess:
    """`talkover serve` with the embedded engines, as a user runs it."""

    def __init__(self, log_path: Path, overrides: Sequence[str] = ()) -> None:
        self.log_path = log_path
        arguments = [argument for override in overrides for argument in ("--set", override)]
        own = ("TALKOVER_", "OPENAI_")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "talkover", "serve", "--port", "0", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=environ | {"OMP_NUM_THREADS": "1"},
            )
        self.host = ""

    def __enter__(self) -> ServerProcess:
        def is_ready() -> bool:
            assert self._process.poll() is None, f"the server did not start:\n{self.log}"
            return " INFO ready after " in self.log

        try:
            assert eventually(is_ready, 60), f"the server is not ready:\n{self.log}"
            found = re.search(r"open http://([\d.]+:\d+)", self.log)
            assert found, self.log
        except BaseException:
            self._process.kill()
            raise
        self.host = found[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        finally:
            self._process.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def http_url(self) -> str:
        return f"http://{self.host}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}/v1/realtime"


def eventually(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Whether `condition` becomes true in time; for what other threads and processes do."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return condition()


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


def spoken_ms(http_url: str, text: str, voice: str) -> float:
    """How long the server's voice takes from the first sound of `text` to the last."""
    request = {"model": "tts-1", "input": text, "voice": voice, "response_format": "pcm"}
    answer = httpx.post(f"{http_url}/v1/audio/speech", json=request, trust_env=False, timeout=20).raise_for_status()
    loud = np.flatnonzero(np.abs(np.frombuffer(answer.content, "<i2").astype(np.int32)) > 300)
    return float(loud[-1] - loud[0]) * 1000 / OUTPUT_RATE_HZ


def check_heard(http_url: str, said: str, heard: str, played_ms: float, voice: str) -> None:
    """`heard` must be what of `said` fits into `played_ms` of speech, to the word. Raises AssertionError."""
    assert said.startswith(heard)
    assert len(heard) < len(said)
    following = re.match(r"\S*\s+\S+|\S+", said[len(heard) :])
    assert following
    one_more = heard + following[0]
    shortest_ms = spoken_ms(http_url, heard, voice) if heard else 0.0
    longest_ms = spoken_ms(http_url, one_more, voice)
    assert shortest_ms - HEARD_TOLERANCE_MS < played_ms < longest_ms + HEARD_TOLERANCE_MS, (
        f"{heard!r} takes {shortest_ms:.0f} ms, with the next word {longest_ms:.0f} ms; {played_ms:.0f} ms were played"
    )


def is_audible(pcm16: bytes) -> bool:
    """Whether at least a tenth of it is louder than -40 dBFS, in windows of 20 ms at 24 kHz."""
    samples = np.frombuffer(pcm16, np.int16).astype(np.float32) / 32768
    usable = samples[: samples.size // 480 * 480].reshape(-1, 480)
    return usable.size > 0 and float(np.mean(np.sqrt(np.mean(usable**2, axis=1)) > 0.01)) > 0.1


def wav(samples: Samples, rate_hz: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
