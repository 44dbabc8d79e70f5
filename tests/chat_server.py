"""An OpenAI-compatible chat server on the loopback whose answers a test scripts, request by request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from scripted_http import ScriptedRequest, ScriptedServer, Sent

Handle = Callable[["Connection", dict[str, Any]], None]
"""answers one request, whose JSON document is given"""


class Connection(ScriptedRequest):
    """One request, answered as a stream of events."""

    def begin(self, kind: str = "text/event-stream") -> None:
        super().begin(kind)

    def line(self, text: str) -> None:
        self.piece(f"{text}\n\n".encode())

    def say(self, text: str) -> None:
        self.line("data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}))

    def end(self) -> None:
        self.line("data: " + json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        self.line("data: [DONE]")
        self.piece(b"")


class ChatServer(ScriptedServer):
    """`requests` are the JSON documents that were sent."""

    def __init__(self, *scripts: Handle, models: tuple[str, ...] = ("text-embedding-3", "little-chat")) -> None:
        offered = {"data": [{"id": name, "object": "model"} for name in models]}
        super().__init__(*scripts, documents={"/v1/models": offered}, handler=Connection)

    def run_script(self, request: ScriptedRequest, sent: Sent) -> None:
        self.next_script(sent.fields)(request, sent.fields)

    def __enter__(self) -> ChatServer:
        super().__enter__()
        return self
