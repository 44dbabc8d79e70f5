"""Nothing that was said and nothing that opens a door stands in the log of a server at work."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from attacker import ask, knock
from chat_server import ChatServer, Connection
from fakes import LevelVad, ScriptedAsr, ToneTts, fake_engines, wait_until
from live import eventually
from recordings import silence, tone
from talkover.access.keys import digest_of
from talkover.config import load_settings
from talkover.engines import Engines
from talkover.llm.openai_api import create
from talkover.loading import build_retriever
from talkover.log_format import configure_logging
from talkover.messages import ToolFinished
from talkover.pipeline.tool_runner import ToolRunner
from talkover.sections.agent import McpSettings
from talkover.tools.tool import Tool, ToolContext, ToolFailed, ToolResult
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
    """A service that answers its first caller, and repeats the key in its complaint to the next.

    It speaks MCP, too, and there it repeats the arguments in its complaint.
    """
    service = FastAPI()
    asked: list[str] = []

    @service.get("/parcel", operation_id="find_parcel")
    async def find_parcel(name: str, request: Request) -> JSONResponse:
        """Where a parcel is."""
        asked.append(name)
        if len(asked) == 1:
            return JSONResponse({"town": RESULT})
        return JSONResponse({"error": f"bad key {request.headers['authorization']}"}, 500)

    @service.post("/mcp", include_in_schema=False)
    async def mcp(request: Request) -> Response:
        message = await request.json()
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message.get("id")}
        match message["method"]:
            case "initialize":
                version = message["params"]["protocolVersion"]
                server = {"name": "depot", "version": "1"}
                reply["result"] = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
            case "tools/list":
                reply["result"] = {"tools": [{"name": "find", "inputSchema": {"type": "object"}}]}
            case "tools/call":
                arguments = message["params"]["arguments"]
                reply["error"] = {"code": -32602, "message": f"There is no parcel {arguments['name']}."}
            case _:
                return Response(status_code=202)
        return JSONResponse(reply)

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


def test_a_server_of_tools_that_quotes_what_it_was_asked_for(depot_url: str, caplog: pytest.LogCaptureFixture):
    from talkover.tools.mcp_client import load_mcp  # here, because importing it takes a second

    caplog.set_level(logging.INFO)
    (find,) = load_mcp(McpSettings(name="depot", url=f"{depot_url}/mcp"))
    with pytest.raises(ToolFailed, match="no parcel Quetzalcoatl"):
        find.run({"name": "Quetzalcoatl"}, ToolContext("k", time.monotonic() + 10, lambda: False))
    for close in find.closes:
        close()
    assert "MCP server depot: error -32602" in caplog.text
    assert "Quetzalcoatl" not in caplog.text


def test_a_tool_that_trips_over_what_it_was_asked_for(caplog: pytest.LogCaptureFixture):
    """The key that is missing is the message of a `KeyError`."""
    caplog.set_level(logging.INFO)
    parcels: dict[str, ToolResult] = {}
    finished: list[object] = []
    tool = Tool("find", "", {"type": "object"}, lambda arguments, _context: parcels[arguments["name"]])
    runner = ToolRunner(lambda one, _is_stale: finished.append(one), threading.Semaphore(), "test")
    runner.start(1, tool, {"name": "Quetzalcoatl"}, "k", 10)
    assert wait_until(lambda: bool(finished), 5)
    assert isinstance(finished[0], ToolFinished)
    assert finished[0].failed
    log = "\n".join(map(logging.Formatter().format, caplog.records))
    assert "tool find failed with KeyError" in log
    assert Path(__file__).name in log, "where it tripped"
    assert "Quetzalcoatl" not in log


def test_a_secret_in_an_address_is_not_in_the_log(serve: Any, caplog: pytest.LogCaptureFixture):
    """Some clients put their key there; a line for every request is what servers log as they come."""
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpx2", "uvicorn.error")}
    configure_logging("info", "text")  # as a server that starts does
    caplog.set_level(logging.INFO)
    try:
        server = serve(fake_engines(), environ={"TALKOVER_API_KEY": MASTER})
        for path in ("/v1/realtime", "/v1/models", "/", "/nowhere"):
            asked = f"{path}?api_key={MASTER}"
            assert ask(server, asked, {"Authorization": f"Bearer {MASTER}"}).status in (200, 404, 426)
            assert knock(server, {"Authorization": f"Bearer {MASTER}"}, path=asked).status in (101, 404)
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    log = "\n".join(map(logging.Formatter().format, caplog.records))
    assert "session sess_" in log
    assert MASTER not in log
