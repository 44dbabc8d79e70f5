"""Tools of MCP servers, through the protocol's official client: over standard input and output, or streamable HTTP.

Each server has one connection for all sessions, kept in a task of its own on an event loop in a thread. One that broke
is made anew by the next call.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import CONNECTION_CLOSED, CallToolResult, TextContent
from mcp.types import Tool as McpTool

from talkover.config import ConfigError
from talkover.engines import IsStale
from talkover.event_loop import LoopThread, Stale, TooSlow
from talkover.sections.agent import McpSettings
from talkover.tools.arguments import check
from talkover.tools.tool import NAME, Tool, ToolContext, ToolFailed, ToolResult

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 30.0
"""a server of the Python registry starts within 2 s, one that `npx` fetches first takes longer"""
CLOSE_TIMEOUT_S = 10.0
MAX_TOOLS = 64
KEY_META = "talkover/idempotency-key"
"""under this name a call tells its key, for servers that look for one"""


class McpServer:
    """The connection to one server. Used from any thread."""

    def __init__(self, settings: McpSettings, api_key: str = "") -> None:
        self._settings = settings
        self._api_key = api_key
        self._loop = LoopThread(f"mcp-{settings.name}")
        self._serving: asyncio.Task[None] | None = None
        self._client: asyncio.Future[Client] | None = None

    def tools(self) -> list[McpTool]:
        """What the server offers. Raises ToolFailed when it cannot be reached."""

        async def listed() -> list[McpTool]:
            client = await self._connected()
            found: list[McpTool] = []
            cursor: str | None = None
            while len(found) <= MAX_TOOLS:
                page = await client.list_tools(cursor=cursor)
                found += page.tools
                cursor = page.next_cursor
                if cursor is None:
                    break
            return found

        return self._wait(listed, lambda: False, time.monotonic() + CONNECT_TIMEOUT_S)

    def call(self, name: str, arguments: dict[str, Any], context: ToolContext) -> CallToolResult:
        """Raises ToolFailed."""

        async def called() -> CallToolResult:
            client = await self._connected()
            meta: Any = {KEY_META: context.idempotency_key}
            try:
                return await client.call_tool(name, arguments, meta=meta)
            except MCPError as error:
                if error.error.code == CONNECTION_CLOSED and self._serving is not None:
                    self._serving.cancel()
                    self._serving = None
                raise

        return self._wait(called, context.is_stale, context.until_s)

    def close(self) -> None:
        """End the connection, and the process where there is one."""

        async def ended() -> None:
            if self._serving is not None:
                self._serving.cancel()
                await asyncio.wait((self._serving,))

        async def nothing() -> None:
            """The connection is closed already."""

        with suppress(Stale, TooSlow):
            self._loop.wait(ended(), lambda: False, time.monotonic() + CLOSE_TIMEOUT_S)
        with suppress(TimeoutError):  # a server process that hangs is left to the end of ours
            self._loop.close(nothing)

    # ------------------------------------------------------------------------------------------- on the loop's thread

    def _wait(self, work: Any, is_stale: IsStale, until_s: float) -> Any:
        name = self._settings.name
        try:
            return self._loop.wait(work(), is_stale, until_s)
        except TooSlow:
            raise ToolFailed(f"The server {name} did not answer in time.") from None
        except Stale:
            raise ToolFailed("It was called off.") from None
        except Exception as error:  # whatever a server or its transport makes of a request
            log.warning("MCP server %s: %s", name, _for_log(error))
            raise ToolFailed(f"The server {name} could not do it: {_first_line(error)}.") from None

    async def _connected(self) -> Client:
        loop = asyncio.get_running_loop()
        if self._client is None or self._serving is None or self._serving.done():
            self._client = loop.create_future()
            self._serving = loop.create_task(self._serve(self._client))
        return await asyncio.shield(self._client)  # a call that gives up leaves the connection to the next one

    async def _serve(self, ready: asyncio.Future[Client]) -> None:
        """Keep a connection until cancelled or broken; its scopes must be left by the task that entered them."""
        try:
            async with AsyncExitStack() as scopes:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    transport = await scopes.enter_async_context(self._transport())
                    client = await scopes.enter_async_context(Client(transport))
                ready.set_result(client)
                await asyncio.Event().wait()
        except Exception as error:
            if ready.done():
                log.warning("MCP server %s: the connection broke: %s", self._settings.name, _for_log(error))
            else:
                ready.set_exception(error)
                ready.exception()  # seen, also when every call that waited for it has given up
        finally:
            ready.cancel()

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[Any, None]:
        settings = self._settings
        if settings.url is None:
            environ = {name: os.environ[name] for name in settings.env if name in os.environ}
            command, *arguments = settings.command
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                yield stdio_client(StdioServerParameters(command=command, args=arguments, env=environ), nowhere)
            return
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        timeout = httpx2.Timeout(CONNECT_TIMEOUT_S, read=300)
        async with httpx2.AsyncClient(headers=headers, timeout=timeout) as client:
            yield streamable_http_client(settings.url, http_client=client)


def load_mcp(settings: McpSettings) -> list[Tool]:
    """The tools of one server; none, and a line in the log, when it cannot be reached. Raises ConfigError."""
    key = f"tools.mcp: {settings.name}"
    api_key = ""
    if settings.api_key_env is not None:
        api_key = os.environ.get(settings.api_key_env, "").strip()
        if not api_key:
            raise ConfigError([f"{key}: the variable {settings.api_key_env} is not set"])
    server = McpServer(settings, api_key)
    try:
        found = {tool.name: tool for tool in server.tools() if NAME.fullmatch(tool.name)}
    except ToolFailed as error:
        log.error("%s: goes without its tools. %s", key, error)
        server.close()
        return []
    unknown = [name for name in (*settings.tools, *settings.confirm) if name not in found]
    chosen = [found[name] for name in settings.tools if name in found] or list(found.values())
    if unknown or not 1 <= len(chosen) <= MAX_TOOLS:
        server.close()
        problem = f"has no tool {unknown[0]!r}, but {', '.join(found)}" if unknown else f"offers {len(chosen)} tools"
        raise ConfigError([f"{key}: {problem}; tools must name 1 to {MAX_TOOLS} of them"])
    first, *others = (_tool(server, tool, settings.confirm.get(tool.name, "")) for tool in chosen)
    return [replace(first, closes=(server.close,)), *others]


def result_of(result: CallToolResult) -> ToolResult:
    """What the model gets. Raises ToolFailed when the server says that it did not work."""
    text = "\n".join(part.text for part in result.content if isinstance(part, TextContent)).strip()
    if result.is_error:
        raise ToolFailed(text[:400] or "The tool did not work.")
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False)
    return ToolResult(text or json.dumps({"ok": True}))


def _tool(server: McpServer, tool: McpTool, confirm: str) -> Tool:
    schema = dict(tool.input_schema)

    def run(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        check(arguments, schema)
        return result_of(server.call(tool.name, arguments, context))

    read_only = tool.annotations is not None and bool(tool.annotations.read_only_hint)
    return Tool(tool.name, tool.description or tool.title or "", schema, run, read_only=read_only, confirm=confirm)


def _first_line(error: BaseException) -> str:
    """The innermost of grouped exceptions, in one line."""
    lines = str(_innermost(error)).splitlines()
    return lines[0][:200] if lines else type(_innermost(error)).__name__


def _for_log(error: BaseException) -> str:
    """The same without the words of a server, which may quote arguments."""
    inner = _innermost(error)
    return f"error {inner.error.code}" if isinstance(inner, MCPError) else _first_line(inner)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error
