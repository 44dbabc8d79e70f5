"""The web search services: the request each wants and the results in its answer. Pure.

Shapes as documented by the services in 2026: Serper `POST /search`, Tavily `POST /search`, Brave
`GET /res/v1/web/search`, SearXNG `GET /search?format=json`.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlencode, urlsplit

from talkover.tools.http_fetch import HttpRequest

Engine = Literal["serper", "tavily", "brave", "searxng"]

BASE_URLS: dict[Engine, str] = {
    "serper": "https://google.serper.dev",
    "tavily": "https://api.tavily.com",
    "brave": "https://api.search.brave.com",
}
KEY_VARIABLES: dict[Engine, str] = {
    "serper": "SERPER_API_KEY",
    "tavily": "TAVILY_API_KEY",
    "brave": "BRAVE_API_KEY",
}
MAX_SNIPPET_CHARS = 600
MAX_TITLE_CHARS = 200

_TAG = re.compile(r"<[^>]{0,200}>")
_LISTS: dict[Engine, tuple[str, ...]] = {
    "serper": ("organic",),
    "tavily": ("results",),
    "brave": ("web", "results"),
    "searxng": ("results",),
}
"""where the list of results is in the answer"""
_FIELDS: dict[Engine, tuple[str, str]] = {
    "serper": ("link", "snippet"),
    "tavily": ("url", "content"),
    "brave": ("url", "description"),
    "searxng": ("url", "content"),
}
"""what address and text of a result are called"""


@dataclass(frozen=True, slots=True)
class WebResult:
    """One result of a search."""

    title: str
    url: str
    snippet: str

    @property
    def site(self) -> str:
        return (urlsplit(self.url).hostname or "").removeprefix("www.")


def search_request(engine: Engine, base_url: str, key: str, query: str, limit: int) -> HttpRequest:
    """The request for at most `limit` results."""
    base_url = base_url.rstrip("/")
    accepts = {"Accept": "application/json"}
    match engine:
        case "serper":
            headers = {**accepts, "X-API-KEY": key, "Content-Type": "application/json"}
            return HttpRequest(f"{base_url}/search", "POST", headers, _json({"q": query, "num": limit}))
        case "tavily":
            headers = {**accepts, "Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            body = {"query": query, "max_results": limit, "search_depth": "basic"}
            return HttpRequest(f"{base_url}/search", "POST", headers, _json(body))
        case "brave":
            headers = {**accepts, "X-Subscription-Token": key}
            parameters = urlencode({"q": query, "count": limit})
            return HttpRequest(f"{base_url}/res/v1/web/search?{parameters}", headers=headers)
        case "searxng":
            return HttpRequest(f"{base_url}/search?{urlencode({'q': query, 'format': 'json'})}", headers=accepts)


def search_results(engine: Engine, answer: str, limit: int) -> list[WebResult]:
    """The results in an answer. Raises ValueError when it has another shape."""
    try:
        node: Any = json.loads(answer)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    for name in _LISTS[engine]:
        if not isinstance(node, dict):
            raise ValueError(f"has no {name}")
        node = cast("dict[str, Any]", node).get(name) or []
    if not isinstance(node, list):
        raise ValueError(f"{_LISTS[engine][-1]} is no list")
    return list(_read(engine, cast("list[Any]", node)))[:limit]


def _read(engine: Engine, results: list[Any]) -> Iterator[WebResult]:
    url_name, text_name = _FIELDS[engine]
    for raw in results:
        if not isinstance(raw, Mapping):
            continue
        result = cast("Mapping[str, Any]", raw)
        url = str(result.get(url_name) or "")
        if _is_web_address(url):
            title = plain(str(result.get("title") or ""), MAX_TITLE_CHARS)
            yield WebResult(title, url, plain(str(result.get(text_name) or ""), MAX_SNIPPET_CHARS))


def _is_web_address(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:  # brackets that hold no address: one bad result must not cost the others
        return False


def plain(text: str, limit: int) -> str:
    """Text without the markup that services put around the words they found."""
    text = " ".join(html.unescape(_TAG.sub("", text)).split())
    return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0] + " …"


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
