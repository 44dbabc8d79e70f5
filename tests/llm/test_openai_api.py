"""The OpenAI-compatible engine against a real HTTP server that behaves well and badly."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from chat_server import ChatServer, Connection, Handle
from talkover.config import Settings
from talkover.engines import EngineFailed, EngineUnavailable, LlmCall, LlmEvent, LlmFinished, LlmText
from talkover.llm.openai_api import OpenAiResponder, create, endpoint_from, first_chat_model, retry_after_s
from talkover.messages import FunctionTool, Prompt, PromptMessage, Usage
from talkover.sections.engines import LlmSettings

KEY = "sk-secret-key-123"
PROMPT = Prompt("Be brief.", (PromptMessage("user", "My secret plan."),))

Start = Callable[..., tuple[OpenAiResponder, ChatServer]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a server with scripts and an engine for it; both are gone after the test, with all their threads."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with ExitStack() as stack:

        def begin(*scripts: Handle, models: tuple[str, ...] = ("little-chat",), **settings: Any) -> Any:
            server = stack.enter_context(ChatServer(*scripts, models=models))
            values: dict[str, Any] = {"model": "little-chat", "base_url": server.url, "timeout_s": 10, **settings}
            engine = create(Settings(llm=LlmSettings(**values)))
            stack.callback(engine.close)
            return engine, server

        yield begin


def hello(connection: Connection, body: dict[str, Any]) -> None:
    connection.begin()
    connection.line(": keep-alive")
    connection.say("Hel")
    connection.say("")
    connection.say("lo.")
    connection.line("data: {broken")
    usage = {"prompt_tokens": 9, "completion_tokens": 2}
    connection.line("data: " + json.dumps({"choices": [], "usage": usage}))
    connection.end()


def status(code: int, message: str = "no", error_code: str | None = None, **headers: str) -> Handle:
    def script(connection: Connection, body: dict[str, Any]) -> None:
        connection.answer(
            code, {"error": {"message": f"{message} {KEY} My secret plan.", "code": error_code}}, **headers
        )

    return script


def never() -> bool:
    return False


def text_of(events: list[LlmEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, LlmText))


def test_streams_text_and_reports_usage(start: Start) -> None:
    engine, server = start(hello, temperature=0.3)
    events = list(engine.respond(Prompt("Be brief.", PROMPT.messages, max_output_tokens=50), never))
    assert text_of(events) == "Hello."
    assert events[-1] == LlmFinished("stop", Usage(9, 2, 0))
    sent = server.requests[0]
    assert sent["model"] == "little-chat"
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "My secret plan."},
    ]
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}
    assert (sent["temperature"], sent["max_tokens"]) == (0.3, 50)
    assert "tools" not in sent


def test_tokens_are_passed_on_as_they_come(start: Start) -> None:
    go_on = threading.Event()

    def script(connection: Connection, body: dict[str, Any]) -> None:
        connection.begin()
        connection.say("One.")
        assert go_on.wait(5)
        connection.say("Two.")
        connection.end()

    engine, _ = start(script)
    events = engine.respond(PROMPT, never)
    assert next(events) == LlmText("One.")
    go_on.set()
    assert text_of(list(events)) == "Two."


def test_function_tools(start: Start) -> None:
    def script(connection: Connection, body: dict[str, Any]) -> None:
        connection.begin()
        for piece in (
            {"index": 0, "id": "c", "function": {"name": "look_up", "arguments": ""}},
            {"index": 0, "function": {"arguments": '{"q": "x"}'}},
        ):
            connection.line("data: " + json.dumps({"choices": [{"delta": {"tool_calls": [piece]}}]}))
        connection.end()

    engine, server = start(script)
    tool = FunctionTool("look_up", "Looks it up.", {"type": "object", "properties": {"q": {"type": "string"}}})
    events = list(engine.respond(Prompt("", PROMPT.messages, (tool,), "look_up"), never))
    assert events[:2] == [LlmCall(0, "look_up", ""), LlmCall(0, "look_up", '{"q": "x"}')]
    assert events[-1] == LlmFinished("tool_calls")
    assert server.requests[0]["tools"][0]["function"]["name"] == "look_up"
    assert server.requests[0]["tool_choice"] == {"type": "function", "function": {"name": "look_up"}}


def test_a_refused_option_is_left_out_and_remembered(start: Start) -> None:
    def script(connection: Connection, body: dict[str, Any]) -> None:
        if "stream_options" in body:
            status(400, "Unrecognized request argument supplied: stream_options")(connection, body)
        elif "tools" in body:
            status(400, "the model does not support tools")(connection, body)
        else:
            hello(connection, body)

    engine, server = start(script)
    prompt = Prompt("", PROMPT.messages, (FunctionTool("look_up"),))
    assert text_of(list(engine.respond(prompt, never))) == "Hello."
    assert len(server.requests) == 3
    assert text_of(list(engine.respond(prompt, never))) == "Hello."
    assert len(server.requests) == 4


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_passing_failure_before_the_first_token_is_tried_again(start: Start, code: int) -> None:
    engine, server = start(status(code, retry_after="0.01"), hello)
    assert text_of(list(engine.respond(PROMPT, never))) == "Hello."
    assert len(server.requests) == 2


def test_retries_are_bounded_and_the_error_holds_neither_key_nor_prompt(start: Start) -> None:
    engine, server = start(status(503, retry_after="0.01"), max_retries=2)
    with pytest.raises(EngineFailed, match="HTTP 503") as failure:
        list(engine.respond(PROMPT, never))
    assert len(server.requests) == 3
    assert KEY not in str(failure.value)
    assert "secret" not in str(failure.value)


def test_a_long_retry_after_is_a_failure_at_once(start: Start) -> None:
    engine, server = start(status(429, retry_after="60"))
    with pytest.raises(EngineFailed, match="HTTP 429"):
        list(engine.respond(PROMPT, never))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "says"),
    [(401, "check OPENAI_API_KEY"), (404, "check llm.model 'little-chat'"), (400, "refuses the request")],
)
def test_what_will_not_pass_is_not_tried_again(start: Start, code: int, says: str) -> None:
    engine, server = start(status(code))
    with pytest.raises(EngineFailed, match=says) as failure:
        list(engine.respond(PROMPT, never))
    assert len(server.requests) == 1
    assert KEY not in str(failure.value)


def test_used_up_quota_is_not_tried_again(start: Start) -> None:
    engine, server = start(status(429, error_code="insufficient_quota"))
    with pytest.raises(EngineFailed, match="HTTP 429, insufficient_quota"):
        list(engine.respond(PROMPT, never))
    assert len(server.requests) == 1


def test_a_connection_lost_before_the_first_token_is_tried_again(start: Start) -> None:
    def lost(connection: Connection, body: dict[str, Any]) -> None:
        connection.begin()
        connection.line(": keep-alive")
        connection.break_off()

    engine, server = start(lost, hello)
    assert text_of(list(engine.respond(PROMPT, never))) == "Hello."
    assert len(server.requests) == 2


def test_half_a_stream_is_not_repeated(start: Start) -> None:
    def half(connection: Connection, body: dict[str, Any]) -> None:
        connection.begin()
        connection.say("Once upon")
        connection.break_off()

    engine, server = start(half, hello)
    events: list[LlmEvent] = []
    with pytest.raises(EngineFailed, match="broke off"):
        events.extend(engine.respond(PROMPT, never))
    assert len(server.requests) == 1


def test_an_error_inside_the_stream(start: Start) -> None:
    def script(connection: Connection, body: dict[str, Any]) -> None:
        connection.begin()
        connection.say("Once")
        connection.line('data: {"error": {"message": "My secret plan.", "code": "overloaded"}}')

    engine, _ = start(script)
    with pytest.raises(EngineFailed, match="overloaded") as failure:
        list(engine.respond(PROMPT, never))
    assert "secret" not in str(failure.value)


def test_an_empty_answer_is_a_failure(start: Start) -> None:
    def empty(connection: Connection, body: dict[str, Any]) -> None:
        connection.begin()
        connection.line('data: {"choices": [{"delta": {"reasoning_content": "Hm."}}]}')
        connection.end()

    engine, _ = start(empty)
    with pytest.raises(EngineFailed, match="empty answer"):
        list(engine.respond(PROMPT, never))


def test_a_server_that_does_not_stream(start: Start) -> None:
    def whole(connection: Connection, body: dict[str, Any]) -> None:
        connection.answer(200, {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]})

    engine, _ = start(whole)
    assert text_of(list(engine.respond(PROMPT, never))) == "Hello."


def hang(connection: Connection, body: dict[str, Any]) -> None:
    connection.wait_for_hang_up()


def hang_after_a_token(connection: Connection, body: dict[str, Any]) -> None:
    connection.begin()
    connection.say("Once")
    connection.wait_for_hang_up()


def keep_alive_for_ever(connection: Connection, body: dict[str, Any]) -> None:
    connection.begin()
    for _ in range(100):
        connection.line(": keep-alive")
        if connection.server.hung_up.wait(0.02):
            return


@pytest.mark.parametrize("script", [hang, keep_alive_for_ever])
def test_no_first_token_in_time(start: Start, script: Handle) -> None:
    engine, server = start(script, first_token_timeout_s=0.3)
    with pytest.raises(EngineFailed, match=r"no token within 0\.3 s"):
        list(engine.respond(PROMPT, never))
    assert len(server.requests) == 1


def test_an_answer_that_stops_in_the_middle(start: Start) -> None:
    engine, server = start(hang_after_a_token, first_token_timeout_s=0.3)
    with pytest.raises(EngineFailed, match="the answer stopped"):
        list(engine.respond(PROMPT, never))
    assert server.hung_up.wait(2)


def test_the_whole_answer_has_a_limit(start: Start) -> None:
    def drip(connection: Connection, body: dict[str, Any]) -> None:
        connection.begin()
        while not connection.server.hung_up.wait(0.02):
            try:
                connection.say("and ")
            except OSError:
                return

    engine, _ = start(drip, timeout_s=0.5, first_token_timeout_s=0.5)
    with pytest.raises(EngineFailed, match=r"longer than 0\.5 s"):
        list(engine.respond(PROMPT, never))


@pytest.mark.parametrize("script", [hang, hang_after_a_token])
def test_cancelling_closes_the_stream_at_once(start: Start, script: Handle) -> None:
    engine, server = start(script)
    stale_at = time.monotonic() + 0.2
    events = list(engine.respond(PROMPT, lambda: time.monotonic() >= stale_at))
    returned_after_s = time.monotonic() - stale_at
    assert server.hung_up.wait(2), "the server still holds the connection"
    assert not [event for event in events if isinstance(event, LlmFinished)]
    assert returned_after_s < 0.25  # 20 ms between polls; the rest is for a busy machine


def test_cancelling_while_waiting_for_a_retry(start: Start) -> None:
    engine, server = start(status(503, retry_after="4"))
    asked_s: list[float] = []

    def is_stale() -> bool:
        """A little after the request came in: the pause has begun by then."""
        if server.requests and not asked_s:
            asked_s.append(time.monotonic())
        return bool(asked_s) and time.monotonic() >= asked_s[0] + 0.3

    assert list(engine.respond(PROMPT, is_stale)) == []
    assert time.monotonic() - asked_s[0] < 2
    assert len(server.requests) == 1


def test_a_caller_that_walks_away_closes_the_stream(start: Start) -> None:
    engine, server = start(hang_after_a_token)
    events = engine.respond(PROMPT, never)
    assert next(events) == LlmText("Once")
    events.close()
    assert server.hung_up.wait(2)


def test_responses_side_by_side_share_one_thread(start: Start) -> None:
    everyone = threading.Barrier(8)

    def script(connection: Connection, body: dict[str, Any]) -> None:
        everyone.wait(10)
        hello(connection, body)

    engine, _ = start(script)
    texts: list[str] = []
    callers = [
        threading.Thread(target=lambda: texts.append(text_of(list(engine.respond(PROMPT, never))))) for _ in range(8)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(10)
    assert texts == ["Hello."] * 8
    assert sum(thread.name == "llm-openai" for thread in threading.enumerate()) == 1


def test_closing_the_engine_ends_open_responses(start: Start) -> None:
    engine, server = start(hang_after_a_token)
    events = engine.respond(PROMPT, never)
    next(events)
    engine.close()
    assert server.hung_up.wait(2)
    engine.close()


def test_the_model_is_chosen_from_what_is_offered(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, server = start(hello, model=None, models=("nomic-embed-text", "little-chat"))
    engine.warmup()
    list(engine.respond(PROMPT, never))
    assert server.requests[0]["model"] == "little-chat"


def test_the_model_is_chosen_late_when_the_endpoint_was_down_at_the_start(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = unused.getsockname()
    engine, _ = start(hello, model=None, base_url=f"http://127.0.0.1:{address[1]}/v1", max_retries=0)
    with caplog.at_level(logging.WARNING, "talkover.llm.openai_api"):
        engine.warmup()
    assert [record.getMessage() for record in caplog.records] == [
        f"language model: 127.0.0.1:{address[1]}: cannot be reached"
    ]
    with pytest.raises(EngineFailed, match="cannot be reached"):
        list(engine.respond(PROMPT, never))


def test_no_model_anywhere(start: Start) -> None:
    engine, _ = start(hello, model=None, models=())
    with pytest.raises(EngineFailed, match="offers no model"):
        list(engine.respond(PROMPT, never))


def test_endpoint_from_settings_and_environment() -> None:
    local = endpoint_from(LlmSettings(), {"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1", "OPENAI_MODEL": "qwen"})
    assert (local.host, local.model, local.is_openai) == ("127.0.0.1:11434", "qwen", False)
    configured = endpoint_from(LlmSettings(base_url="https://api.deepseek.com", model="deepseek-chat"), {})
    assert (configured.base_url, configured.model) == ("https://api.deepseek.com", "deepseek-chat")
    with pytest.raises(EngineUnavailable, match="export OPENAI_API_KEY"):
        endpoint_from(LlmSettings(), {})
    with pytest.raises(EngineUnavailable, match="http or https"):
        endpoint_from(LlmSettings(base_url="localhost:11434"), {})


def test_first_chat_model() -> None:
    assert first_chat_model(["gpt-4o-mini", "gpt-4.1-mini"], is_openai=True) == "gpt-4.1-mini"
    assert first_chat_model(["bge-embed", "whisper-1", "qwen3"], is_openai=False) == "qwen3"
    assert first_chat_model(["bge-embed"], is_openai=False) == "bge-embed"
    assert first_chat_model([], is_openai=False) is None


def test_retry_after() -> None:
    assert retry_after_s({"retry-after": "2"}) == 2.0
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "2"}) == 0.25
    assert retry_after_s({"retry-after": "Fri, 31 Dec 2027 23:59:59 GMT"}) is None
    assert retry_after_s({}) is None
