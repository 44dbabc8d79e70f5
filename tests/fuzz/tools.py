"""What tools are made from and called with: schemas, arguments, OpenAPI documents, MCP servers, results of searches."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fuzz.harness import Fuzzer
from fuzz.mutation import mutated_json
from talkover.config import ConfigError
from talkover.sections.agent import OpenapiSettings
from talkover.tools import mcp_client
from talkover.tools.arguments import ArgumentsRefused, canonical, check, decode
from talkover.tools.openapi import load_openapi, operations, request_for
from talkover.tools.search_providers import BASE_URLS, Engine, search_results
from talkover.tools.tool import MAX_OUTPUT_CHARS, ToolFailed, cut_output


def fuzz_tool_arguments(data: bytes) -> None:
    """The first line is the schema, from a server's document; the rest is what a model wrote."""
    head, _, written = data.decode("utf-8", "replace").partition("\n")
    schema = _object(head)
    try:
        arguments = decode(written)
        check(arguments, schema)
    except ArgumentsRefused:
        return
    assert decode(canonical(arguments)) == arguments or "NaN" in canonical(arguments)


def fuzz_openapi(data: bytes) -> None:
    """A document of a service: tools, or a ConfigError; and the request of each with what its schema lets through."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "openapi.json"
        path.write_bytes(data)
        try:
            tools = load_openapi(OpenapiSettings(document=str(path), base_url="http://127.0.0.1:1"))
        except ConfigError:
            return
    for tool in tools:
        with contextlib.suppress(ToolFailed):
            check({"a": "x", "b": [1], "body": {}}, tool.parameters)
        json.dumps(tool.parameters, default=str)
    document = _object(data.decode("utf-8", "replace"))
    for operation in operations(document):
        arguments = {parameter.name: "../x\n" for parameter in operation.parameters}
        with contextlib.suppress(ArgumentsRefused):
            request = request_for(operation, "http://127.0.0.1:1", arguments, {}, "key")
            assert request.url.startswith("http://127.0.0.1:1"), request.url
            assert all(str(value).isprintable() for value in request.headers.values())


def fuzz_mcp(data: bytes) -> None:
    """The first line is a tool as a server lists it, the second the result of a call."""
    head, _, result = data.decode("utf-8", "replace").partition("\n")
    with contextlib.suppress(ValidationError, ValueError):
        listed = mcp_client.McpTool.model_validate(_object(head), by_name=False)
        with contextlib.suppress(ToolFailed):
            check({"a": "x", "b": [1]}, dict(listed.input_schema))
    with contextlib.suppress(ToolFailed, ValidationError):
        output = mcp_client.result_of(mcp_client.CallToolResult.model_validate(_object(result), by_name=False)).output
        assert output
        assert len(cut_output(output)) <= MAX_OUTPUT_CHARS


def fuzz_search_answers(data: bytes) -> None:
    """The answer of every search service. The shape that cannot be read is a ValueError, which the caller expects."""
    answer = data.decode("utf-8", "replace")
    engines: list[Engine] = [*BASE_URLS, "searxng"]
    for engine in engines:
        with contextlib.suppress(ValueError):
            for result in search_results(engine, answer, 5):
                assert len(result.snippet) <= 610
                assert isinstance(result.site, str)


def _object(text: str) -> dict[str, Any]:
    """What a JSON object holds; empty for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


FUZZERS = (
    Fuzzer("tool_arguments", fuzz_tool_arguments, mutate=mutated_json),
    Fuzzer("openapi", fuzz_openapi, mutate=mutated_json),
    Fuzzer("mcp", fuzz_mcp, mutate=mutated_json),
    Fuzzer("search_answers", fuzz_search_answers, mutate=mutated_json),
)
