"""Python functions as tools: a decorator, and the file or module they are loaded from.

The JSON schema comes from the annotations through pydantic, the description from the docstring. A parameter annotated
`ToolContext` gets the call's context and is not shown to the model.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticSerializationError, to_json

from talkover.config import ConfigError
from talkover.tools.arguments import ArgumentsRefused
from talkover.tools.tool import Tool, ToolContext, ToolResult

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

_MARK = "__talkover_tool__"


def tool(
    *,
    name: str = "",
    description: str = "",
    read_only: bool = False,
    confirm: str = "",
    timeout_s: float | None = None,
) -> Callable[[AnyFunction], AnyFunction]:
    """Marks a function as a tool and leaves it as it is.

    `name` and `description` replace those of the function; the others are fields of `Tool`. Raises TypeError when an
    annotation has no JSON schema, or there is a positional-only or variable parameter.
    """

    def mark(function: AnyFunction) -> AnyFunction:
        made = function_tool(function, name=name, description=description)
        setattr(
            function,
            _MARK,
            Tool(made.name, made.description, made.parameters, made.run, read_only, confirm, timeout_s),
        )
        return function

    return mark


def function_tool(function: Callable[..., Any], *, name: str = "", description: str = "") -> Tool:
    """`function` as a tool that is neither read-only nor confirmed."""
    model, context_name = _arguments_model(function)
    schema = model.model_json_schema()
    schema.pop("title", None)
    for member in schema.get("properties", {}).values():
        member.pop("title", None)

    def run(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        try:
            checked = model.model_validate(arguments)
        except ValidationError as error:
            raise ArgumentsRefused(f"The arguments do not fit: {_told(error)}.") from None
        values = {field: getattr(checked, field) for field in type(checked).model_fields}
        if context_name is not None:
            values[context_name] = context
        returned = function(**values)
        if inspect.isawaitable(returned):
            returned = asyncio.run(_awaited(returned))
        return _result(returned, function)

    return Tool(
        name or getattr(function, "__name__", "tool"),
        description or inspect.getdoc(function) or "",
        schema,
        run,
    )


def load_functions(module: str) -> list[Tool]:
    """The tools of a Python file (`orders.py`) or an importable module. Raises ConfigError."""
    try:
        if module.endswith(".py"):
            path = Path(module)
            spec = importlib.util.spec_from_file_location(f"talkover_tools_{path.stem}", path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} is no Python file")
            loaded = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = loaded  # where dataclasses and pydantic look annotations up
            spec.loader.exec_module(loaded)
        else:
            loaded = importlib.import_module(module)
    except Exception as error:  # whatever a user's module raises while it is read
        message = f"tools.functions: {module!r} cannot be loaded: {type(error).__name__}: {error}"
        raise ConfigError([message]) from error
    found = [getattr(value, _MARK) for value in vars(loaded).values() if isinstance(getattr(value, _MARK, None), Tool)]
    if not found:
        message = f"tools.functions: {module!r} has no function with the decorator talkover.tools.functions.tool"
        raise ConfigError([message])
    return found


def _arguments_model(function: Callable[..., Any]) -> tuple[type[BaseModel], str | None]:
    """The pydantic model of the parameters, and the name of the one that takes the context."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    context_name: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{function!r}: parameter {parameter.name!r} of a tool must be passable by name")
        annotation = hints.get(parameter.name, Any)
        if annotation is ToolContext:
            context_name = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (annotation, Field(default))
    name = getattr(function, "__name__", "tool")
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields), context_name


def _told(error: ValidationError) -> str:
    """`days: Input should be less than or equal to 7, got 70; city: Field required`."""
    problems: list[str] = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"]) or "arguments"
        missing = problem["type"] == "missing"
        problems.append(f"{where}: {problem['msg']}" + ("" if missing else f", got {str(problem['input'])[:60]!r}"))
    return "; ".join(problems)


async def _awaited(returned: Any) -> Any:
    return await returned


def _result(returned: Any, function: Callable[..., Any]) -> ToolResult:
    if isinstance(returned, ToolResult):
        return returned
    if isinstance(returned, str):
        return ToolResult(returned)
    try:
        return ToolResult(to_json(returned).decode())
    except PydanticSerializationError as error:
        raise TypeError(f"{function!r} returned what JSON cannot hold: {error}") from error
