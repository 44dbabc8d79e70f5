"""All server-side tools a configuration names, put together. Each kind is loaded by a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from talkover.config import ConfigError, Settings
from talkover.extras import install_command
from talkover.tools.functions import load_functions
from talkover.tools.openapi import load_openapi
from talkover.tools.tool import Tool, Toolbox

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
        loads.append(lambda server=server: _optional("talkover.tools.mcp_client", "tools.mcp", "mcp").load_mcp(server))
    if settings.search.engine != "none":
        loads.append(lambda: _optional("talkover.tools.web_search", "search", "web").load_search(settings.search))
    return loads


def _optional(module: str, key: str, extra: str) -> Any:
    """A module that needs an extra. Raises ConfigError with the command that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError([f"{key}: needs the package {error.name!r}: {install_command(extra)}"]) from error
