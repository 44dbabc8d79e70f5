"""HTTP services as tools: each operation of an OpenAPI 3 document is one.

Parameters and the members of a JSON body become the arguments of one flat object, which is what models fill best.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode, urljoin, urlsplit

from talkover.config import ConfigError
from talkover.extras import install_command
from talkover.sections.agent import OpenapiSettings
from talkover.tools.arguments import ArgumentsRefused, check
from talkover.tools.http_fetch import FetchFailed, HttpAnswer, HttpRequest, fetch
from talkover.tools.tool import NAME, Tool, ToolContext, ToolFailed, ToolResult
from talkover.yaml_tree import yaml_tree

METHODS = ("get", "put", "post", "delete", "patch", "head")
SAFE_METHODS = frozenset(("get", "head"))
CONFIRM_KEY = "x-talkover-confirm"
"""of an operation in the document: the question asked before it is carried out"""
OWN_HEADERS = frozenset(("accept", "content-type", "authorization", "idempotency-key"))
"""not the model's: the first three by the specification of header parameters, the last because we fill it"""
MAX_TOOLS = 64
MAX_DOCUMENT_BYTES = 8 << 20
MAX_DETAIL_CHARS = 400
LOAD_TIMEOUT_S = 10.0
MAX_NODES = 200_000
"""of a document whose references are filled in: a few of them within each other stand for any number"""
_MAX_DEPTH = 8

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Where an argument goes."""

    name: str
    place: str
    """path, query, header or body"""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the service."""

    name: str
    method: str
    path: str
    description: str
    schema: JsonObject
    parameters: tuple[Parameter, ...]
    whole_body: bool = False
    """the argument `body` is the body; else it is the object of all body parameters"""
    confirm: str = ""


def load_openapi(settings: OpenapiSettings) -> list[Tool]:
    """The tools of one service. Raises ConfigError naming the key and what is wrong with it."""
    key = f"tools.openapi: {settings.document!r}"
    document = _document(settings.document, key)
    base_url = settings.base_url or _server_url(document, settings.document)
    if not _is_web_address(base_url):
        raise ConfigError([f"{key}: base_url must be an http or https address, got {base_url!r}"])
    try:
        found = {operation.name: operation for operation in operations(document)}
    except ValueError as error:
        raise ConfigError([f"{key}: {error}"]) from error
    unknown = [name for name in (*settings.operations, *settings.confirm) if name not in found]
    if unknown:
        raise ConfigError([f"{key}: has no operation {unknown[0]!r}, but {', '.join(found)}"])
    chosen = [found[name] for name in settings.operations] or list(found.values())
    if not 1 <= len(chosen) <= MAX_TOOLS:
        raise ConfigError([f"{key}: must offer 1 to {MAX_TOOLS} operations, got {len(chosen)}; choose by operations"])
    headers: dict[str, str] = {}
    if settings.api_key_env is not None:
        value = os.environ.get(settings.api_key_env, "").strip()
        if not value:
            raise ConfigError([f"{key}: the variable {settings.api_key_env} is not set"])
        headers[settings.api_key_header] = (
            f"Bearer {value}" if settings.api_key_header.lower() == "authorization" else value
        )
    return [_tool(operation, base_url, headers, settings.confirm.get(operation.name, "")) for operation in chosen]


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """All operations whose arguments can be told from the document. Raises ValueError for one that has no end."""
    references = _References(document)
    found: list[Operation] = []
    for path, item in _object(document.get("paths")).items():
        members = _object(references.target(item))
        for method in METHODS:
            operation = members.get(method)
            if isinstance(operation, dict):
                shared = _list(members.get("parameters"))
                made = _operation(path, method, cast("JsonObject", operation), shared, references)
                found += [made] if made is not None else []
    return found


def request_for(
    operation: Operation, base_url: str, arguments: Mapping[str, Any], headers: Mapping[str, str], key: str
) -> HttpRequest:
    """The HTTP request of a call. Raises ArgumentsRefused for what an address or header cannot hold."""
    path = operation.path
    query: list[tuple[str, str]] = []
    sent: dict[str, str] = {"Accept": "application/json", **headers}
    body: Any = arguments.get("body") if operation.whole_body else {}
    for parameter in operation.parameters:
        if parameter.name not in arguments or (operation.whole_body and parameter.place == "body"):
            continue
        value = arguments[parameter.name]
        match parameter.place:
            case "path":
                text = _text(value)
                if text in ("", ".", ".."):
                    raise ArgumentsRefused(f"The arguments do not fit: {parameter.name} must not be {text!r}.")
                path = path.replace(f"{{{parameter.name}}}", quote(text, safe=""))
            case "query":
                values = cast("list[Any]", value) if isinstance(value, list) else [value]
                query += [(parameter.name, _text(one)) for one in values]
            case "header":
                if not _text(value).isprintable():
                    raise ArgumentsRefused(f"The arguments do not fit: {parameter.name} must be one line of text.")
                sent.setdefault(parameter.name, quote(_text(value), safe=" !#$&'()*+,/:;=?@[]~"))
            case _:
                body[parameter.name] = value
    url = base_url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
    payload = None
    if body not in ({}, None):
        payload = json.dumps(body, ensure_ascii=False).encode()
        sent["Content-Type"] = "application/json"
    if operation.method not in SAFE_METHODS:
        sent["Idempotency-Key"] = key
    return HttpRequest(url, operation.method.upper(), sent, payload)


def result_of(answer: HttpAnswer) -> ToolResult:
    """What the model gets of an answer. Raises ToolFailed for one that says no."""
    text = answer.text()
    if 200 <= answer.status < 300:
        return ToolResult(_compact(text) or json.dumps({"ok": True}))
    if 400 <= answer.status < 500:
        detail = _compact(text)[:MAX_DETAIL_CHARS]
        raise ToolFailed(f"The service refused it with HTTP {answer.status}{': ' if detail else ''}{detail}.")
    raise ToolFailed(f"The service failed with HTTP {answer.status}.")


def _tool(operation: Operation, base_url: str, headers: Mapping[str, str], confirm: str) -> Tool:
    def run(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        check(arguments, operation.schema)
        request = request_for(operation, base_url, arguments, headers, context.idempotency_key)
        try:
            return result_of(fetch(request, until_s=context.until_s, is_stale=context.is_stale))
        except FetchFailed as error:
            raise ToolFailed(f"The service cannot be reached: {error}.") from None

    return Tool(
        operation.name,
        operation.description,
        operation.schema,
        run,
        read_only=operation.method in SAFE_METHODS,
        confirm=confirm or operation.confirm,
    )


def _operation(
    path: str, method: str, operation: JsonObject, shared: list[Any], references: _References
) -> Operation | None:
    """None for one that needs a body which is not JSON: a form or a file cannot be filled by a model."""
    properties: JsonObject = {}
    required: list[str] = []
    parameters: dict[str, Parameter] = {}
    for raw in (*shared, *_list(operation.get("parameters"))):
        parameter = _object(references.inlined(raw))
        name, place = str(parameter.get("name", "")), str(parameter.get("in", ""))
        if place not in ("path", "query", "header") or (place == "header" and name.lower() in OWN_HEADERS):
            continue
        schema = dict(_object(parameter.get("schema")))
        if parameter.get("description"):
            schema.setdefault("description", parameter["description"])
        properties[name] = schema
        parameters[name] = Parameter(name, place)
        if place == "path" or parameter.get("required"):
            required.append(name)
    body = _object(references.inlined(operation.get("requestBody")))
    media = next((value for kind, value in _object(body.get("content")).items() if "json" in kind), None)
    whole_body = False
    if media is None and body.get("required"):
        return None
    if media is not None:
        schema = _object(_object(media).get("schema"))
        members = _object(schema.get("properties"))
        whole_body = not members or bool(members.keys() & properties.keys())
        if whole_body:
            members, needed = {"body": schema}, ["body"] if body.get("required") else []
        else:
            required_members = [name for name in _list(schema.get("required")) if isinstance(name, str)]
            needed = required_members if body.get("required", True) else []
        properties |= members
        parameters |= {name: Parameter(name, "body") for name in members}
        required += needed
    whole: JsonObject = {
        "type": "object",
        "properties": properties,
        "required": list(dict.fromkeys(required)),
        "additionalProperties": False,
    }
    said = (operation.get("summary"), operation.get("description"))
    return Operation(
        _name(operation, method, path),
        method,
        path,
        ". ".join(str(text).strip().rstrip(".") for text in said if text)[:1000] or f"{method.upper()} {path}",
        whole,
        tuple(parameters.values()),
        whole_body,
        str(operation.get(CONFIRM_KEY) or ""),
    )


def _name(operation: JsonObject, method: str, path: str) -> str:
    given = str(operation.get("operationId") or "")
    if NAME.fullmatch(given):
        return given
    return re.sub(r"[^a-zA-Z0-9-]+", "_", given or f"{method}_{path}").strip("_")[:64]


class _References:
    """What the references of a document stand for."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._nodes = 0

    def target(self, node: Any) -> Any:
        """`node`, or what it refers to."""
        return self._followed(node)[0]

    def inlined(self, node: Any) -> Any:
        """`node` with its references filled in; a schema that holds itself ends in one that allows everything.

        Raises ValueError when they stand for more than `MAX_NODES`.
        """
        return self._inlined(node, 0)

    def _inlined(self, node: Any, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ValueError(f"its references stand for more than {MAX_NODES} values")
        node, steps = self._followed(node)
        depth += steps
        if depth > _MAX_DEPTH:
            return {}
        if isinstance(node, dict):
            members = cast("JsonObject", node)
            return {key: self._inlined(value, depth + 1) for key, value in members.items()}
        if isinstance(node, list):
            return [self._inlined(value, depth + isinstance(value, list)) for value in cast("list[Any]", node)]
        return node

    def _followed(self, node: Any) -> tuple[Any, int]:
        """Where a chain of references ends, and how long it is."""
        for steps in range(_MAX_DEPTH):
            reference = _object(node).get("$ref")
            if not isinstance(reference, str):
                return node, steps
            target: Any = self._document if reference.startswith("#/") else None
            for part in reference[2:].split("/"):
                target = _object(target).get(part.replace("~1", "/").replace("~0", "~"))
            node = target or {}
        return node, _MAX_DEPTH


def _document(place: str, key: str) -> JsonObject:
    try:
        if place.startswith(("http://", "https://")):
            until_s = time.monotonic() + LOAD_TIMEOUT_S
            answer = fetch(HttpRequest(place), until_s=until_s, is_stale=lambda: False, max_bytes=MAX_DOCUMENT_BYTES)
            if answer.status != 200:
                raise ConfigError([f"{key}: cannot be fetched, HTTP {answer.status}"])
            text = answer.text()
        else:
            text = Path(place).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, FetchFailed) as error:
        raise ConfigError([f"{key}: cannot be read: {error}"]) from error
    document = _parsed(text, key)
    if not isinstance(document, dict) or not str(cast("JsonObject", document).get("openapi", "")).startswith("3."):
        raise ConfigError([f"{key}: must be an OpenAPI 3 document"])
    return cast("JsonObject", document)


def _parsed(text: str, key: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError([f"{key}: is not valid JSON: {error}"]) from error
    try:
        # with names and values as JSON has them: YAML also knows numbers for names, dates and bytes
        return json.loads(json.dumps(yaml_tree(text), default=str, skipkeys=True))
    except ImportError as error:
        command = install_command("full")
        raise ConfigError([f"{key}: YAML needs the package 'pyyaml' ({command}); JSON does not"]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{key}: is not valid YAML: {error}"]) from error


def _server_url(document: Mapping[str, Any], place: str) -> str:
    """The first server; one without a host is where the document was fetched from."""
    servers = _list(document.get("servers"))
    server = _object(servers[0]) if servers else {}
    url = str(server.get("url") or "/")
    for name, variable in _object(server.get("variables")).items():
        url = url.replace(f"{{{name}}}", str(_object(variable).get("default", "")))
    try:
        return urljoin(place, url) if place.startswith("http") else url
    except ValueError:  # brackets that hold no address
        return url


def _is_web_address(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _object(value: Any) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _compact(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return " ".join(text.split())
