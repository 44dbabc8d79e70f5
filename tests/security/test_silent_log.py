"""Nothing that was said and nothing that opens a door stands in the log of a server at work."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from chat_server import ChatServer, Connection
from live import ServerProcess, eventually
from recordings import silence, speech
from talkover.access.keys import digest_of
from wire import WireClient

MASTER, DESK = "master-key-7f3a9c51", "desk-key-0b8e2d64"
LLM_KEY, TOOL_KEY = "llm-key-5d1c77e0", "tool-key-93ab40f2"
WRONG = "wrong-key-44e1d0aa"
QUESTION, ANSWER = "Where is parcel Quetzalcoatl?", "Your parcel is in Ouagadougou."
RESULT, INSTRUCTIONS = "Antananarivo", "You work for Bartholomew."
CALLER, DOCUMENT = "caller-zanzibar", "Vladivostok"
SECRETS = (MASTER, DESK, LLM_KEY, TOOL_KEY, WRONG, "ek_")
WORDS = ("Quetzalcoatl", "Ouagadougou", RESULT, "Bartholomew", CALLER, DOCUMENT, "talkover?", "parcel")


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


def looks_it_up(connection: Connection, body: dict[str, Any]) -> None:
    """Calls the tool, then says what came of it."""
    connection.begin()
    if body["messages"][-1]["role"] == "tool":
        connection.say(ANSWER)
    else:
        function = {"name": "find_parcel", "arguments": json.dumps({"name": "Quetzalcoatl"})}
        delta = {"tool_calls": [{"index": 0, "id": "call_x", "type": "function", "function": function}]}
        connection.line("data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}))
    connection.end()


def refuses(connection: Connection, body: dict[str, Any]) -> None:
    """As some services do: with the key, and with what was asked."""
    asked = body["messages"][-1]["content"]
    connection.answer(401, {"error": {"message": f"Incorrect API key provided: {LLM_KEY}. {asked}"}})


@pytest.mark.slow
def test_a_conversation_leaves_no_word_and_no_key_in_the_log(tmp_path: Path, depot_url: str):
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "towns.md").write_text(f"# Towns\n\n{DOCUMENT} is a town.\n")
    keys = f'[{{name = "desk", key_sha256 = "{digest_of(DESK).hex()}"}}]'
    with ChatServer(looks_it_up, looks_it_up, looks_it_up, looks_it_up, refuses, models=("little",)) as chat:
        overrides = [
            f"llm.base_url={chat.url}", "llm.engine=openai", "llm.model=little", "llm.api_key_env=LLM_KEY",
            f'tools.openapi=[{{document = "{depot_url}/openapi.json", api_key_env = "TOOL_KEY"}}]',
            f"access.keys={keys}", f"knowledge.path={documents}", "server.log_level=info",
        ]  # fmt: skip
        environ = {"TALKOVER_API_KEY": MASTER, "LLM_KEY": LLM_KEY, "TOOL_KEY": TOOL_KEY}
        with ServerProcess(tmp_path / "server.log", overrides, environ=environ) as server:
            session = {"instructions": INSTRUCTIONS, "s2s": {"version": 1, "events": [], "caller": CALLER}}
            url = f"{server.http_url}/v1/realtime/client_secrets"
            headers = {"Authorization": f"Bearer {DESK}"}
            made = httpx.post(url, json={"session": session}, headers=headers, trust_env=False).json()
            assert httpx.get(url, headers={"Authorization": f"Bearer {WRONG}"}, trust_env=False).status_code == 401
            with WireClient(
                server.ws_url, subprotocols=["realtime", f"openai-insecure-api-key.{made['value']}"], check=False
            ) as client:
                client.next()
                client.ask(QUESTION)  # the tool answers
                assert client.until("response.done", 30)["response"]["status"] == "completed"
                client.ask(QUESTION)  # the tool fails
                client.until("response.done", 30)
                client.ask(QUESTION)  # the model does
                assert client.until("response.done", 60)["response"]["status"] == "failed"
                client.say(speech("what_is_talkover_slt"))
                client.say(silence(1.0))
                client.until("response.done", 60)
                client.send_raw('{"type": "Quetzalcoatl"}')
                client.round_trip()
            upload = {"file": ("Vladivostok.md", f"# {DOCUMENT}\n\nA town.\n".encode())}
            master = {"Authorization": f"Bearer {MASTER}"}
            url = f"{server.http_url}/v1/documents"
            assert httpx.post(url, files=upload, headers=master, trust_env=False).is_success
            assert eventually(lambda: "closed" in server.log)
            log = server.log
    assert made["value"] not in log
    assert " INFO session sess_" in log
    assert len(chat.requests) >= 5, "the tool was not called"
    lines = [line for line in log.splitlines() for word in (*SECRETS, *WORDS) if word.lower() in line.lower()]
    assert not lines
