"""Several endpoints, each a real HTTP server, of which some fail, stall or break off."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from chat_server import ChatServer, Connection, Handle
from talkover.config import Settings
from talkover.engines import EngineFailed, LlmCall, LlmEngine, LlmFinished, LlmText
from talkover.llm.openai_api import create
from talkover.messages import FunctionTool, Prompt, PromptMessage
from talkover.sections.engines import LlmSettings

PROMPT = Prompt("Be brief.", (PromptMessage("user", "Hello"),))
KEYS = {"FIRST_KEY": "sk-first", "SECOND_KEY": "sk-second"}


def says(text: str) -> Handle:
    def script(connection: Connection, body: dict[str, Any]) -> None:
        connection.begin()
        connection.say(text)
        connection.end()

    return script


def refuses(code: int, **headers: str) -> Handle:
    def script(connection: Connection, body: dict[str, Any]) -> None:
        connection.answer(code, {"error": {"message": "no", "code": "busy"}}, **headers)

    return script


def stalls(connection: Connection, body: dict[str, Any]) -> None:
    """Takes the request and never says a word."""
    connection.begin()
    connection.wait_for_hang_up()


def breaks_off(connection: Connection, body: dict[str, Any]) -> None:
    connection.begin()
    connection.say("Half an ")
    connection.break_off()


Start = Callable[..., tuple[LlmEngine, list[ChatServer]]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a server for each script, and an engine over all of them."""
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    with ExitStack() as stack:

        def begin(*scripts: Handle, **settings: Any) -> tuple[LlmEngine, list[ChatServer]]:
            servers = [stack.enter_context(ChatServer(script)) for script in scripts]
            names = [*KEYS, *["NO_SUCH_KEY"] * len(servers)]
            endpoints = [
                {"base_url": server.url, "model": f"model-{index}", "api_key_env": names[index]}
                for index, server in enumerate(servers)
            ]
            values: dict[str, Any] = {"endpoints": endpoints, "timeout_s": 10, "hedge_after_ms": 5000, **settings}
            engine = create(Settings(llm=LlmSettings.model_validate(values)))
            stack.callback(engine.close)
            return engine, servers

        yield begin


def never() -> bool:
    return False


def answer(engine: LlmEngine, prompt: Prompt = PROMPT) -> str:
    return "".join(event.text for event in engine.respond(prompt, never) if isinstance(event, LlmText))


def test_one_that_answers_is_the_only_one_asked(start: Start) -> None:
    engine, servers = start(says("One."), says("Two."))
    assert answer(engine) == "One."
    assert [len(server.requests) for server in servers] == [1, 0]
    assert servers[0].requests[0]["model"] == "model-0"


@pytest.mark.parametrize("failing", [refuses(500), refuses(429, retry_after="60"), refuses(401), refuses(404)])
def test_one_that_refuses_is_followed_at_once_and_then_rests(start: Start, failing: Handle) -> None:
    engine, servers = start(failing, says("Two."))
    assert answer(engine) == "Two."
    assert answer(engine) == "Two."
    assert [len(server.requests) for server in servers] == [1, 2]


def test_one_out_of_reach_is_followed(start: Start) -> None:
    engine, servers = start(says("One."), says("Two."))
    servers[0].shutdown()
    servers[0].server_close()
    assert answer(engine) == "Two."


def test_one_that_stalls_is_joined_and_left(start: Start) -> None:
    engine, servers = start(stalls, says("Two."), hedge_after_ms=100)
    began_s = time.monotonic()
    assert answer(engine) == "Two."
    assert time.monotonic() - began_s >= 0.1
    assert servers[0].hung_up.wait(5)
    assert answer(engine) == "Two."
    assert [len(server.requests) for server in servers] == [1, 2]


def test_a_slow_one_may_still_win_against_a_slower_one(start: Start) -> None:
    joined = threading.Event()

    def slow(connection: Connection, body: dict[str, Any]) -> None:
        assert joined.wait(5)
        says("One.")(connection, body)

    def joining(connection: Connection, body: dict[str, Any]) -> None:
        joined.set()
        stalls(connection, body)

    engine, servers = start(slow, joining, hedge_after_ms=50)
    assert answer(engine) == "One."
    assert servers[1].hung_up.wait(5)


def test_an_answer_that_has_begun_is_not_begun_again(start: Start) -> None:
    engine, servers = start(breaks_off, says("Two."))
    spoken: list[str] = []
    with pytest.raises(EngineFailed, match="broke off"):
        spoken.extend(event.text for event in engine.respond(PROMPT, never) if isinstance(event, LlmText))
    assert spoken == ["Half an "]
    assert servers[1].requests == []


def test_when_all_fail_each_is_named_without_its_key(start: Start) -> None:
    engine, servers = start(refuses(500), refuses(429))
    with pytest.raises(EngineFailed, match=r"HTTP 500, busy; .*HTTP 429, busy") as caught:
        answer(engine)
    assert all(server.url.split("/")[2] in str(caught.value) for server in servers)
    assert "sk-" not in str(caught.value)


def test_calls_come_from_one_endpoint_alone(start: Start) -> None:
    def calls(connection: Connection, body: dict[str, Any]) -> None:
        connection.begin()
        piece = {"index": 0, "id": "c", "function": {"name": "look_up", "arguments": '{"x": 1}'}}
        connection.line("data: " + json.dumps({"choices": [{"delta": {"tool_calls": [piece]}}]}))
        connection.end()

    engine, servers = start(refuses(503), calls)
    events = list(engine.respond(Prompt("", PROMPT.messages, (FunctionTool("look_up"),)), never))
    assert [type(event) for event in events] == [LlmCall, LlmCall, LlmFinished]
    assert servers[1].requests[0]["tools"][0]["function"]["name"] == "look_up"


def test_cancelling_hangs_up_on_all_of_them(start: Start) -> None:
    engine, servers = start(stalls, stalls, hedge_after_ms=50)
    both_asked = lambda: all(server.requests for server in servers)  # noqa: E731
    assert list(engine.respond(PROMPT, both_asked)) == []
    assert all(server.hung_up.wait(5) for server in servers)


def test_every_endpoint_gets_its_own_key_and_no_other(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def refuses_and_notes(connection: Connection, body: dict[str, Any]) -> None:
        seen.append(connection.headers["authorization"])
        refuses(500)(connection, body)

    monkeypatch.setenv("OPENAI_API_KEY", "sk-elsewhere")
    engine, _ = start(refuses_and_notes, refuses_and_notes, refuses_and_notes)
    with pytest.raises(EngineFailed):
        answer(engine)
    assert seen == ["Bearer sk-first", "Bearer sk-second", "Bearer none"]


def test_the_main_endpoint_comes_first(start: Start) -> None:
    with ChatServer(says("Main.")) as main:
        engine, servers = start(says("One."), base_url=main.url, model="main-model")
        assert answer(engine) == "Main."
        assert main.requests[0]["model"] == "main-model"
        assert servers[0].requests == []
