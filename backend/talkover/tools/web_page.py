"""The text of a page from the web: public addresses only, within its robots.txt, without what surrounds the text."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from urllib.parse import urljoin, urlsplit

import trafilatura
from protego import Protego

from talkover.engines import IsStale
from talkover.tools.addresses import Resolve, public_addresses
from talkover.tools.http_fetch import FetchFailed, HttpAnswer, HttpRequest, fetch

AGENT = "Talkover"
HEADERS = {"User-Agent": f"{AGENT}/1.0 (voice agent; reads pages for one question)", "Accept": "text/html,text/plain"}
MAX_REDIRECTS = 4
MAX_ROBOTS_BYTES = 500 << 10
"""what RFC 9309 asks to be read at least"""
ROBOTS_KEPT_S = 3600.0
MAX_ROBOTS = 256
MAX_TEXT_CHARS = 3000


class PageReader:
    """Reads pages for all sessions; remembers what sites allow. Safe for threads."""

    def __init__(self, max_bytes: int, resolve: Resolve = public_addresses) -> None:
        """`resolve` says where connections may go; only tests give another one."""
        self._max_bytes = max_bytes
        self._resolve = resolve
        self._robots: OrderedDict[str, tuple[float, Protego | None]] = OrderedDict()
        self._lock = threading.Lock()

    def text(self, url: str, until_s: float, is_stale: IsStale) -> str:
        """The text of the page, "" when it has none. Raises FetchFailed."""
        for _ in range(MAX_REDIRECTS + 1):
            if not self._is_allowed(url, until_s, is_stale):
                raise FetchFailed(f"{urlsplit(url).hostname}: its robots.txt does not allow it")
            answer = self._fetch(url, self._max_bytes, until_s, is_stale, max_redirects=0)
            location = answer.headers.get("location")
            if 300 <= answer.status < 400 and location:
                url = urljoin(url, location)
                continue
            if answer.status != 200:
                raise FetchFailed(f"{urlsplit(url).hostname}: HTTP {answer.status}")
            return readable(answer)
        raise FetchFailed(f"{urlsplit(url).hostname}: redirects too often")

    def _fetch(self, url: str, max_bytes: int, until_s: float, is_stale: IsStale, max_redirects: int) -> HttpAnswer:
        return fetch(
            HttpRequest(url, headers=HEADERS),
            until_s=until_s,
            is_stale=is_stale,
            max_bytes=max_bytes,
            resolve=self._resolve,
            max_redirects=max_redirects,
        )

    def _is_allowed(self, url: str, until_s: float, is_stale: IsStale) -> bool:
        """RFC 9309: no such file allows everything, a server that fails allows nothing."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        now_s = time.monotonic()
        with self._lock:
            kept_s, rules = self._robots.get(origin, (0.0, None))
        if kept_s <= now_s:
            answer = self._fetch(f"{origin}/robots.txt", MAX_ROBOTS_BYTES, until_s, is_stale, MAX_REDIRECTS)
            if 400 <= answer.status < 500:
                rules = Protego.parse("")
            else:
                rules = Protego.parse(answer.text()) if answer.status == 200 else None
            with self._lock:
                self._robots[origin] = (now_s + ROBOTS_KEPT_S, rules)
                while len(self._robots) > MAX_ROBOTS:
                    self._robots.popitem(last=False)
        return rules is not None and rules.can_fetch(url, AGENT)


def readable(answer: HttpAnswer) -> str:
    """Its main text, without navigation, advertisements and what is not shown."""
    kind = answer.headers.get("content-type", "text/html").split(";")[0].strip().lower()
    if kind == "text/plain":
        text = answer.text()
    elif kind in ("text/html", "application/xhtml+xml", ""):
        text = trafilatura.extract(answer.text(), include_comments=False, include_tables=True) or ""
    else:
        raise FetchFailed(f"{urlsplit(answer.url).hostname}: {kind} is no page of text")
    return " ".join(text.split())[:MAX_TEXT_CHARS]
