"""HTTP services as tools, against a real FastAPI service and documents with every trap."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

from live import eventually
from talkover.config import ConfigError
from talkover.sections.agent import OpenapiSettings
from talkover.tools.arguments import ArgumentsRefused
from talkover.tools.openapi import load_openapi, operations, request_for
from talkover.tools.tool import Tool, ToolContext, ToolFailed


class Order(BaseModel):
    lamp: str
    pieces: int = 1


def shop() -> FastAPI:
    service = FastAPI()
    keys: list[str] = []

    @service.get("/orders/{order_id}", operation_id="getOrder")
    async def get_order(order_id: str, detail: bool = False) -> dict[str, Any]:
        """Where an order is."""
        if order_id == "0":
            raise HTTPException(404, "there is no order 0")
        return {"order": order_id, "state": "on its way", "detail": detail}

    @service.post("/orders", operation_id="placeOrder", openapi_extra={"x-talkover-confirm": "Order {pieces} {lamp}?"})
    async def place_order(order: Order, idempotency_key: str = Header(), authorization: str = Header()) -> Any:
        if authorization != "Bearer secret":
            raise HTTPException(401)
        keys.append(idempotency_key)
        return {"lamp": order.lamp, "placed": len(set(keys))}

    @service.get("/slow", operation_id="slow")
    async def slow() -> None:
        await asyncio.sleep(30)

    @service.get("/broken", operation_id="broken")
    async def broken() -> None:
        raise HTTPException(500, "stack trace with a password")

    return service


@pytest.fixture(scope="module")
def shop_url() -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(shop(), host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    assert eventually(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def tools(shop_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tool]:
    monkeypatch.setenv("SHOP_KEY", "secret")
    settings = OpenapiSettings(document=f"{shop_url}/openapi.json", api_key_env="SHOP_KEY")
    return {tool.name: tool for tool in load_openapi(settings)}


def context(seconds: float = 10, key: str = "k1") -> ToolContext:
    return ToolContext(key, time.monotonic() + seconds, lambda: False)


def test_each_operation_is_a_tool_with_one_flat_object_of_arguments(tools: dict[str, Tool]) -> None:
    assert set(tools) == {"getOrder", "placeOrder", "slow", "broken"}
    assert set(tools["getOrder"].parameters["properties"]) == {"order_id", "detail"}
    assert tools["getOrder"].parameters["required"] == ["order_id"]
    assert tools["placeOrder"].parameters["required"] == ["lamp"]
    assert (tools["getOrder"].read_only, tools["placeOrder"].read_only) == (True, False)
    assert tools["placeOrder"].confirm == "Order {pieces} {lamp}?"


def test_arguments_go_where_they_belong(tools: dict[str, Tool]) -> None:
    found = json.loads(tools["getOrder"].run({"order_id": "4?2 ü", "detail": True}, context()).output)
    assert found == {"order": "4?2 ü", "state": "on its way", "detail": True}


def test_a_path_argument_stays_one_segment() -> None:
    (get,) = operations({"paths": {"/a/{x}/b": {"get": {"parameters": [{"name": "x", "in": "path"}]}}}})
    request = request_for(get, "http://host/v1/", {"x": "../../admin?y=1#z"}, {}, "k")
    assert request.url == "http://host/v1/a/..%2F..%2Fadmin%3Fy%3D1%23z/b"
    with pytest.raises(ArgumentsRefused):
        request_for(get, "http://host", {"x": ".."}, {}, "k")


def test_a_header_argument_cannot_add_headers_or_replace_the_key() -> None:
    parameters = [{"name": name, "in": "header"} for name in ("X-Note", "X-Key", "Authorization")]
    (get,) = operations({"paths": {"/a": {"get": {"parameters": parameters}}}})
    with pytest.raises(ArgumentsRefused):
        request_for(get, "http://host", {"X-Note": "a\r\nX-Admin: 1"}, {}, "k")
    assert set(get.schema["properties"]) == {"X-Note", "X-Key"}
    assert request_for(get, "http://host", {"X-Key": "mine"}, {"X-Key": "ours"}, "k").headers["X-Key"] == "ours"


def test_what_changes_something_carries_a_key_so_that_it_is_done_once(tools: dict[str, Tool]) -> None:
    place = tools["placeOrder"]
    for key, placed in (("k1", 1), ("k1", 1), ("k2", 2)):
        assert json.loads(place.run({"lamp": "Birch"}, context(key=key)).output)["placed"] == placed


def test_wrong_arguments_do_not_reach_the_service(tools: dict[str, Tool]) -> None:
    with pytest.raises(ArgumentsRefused, match="pieces must be an integer"):
        tools["placeOrder"].run({"lamp": "Birch", "pieces": "many"}, context())


def test_a_refusal_says_why_and_a_fault_says_nothing_of_its_inside(tools: dict[str, Tool]) -> None:
    with pytest.raises(ToolFailed, match=r"HTTP 404.*there is no order 0"):
        tools["getOrder"].run({"order_id": "0"}, context())
    with pytest.raises(ToolFailed) as failed:
        tools["broken"].run({}, context())
    assert str(failed.value) == "The service failed with HTTP 500."


def test_a_slow_service_is_left_at_the_deadline(tools: dict[str, Tool]) -> None:
    begun_s = time.monotonic()
    with pytest.raises(ToolFailed, match="no answer in time"):
        tools["slow"].run({}, context(0.4))
    assert time.monotonic() - begun_s < 3


def test_a_call_that_is_called_off_ends(tools: dict[str, Tool]) -> None:
    called_off = threading.Event()
    threading.Timer(0.2, called_off.set).start()
    with pytest.raises(ToolFailed, match="called off"):
        tools["slow"].run({}, ToolContext("k", time.monotonic() + 20, called_off.is_set))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "OpenAPI 3"),
        ("{", "not valid JSON"),
        ('{"swagger": "2.0"}', "OpenAPI 3"),
        ('{"openapi": "3.1.0", "paths": {}}', "base_url"),
        ('{"openapi": "3.1.0", "paths": {}, "servers": [{"url": "http://h"}]}', "1 to 64 operations"),
        ('{"openapi": "3.1.0", "servers": [{"url": "ftp://h"}]}', "base_url"),
    ],
)
def test_a_document_that_cannot_be_used_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "shop.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem) as refused:
        load_openapi(OpenapiSettings(document=str(path)))
    assert "shop.json" in str(refused.value)


def test_unknown_operations_and_missing_keys_are_named(shop_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_KEY", raising=False)
    document = f"{shop_url}/openapi.json"
    with pytest.raises(ConfigError, match="has no operation 'fly', but getOrder"):
        load_openapi(OpenapiSettings(document=document, operations=("fly",)))
    with pytest.raises(ConfigError, match="SHOP_KEY is not set"):
        load_openapi(OpenapiSettings(document=document, api_key_env="SHOP_KEY"))


def test_an_operation_that_needs_a_form_is_no_tool() -> None:
    form = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {"type": "object"}}}}}
    document = {"paths": {"/files": {"post": form, "get": {}}}}
    assert [operation.name for operation in operations(document)] == ["get_files"]


def test_references_are_followed_and_those_that_lead_in_circles_end() -> None:
    schema = {"$ref": "#/components/schemas/Node"}
    document = {
        "paths": {"/n": {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}},
        "components": {
            "schemas": {
                "Node": {
                    "type": "object",
                    "required": ["title"],
                    "properties": {"title": {"type": "string"}, "next": schema},
                }
            }
        },
    }
    (post,) = operations(document)
    assert post.name == "post_n"
    assert post.schema["required"] == ["title"]
    assert post.schema["properties"]["title"] == {"type": "string"}
