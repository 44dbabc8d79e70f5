"""Server-side tools by voice: the embedded engines and a scripted OpenAI-compatible model, a real OpenAPI service, a
published MCP server, and a tool of five seconds during which the line never falls silent."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from chat_server import ChatServer, Connection
from fakes import LevelVad, ScriptedAsr, ToneTts
from heard_line import HeardLine
from live import InProcessServer, ServerProcess, eventually
from recordings import silence, speech, tone
from talkover.config import load_settings
from talkover.engines import Engines
from talkover.llm.openai_api import create
from talkover.messages import Samples
from wire import WireClient

MAX_SILENCE_S = 1.5
"""that the tool leaves; how long an ordinary answer takes is not the tool's doing"""
MAX_ANSWER_S = 3.0
"""on a busy machine"""
TOOL_S = 5.0
RESULT = "It is a quarter past nine in the evening."
SLOW_TOOL = f'''
import threading
from talkover.tools.functions import tool
from talkover.tools.tool import ToolContext

@tool(read_only=True)
def get_time(context: ToolContext) -> str:
    """The time at the office."""
    threading.Event().wait({TOOL_S})
    return "{RESULT}"
'''


def calendar() -> FastAPI:
    """A service that somebody runs."""
    service = FastAPI()

    @service.get("/date", operation_id="get_date")
    async def get_date() -> dict[str, str]:
        """The date in the calendar of the office."""
        return {"date": "the ninth of May"}

    return service


@pytest.fixture(scope="module")
def calendar_url() -> Iterator[str]:
    config = uvicorn.Config(calendar(), host="127.0.0.1", port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def toml(value: Any) -> str:
    """A value of a configuration file: what JSON and TOML write alike."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(member) for member in value) + "]"
    return json.dumps(value)


@pytest.fixture(scope="module")
def slow_tool(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tools") / "office.py"
    path.write_text(SLOW_TOOL)
    return f"tools.functions={toml([str(path)])}"


@pytest.fixture(scope="module")
def embedded_office(
    tmp_path_factory: pytest.TempPathFactory, slow_tool: str, calendar_url: str
) -> Iterator[ServerProcess]:
    services = [{"document": f"{calendar_url}/openapi.json"}]
    log = tmp_path_factory.mktemp("embedded") / "server.log"
    with ServerProcess(log, [slow_tool, f"tools.openapi={toml(services)}"]) as server:
        yield server


def obliging_model(connection: Connection, body: dict[str, Any]) -> None:
    """Calls the tool that a question is about, and reads out what it returned."""
    last = body["messages"][-1]
    text = str(last["content"]).lower()
    connection.begin()
    if last["role"] == "tool":
        connection.say(str(json.loads(text)["datetime"]) if text.startswith("{") else RESULT)
    elif "time" in text:
        call(connection, "get_current_time", {"timezone": "Asia/Tokyo"})
    elif "story" in text:
        call(connection, "get_time", {})
    else:
        connection.say("All right. Go on.")
    connection.end()


def call(connection: Connection, name: str, arguments: dict[str, Any]) -> None:
    function = {"name": name, "arguments": json.dumps(arguments)}
    delta = {"tool_calls": [{"index": 0, "id": "call_x", "type": "function", "function": function}]}
    connection.line("data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}))


@pytest.fixture
def modelled(
    serve: Callable[..., InProcessServer], slow_tool: str
) -> Iterator[Callable[..., tuple[InProcessServer, ChatServer]]]:
    """Starts a server for utterances that a scripted recogniser understands, before a model on the loopback."""
    clock = str(Path(sys.executable).parent / "mcp-server-time")
    servers = [{"name": "clock", "command": [clock], "tools": ["get_current_time"]}]
    with ExitStack() as stack:

        def start(*utterances: str) -> tuple[InProcessServer, ChatServer]:
            chat = stack.enter_context(ChatServer(obliging_model, models=("little-chat",)))
            llm = create(load_settings(None, [f"llm.base_url={chat.url}", "llm.model=little-chat"], {}))
            llm.warmup()
            stack.callback(llm.close)
            engines = Engines(LevelVad(), ScriptedAsr(*utterances), llm, ToneTts(ms_per_char=60))
            return serve(engines, slow_tool, f"tools.mcp={toml(servers)}"), chat

        yield start


def connected(stack: ExitStack, server: ServerProcess | InProcessServer) -> WireClient:
    client = stack.enter_context(WireClient(server.ws_url, check=False))
    client.update(s2s={"version": 1, "events": ["tools"]})
    return client


def said(client: WireClient) -> list[str]:
    return [event["transcript"] for event in client.of("response.output_audio_transcript.done")]


def test_an_openapi_service_is_called_by_voice_without_a_model(embedded_office: ServerProcess) -> None:
    with WireClient(embedded_office.ws_url) as client:
        client.say_live(speech("date_slt"))
        client.say_live(silence(1.0))
        client.nth("response.done", 2)
        assert said(client) == ["The date is the ninth of May."]
        items = [event["item"]["type"] for event in client.of("conversation.item.done")]
        assert items == ["message", "function_call", "function_call_output", "message"]
        assert not client.of("response.function_call_arguments.done")


def test_an_mcp_server_is_called_by_voice(modelled: Callable[..., tuple[InProcessServer, ChatServer]]) -> None:
    server, chat = modelled("What time is it in Tokyo?")
    with ExitStack() as stack:
        client = connected(stack, server)
        client.say_live(tone(0.8))
        client.say_live(silence(1.0))
        finished = client.nth("s2s.tool.finished", 1, 20)
        assert finished["name"] == "get_current_time"
        client.nth("response.output_audio_transcript.done")
        tools = {tool["function"]["name"] for tool in chat.requests[-1]["tools"]}
        assert tools == {"get_time", "get_current_time"}
        assert "asia/tokyo" in str(chat.requests[-1]["messages"][-1]["content"]).lower()


def test_a_tool_of_five_seconds_leaves_no_silence_and_is_told_without_a_model(embedded_office: ServerProcess) -> None:
    check_slow_tool(embedded_office, speech("time_slt"), speech("correction_awb"))


def test_a_tool_of_five_seconds_leaves_no_silence_and_is_told_by_a_model(
    modelled: Callable[..., tuple[InProcessServer, ChatServer]],
) -> None:
    server, _ = modelled("Tell me a story.", "No, I meant something else.")
    check_slow_tool(server, tone(1.0), tone(1.2))


def check_slow_tool(server: ServerProcess | InProcessServer, question: Samples, interruption: Samples) -> None:
    """Ask for it, interrupt what is said meanwhile, and wait for the result."""
    with ExitStack() as stack:
        client = connected(stack, server)
        line = HeardLine(client)
        line.say(question)
        asked_s = line.user_end_s
        client.say_live(silence(1.6))
        assert client.of("s2s.tool.started")
        interrupted_s = time.monotonic()
        line.say(interruption)
        told_s = told_until_s(client, line)
        answered_s = next(begin for begin, _ in line.agent() if begin > line.user_end_s)
        silences_s = [line.longest_silence_s(asked_s, interrupted_s), line.longest_silence_s(answered_s, told_s)]
        assert max(silences_s) <= MAX_SILENCE_S, f"{silences_s} s of silence; {said(client)}"
        assert answered_s - line.user_end_s <= MAX_ANSWER_S
        assert line.interruptions == 1, "the user did not interrupt what was said meanwhile"
        assert said(client)[-1] == RESULT
        assert [event["type"] for event in client.events].count("s2s.tool.finished") == 1
        assert client.of("s2s.tool.finished")[0]["elapsed_ms"] >= TOOL_S * 1000


def told_until_s(client: WireClient, line: HeardLine) -> float:
    """Stay on the line until the result was heard; returns when that was."""
    for _ in range(60):
        client.say_live(silence(0.25))
        if RESULT in said(client):
            client.say_live(silence(0.9))
            return max(end for _, end in line.agent())
    raise AssertionError(f"the result was not told: {said(client)}")
