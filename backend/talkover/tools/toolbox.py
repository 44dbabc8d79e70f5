"""All server-side tools a configuration names, put together. Each kind is loaded by a module of its own."""

from __future__ import annotations

from collections.abc import Callable

from talkover.config import ConfigError, Settings
from talkover.extras import install_command
from talkover.sections.agent import McpSettings
from talkover.tools.functions import load_functions
from talkover.tools.openapi import load_openapi
from talkover.tools.tool import Tool, Toolbox
from talkover.tools.web_search import load_search

Load = Callable[[], list[Tool]]


def load_toolbox(settings: Settings, more: tuple[Tool, ...] = ()) -> Toolbox:
    """The tools of `settings`, and `more`. Raises ConfigError with every problem at once.

    An MCP server that cannot be reached is logged and left out: it may be down for a while.
    """
    tools, problems = list(more), list[str]()
    for load in _loads(settings):
        try:
            tools += load()
        except ConfigError as error:
            problems += error.problems
    if problems:
        for tool in tools:
            for close in tool.closes:
                close()
        raise ConfigError(problems)
    return Toolbox(tools)


def _loads(settings: Settings) -> list[Load]:
    loads: list[Load] = []
    for module in settings.tools.functions:
        loads.append(lambda module=module: load_functions(module))
    for service in settings.tools.openapi:
        loads.append(lambda service=service: load_openapi(service))
    for server in settings.tools.mcp:
        loads.append(lambda server=server: _load_mcp(server))
    loads.append(lambda: load_search(settings.search))
    return loads


def _load_mcp(server: McpSettings) -> list[Tool]:
    """Raises ConfigError, also when the extra `mcp` is missing."""
    try:
        from talkover.tools.mcp_client import load_mcp
    except ImportError as error:
        raise ConfigError([f"tools.mcp: needs the package {error.name!r}: {install_command('mcp')}"]) from error
    return load_mcp(server)
