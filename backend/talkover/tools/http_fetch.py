"""One HTTP request with a deadline, a size limit and a say in where it connects to.

On the standard library, because the connection must go to the very address that was judged. Proxies of the environment
are not used: behind one, nobody could say where a request ends up.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from socket import SHUT_RDWR, create_connection, socket
from urllib.parse import quote, urljoin, urlsplit

from talkover.engines import IsStale
from talkover.tools.addresses import Address, AddressRefused, Resolve, any_address

MAX_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16
WATCH_S = 0.05
"""how often a running request is asked whether it is still wanted"""
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_URL_CHARACTERS = "%/:=&?~#+!$,;'@()*[]|"
"""that stay in a path or query; others are percent-encoded, since search results name pages as people read them"""


class FetchFailed(Exception):
    """There is no answer; the message names the host and nothing secret."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is asked for."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came."""

    status: int
    url: str
    """the last one, after redirects"""
    headers: Mapping[str, str]
    """names in lower case"""
    body: bytes
    """cut at the limit"""
    is_cut: bool = False

    def text(self) -> str:
        """The body in the character set it names, UTF-8 where it names none that is known."""
        charset = self.headers.get("content-type", "").partition("charset=")[2].split(";")[0].strip(" \"'") or "utf-8"
        try:
            return self.body.decode(charset, "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")


def fetch(
    request: HttpRequest,
    *,
    until_s: float,
    is_stale: IsStale,
    max_bytes: int = MAX_BYTES,
    resolve: Resolve = any_address,
    max_redirects: int = 0,
) -> HttpAnswer:
    """The answer, or its first `max_bytes`. `until_s` is of the monotonic clock. Raises FetchFailed.

    Each redirect is judged like a new request; its answer to a request with a body is asked for without.
    """
    for _ in range(max_redirects + 1):
        answer = _once(request, until_s, is_stale, max_bytes, resolve)
        location = answer.headers.get("location")
        if answer.status not in _REDIRECTS or location is None or not max_redirects:
            return answer
        url = urljoin(request.url, location)
        same_origin = urlsplit(url)[:2] == urlsplit(request.url)[:2]
        request = replace(
            request, url=url, method="GET", body=None, headers=request.headers if same_origin else _harmless(request)
        )
    raise FetchFailed(f"{host_of(request.url)}: redirects too often")


def host_of(url: str) -> str:
    """For messages: no path and no credentials."""
    return urlsplit(url).hostname or "?"


def _once(request: HttpRequest, until_s: float, is_stale: IsStale, max_bytes: int, resolve: Resolve) -> HttpAnswer:
    try:
        parts = urlsplit(request.url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise FetchFailed(f"not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise FetchFailed("only http and https addresses can be fetched")
    is_secure = parts.scheme == "https"
    try:
        addresses = resolve(host, port or (443 if is_secure else 80))
    except AddressRefused as error:
        raise FetchFailed(f"{host}: {error}") from None
    except (OSError, UnicodeError):
        raise FetchFailed(f"{host}: the name is not known") from None
    connection = _Connection(host, port, addresses, is_secure, until_s)
    watch = _Watch(connection, until_s, is_stale)
    try:
        with watch:
            path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_URL_CHARACTERS)
            headers = {"Accept-Encoding": "identity", "Connection": "close", **request.headers}
            connection.request(request.method, path, request.body, headers)
            response = connection.getresponse()
            body, is_cut = _read(response, max_bytes)
            if watch.ended_by is not None:  # what was cut off reads like the end of an answer
                raise TimeoutError
            fields = {name.lower(): value for name, value in response.getheaders()}
            return HttpAnswer(response.status, request.url, fields, body, is_cut)
    except (OSError, http.client.HTTPException, ValueError, zlib.error) as error:
        if watch.ended_by is not None:
            raise FetchFailed(f"{host}: {watch.ended_by}") from None
        reason = "no answer in time" if isinstance(error, TimeoutError) else f"no answer ({type(error).__name__})"
        raise FetchFailed(f"{host}: {reason}") from None
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """Goes to the first of the given addresses that takes it."""

    def __init__(self, host: str, port: int | None, addresses: object, is_secure: bool, until_s: float) -> None:
        self.default_port = 443 if is_secure else 80  # which the Host header leaves out
        super().__init__(host, port or self.default_port)
        self._addresses: list[Address] = list(addresses)  # pyright: ignore[reportArgumentType, reportCallIssue]
        self._is_secure = is_secure
        self._until_s = until_s
        self.sock: socket | None = None
        self.link: socket | None = None
        """the same, also when `getresponse` has let go of it, as it does where the connection ends with the answer"""

    def connect(self) -> None:
        failure = OSError("no address")
        for address in self._addresses:
            left_s = self._until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            try:
                self.sock = self.link = create_connection(address, left_s)
                break
            except OSError as error:
                failure = error
        else:
            raise failure
        if self._is_secure:
            # assigned before the handshake, so that the watch can end that, too
            secured = _tls().wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = self.link = secured
            secured.do_handshake()


class _Watch:
    """Ends a request that takes too long or is not wanted any more, at whatever point it is."""

    def __init__(self, connection: _Connection, until_s: float, is_stale: IsStale) -> None:
        self.ended_by: str | None = None
        self._connection = connection
        self._until_s = until_s
        self._is_stale = is_stale
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fetch-watch", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(WATCH_S):
            if self._is_stale():
                self.ended_by = "called off"
            elif time.monotonic() >= self._until_s:
                self.ended_by = "no answer in time"
            link = self._connection.link
            if self.ended_by is not None and link is not None:
                with suppress(OSError):
                    link.shutdown(SHUT_RDWR)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _read(response: http.client.HTTPResponse, max_bytes: int) -> tuple[bytes, bool]:
    """The body, unpacked, and whether it was cut."""
    packed = response.getheader("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if packed else None
    body = bytearray()
    while len(body) <= max_bytes:
        chunk = response.read1(CHUNK_BYTES)
        if not chunk:
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
            return bytes(body), False
        body += chunk if unpack is None else unpack.decompress(chunk, max_bytes + 1 - len(body))
    return bytes(body[:max_bytes]), True


def _harmless(request: HttpRequest) -> dict[str, str]:
    """Headers that may go to another host than the one they were meant for."""
    kept = ("accept", "accept-language", "user-agent")
    return {name: value for name, value in request.headers.items() if name.lower() in kept}
