"""Nothing that was said and nothing that opens a door stands in the log of a server at work."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from attacker import ask
from chat_server import ChatServer, Connection
from fakes import LevelVad, ScriptedAsr, ToneTts
from live import eventually
from recordings import silence, tone
from talkover.access.keys import digest_of
from talkover.config import load_settings
from talkover.engines import Engines
from talkover.llm.openai_api import create
from talkover.loading import build_retriever
from wire import WireClient

MASTER, DESK = "master-key-7f3a9c51", "desk-key-0b8e2d64"
LLM_KEY, TOOL_KEY = "llm-key-5d1c77e0", "tool-key-93ab40f2"
WRONG = "wrong-key-44e1d0aa"
QUESTION, ANSWER = "Where is parcel Quetzalcoatl?", "Your parcel is in Ouagadougou."
RESULT, INSTRUCTIONS = "Antananarivo", "You work for Bartholomew."
CALLER, DOCUMENT = "caller-zanzibar", "Vladivostok"
SECRETS = (MASTER, DESK, LLM_KEY, TOOL_KEY, WRONG, "ek_")
WORDS = ("Quetzalcoatl", "Ouagadougou", RESULT, "Bartholomew", CALLER, DOCUMENT)


def depot() -> FastAPI:
    """A service that answers its first caller, and repeats the key in its complaint to the next."""
    service = FastAPI()
    asked: list[str] = []

    @service.get("/parcel", operation_id="find_parcel")
    async def find_parcel(name: str, request: Request) -> JSONResponse:
        """Where a parcel is."""
        asked.append(name)
        if len(asked) == 1:
            return JSONResponse({"town": RESULT})
        return JSONResponse({"error": f"bad key {request.headers['authorization']}"}, 500)

    return service


@pytest.fixture
def depot_url() -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(depot(), host="127.0.0.1", port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert eventually(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def calls(connection: Connection, _body: dict[str, Any]) -> None:
    """The tool."""
    function = {"name": "find_parcel", "arguments": json.dumps({"name": "Quetzalcoatl"})}
    delta = {"tool_calls": [{"index": 0, "id": "call_x", "type": "function", "function": function}]}
    connection.begin()
    connection.line("data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}))
    connection.end()


def says(connection: Connection, _body: dict[str, Any]) -> None:
    connection.begin()
    connection.say(ANSWER)
    connection.end()


def refuses(connection: Connection, body: dict[str, Any]) -> None:
    """As some services do: with the key, and with what was asked."""
    asked = body["messages"][-1]["content"]
    connection.answer(401, {"error": {"message": f"Incorrect API key provided: {LLM_KEY}. {asked}"}})


def until_done(client: WireClient, with_what: str) -> None:
    """Read on to the end of a response with this in it: a call of a tool is a response, too."""
    while with_what not in json.dumps(client.until("response.done", 30)):
        pass


@pytest.mark.usefixtures("library_threads")
def test_a_conversation_leaves_no_word_and_no_key_in_the_log(
    serve: Any, depot_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Of any logger, also those of libraries, at the level a server runs at."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("LLM_KEY", LLM_KEY)
    monkeypatch.setenv("TOOL_KEY", TOOL_KEY)
    folder, uploads = tmp_path / "documents", tmp_path / "uploads"
    folder.mkdir()
    (folder / "towns.md").write_text(f"# Towns\n\n{DOCUMENT} is a town.\n")
    with ExitStack() as stack:
        chat = stack.enter_context(ChatServer(calls, says, calls, says, refuses, models=("little",)))
        model = [f"llm.base_url={chat.url}", "llm.model=little", "llm.api_key_env=LLM_KEY", "llm.max_retries=0"]
        llm = create(load_settings(None, model, {}))
        llm.warmup()
        stack.callback(llm.close)
        knowledge = [f"knowledge.path={folder}", f"knowledge.uploads={uploads}", "knowledge.embeddings=none"]
        retriever = build_retriever(load_settings(None, knowledge, {}), llm)
        stack.callback(retriever.close)
        server = serve(
            Engines(LevelVad(), ScriptedAsr(QUESTION), llm, ToneTts(5), retriever),
            f'tools.openapi=[{{document = "{depot_url}/openapi.json", api_key_env = "TOOL_KEY"}}]',
            f'access.keys=[{{name = "desk", key_sha256 = "{digest_of(DESK).hex()}"}}]',
            environ={"TALKOVER_API_KEY": MASTER},
        )  # fmt: skip
        assert ask(server, "/v1/models", {"Authorization": f"Bearer {WRONG}"}).status == 401
        session = {"instructions": INSTRUCTIONS, "s2s": {"version": 1, "events": [], "caller": CALLER}}
        headers = {"Authorization": f"Bearer {DESK}", "Content-Type": "application/json"}
        body = json.dumps({"session": session}).encode()
        made = json.loads(ask(server, "/v1/realtime/client_secrets", headers, method="POST", body=body).body)
        offered = ["realtime", f"openai-insecure-api-key.{made['value']}"]
        with WireClient(server.ws_url, subprotocols=offered, check=False) as client:
            client.ask(QUESTION)  # the tool answers
            until_done(client, ANSWER)
            client.ask(QUESTION)  # the tool fails
            until_done(client, ANSWER)
            client.ask(QUESTION)  # the model fails
            until_done(client, '"failed"')
            client.say(tone(0.6))
            client.say(silence(1.0))  # by voice
            until_done(client, '"failed"')
            client.send_raw('{"type": "Quetzalcoatl"}')
            client.round_trip()
        upload = {"file": (f"{DOCUMENT}.md", f"# {DOCUMENT}\n\nA town.\n".encode())}
        master = {"Authorization": f"Bearer {MASTER}"}
        added = httpx.post(f"{server.http_url}/v1/documents", files=upload, headers=master, trust_env=False)
        assert added.is_success
        assert eventually(lambda: server.realtime.active_sessions == 0)
    asked = json.dumps(chat.requests)
    for word in ("Quetzalcoatl", RESULT, "Bartholomew"):
        assert word in asked, "there was nothing to be silent about"
    log = "\n".join(map(logging.Formatter().format, caplog.records))  # with tracebacks
    assert "session sess_" in log
    assert [line for line in log.splitlines() for secret in SECRETS if secret in line] == []
    assert [line for line in log.splitlines() for word in WORDS if word.lower() in line.lower()] == []
