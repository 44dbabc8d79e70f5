"""Clients that do what no client should. Each returns in words what the server did about it."""

from __future__ import annotations

import base64
import json
import random
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection

from talkover.audio import OUTPUT_RATE_HZ, samples_to_pcm16

HASTE = 100
"""times real time"""
FLOOD_AUDIO_S = 120.0
RECEIVE_BUFFER_BYTES = 8192
GIVEN_UP_S = 20.0
LONG_QUESTION = "Tell me a story. " * 3
GARBAGE: tuple[str | bytes, ...] = (
    b"\x00\xff\xfe\xfd" * 100,
    "",
    "{",
    "null",
    "[]",
    '{"type": 7}',
    '{"type": "no.such.event"}',
    '{"type": "input_audio_buffer.append", "audio": "%%%%"}',
    '{"type": "input_audio_buffer.append"}',
    '{"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"format": {"rate": -1}}}}}',
    '{"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1e308}',
    "[" * 50_000,
    '{"type": "conversation.item.create", "item": ' + '{"a":' * 2000 + "1" + "}" * 2000 + "}",
    '{"type": "' + "a" * 1_000_000 + '"}',
    "\ud7ff\u0000" * 1000,
)


def stop_reading(url: str, key: str | None) -> str:
    """Ask for a long answer and read none of it."""
    parts = urlsplit(url)
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    small.connect((parts.hostname or "127.0.0.1", parts.port or 80))
    with _connected(url, key, sock=small, max_queue=1) as client:
        _ask(client, LONG_QUESTION)
        end_s = time.monotonic() + GIVEN_UP_S
        try:
            while time.monotonic() < end_s:
                # small things to say, so that it is noticed when the server hangs up; the answers are not read
                client.send(json.dumps({"type": "input_audio_buffer.clear"}))
                time.sleep(0.05)
        except ConnectionClosed as error:
            return _ending(error)
    return f"still connected after {GIVEN_UP_S:g} s"


def flood(url: str, key: str | None) -> str:
    """Two minutes of noise in little more than a second."""
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, OUTPUT_RATE_HZ // 10).astype(np.float32)
    frame = json.dumps(
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(samples_to_pcm16(noise)).decode("ascii")}
    )
    started_s = time.monotonic()
    with _connected(url, key) as client:
        try:
            for index in range(round(FLOOD_AUDIO_S * 10)):
                client.send(frame)
                time.sleep(max(0.0, started_s + (index + 1) / 10 / HASTE - time.monotonic()))
        except ConnectionClosed as error:
            return _ending(error)
        took_s = time.monotonic() - started_s
    return f"took {FLOOD_AUDIO_S:g} s of audio at {FLOOD_AUDIO_S / took_s:.0f} times real time"


def send_garbage(url: str, key: str | None) -> str:
    """Everything that is no event, and random bytes, until the server hangs up or nothing is left to send."""
    seeded = random.Random(0)
    frames = [*GARBAGE, *(seeded.randbytes(seeded.randrange(1, 5000)) for _ in range(50))]
    seeded.shuffle(frames)
    refused = 0
    with _connected(url, key) as client:
        try:
            for frame in frames:
                client.send(frame)
            _ask(client, "Hello?")
            while True:
                event: Mapping[str, Any] = json.loads(client.recv(GIVEN_UP_S))
                refused += event["type"] == "error"
                if event["type"] == "response.done":
                    break
        except ConnectionClosed as error:
            return _ending(error)
        except TimeoutError:
            return f"no answer after {refused} refusals"
    return f"refused {refused} of {len(frames)} frames, then answered"


def newcomer(url: str, key: str | None) -> str:
    """Somebody who calls while the server cannot take it; it should not hear from them twice."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), 2.0) as raw:
            raw.settimeout(2.0)
            raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = raw.recv(100).split(b"\r\n")[0].decode(errors="replace")
    except OSError as error:
        return f"a newcomer was not answered ({type(error).__name__})"
    return f"a newcomer was answered: {answer}" if answer else "a newcomer was hung up on"


CLIENTS: dict[str, Callable[[str, str | None], str]] = {
    "stop_reading": stop_reading,
    "flood": flood,
    "garbage": send_garbage,
    "newcomer": newcomer,
}


def _connected(url: str, key: str | None, **options: Any) -> ClientConnection:
    headers = {"Authorization": f"Bearer {key}"} if key else None
    try:
        return connect(
            url, additional_headers=headers, compression=None, max_size=None, proxy=None, close_timeout=1, **options
        )
    except InvalidHandshake as error:
        raise OSError(f"{url}: {error}") from error


def _ask(client: Connection, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    client.send(
        json.dumps(
            {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}
        )
    )
    client.send(json.dumps({"type": "response.create"}))


def _ending(error: ConnectionClosed) -> str:
    if error.rcvd is None:
        return "the connection was cut"
    return f"hung up: {error.rcvd.code} {error.rcvd.reason}".strip()
