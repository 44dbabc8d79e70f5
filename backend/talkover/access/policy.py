"""The one place that decides who is let in, for REST and for the realtime socket. Clocks are passed in; no I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from talkover.access.addresses import Network, client_address, counted_as, networks, within
from talkover.access.client_secrets import ClientSecret, ClientSecrets, SecretSession
from talkover.access.hosts import HostRule, is_loopback, origin_allowed
from talkover.access.keys import Key, find_key
from talkover.access.rates import RateTable
from talkover.access.scopes import CLIENT_SECRETS_PATH, PROBES, SOCKET_PATHS, Need, needed_scope
from talkover.access.usage import DAY_S, KeyUsage
from talkover.sections.operation import AccessSettings, ServerSettings

KEY_PROTOCOL = "openai-insecure-api-key."
GRANT = "talkover.grant"
"""where an ASGI scope holds the `Grant` of a request"""
WRONG_KEY_COST = 10
"""requests that a wrong key counts as"""


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a request before it is read any further; headers that are missing are None."""

    kind: Literal["http", "websocket"]
    method: str
    path: str
    peer: str
    """address at the other end of the connection; empty when it has none"""
    host: str | None = None
    origin: str | None = None
    authorization: str | None = None
    forwarded_for: str | None = None
    protocols: Sequence[str] = ()
    """subprotocols that a WebSocket client offers"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further, as the client is told."""

    status: int
    code: str
    message: str
    retry_after_s: int | None = None


class Grant:
    """A request that was let in, until it is released."""

    def __init__(
        self,
        key: Key | None = None,
        secret: ClientSecret | None = None,
        usage: KeyUsage | None = None,
        unix_clock: Callable[[], float] = lambda: 0.0,
        *,
        holds_session: bool = False,
    ) -> None:
        """`key`: none on a server without; `usage`: what that key has in use; `holds_session`: one of its sessions."""
        self.key = key
        self.session: SecretSession | None = None if secret is None else secret.session
        """what the session begins with, where a client secret says"""
        self._usage = usage
        self._unix_clock = unix_clock
        self._holds_session = holds_session

    @property
    def limits_audio(self) -> bool:
        return self._usage is not None and self._usage.limits_audio

    def spend_audio(self, seconds: float) -> bool:
        """Count audio that was heard or spoken; False when the day's share of the key is used up. From any thread."""
        return self._usage is None or self._usage.spend_audio(seconds, self._unix_clock())

    def release(self) -> None:
        if self._holds_session and self._usage is not None:
            self._holds_session = False
            self._usage.leave()


class Access:
    """Everything that stands between a request and what it asks for. Used on the event loop alone."""

    def __init__(
        self,
        server: ServerSettings,
        limits: AccessSettings,
        keys: Sequence[Key],
        monotonic_clock: Callable[[], float],
        unix_clock: Callable[[], float],
    ) -> None:
        self._keys = tuple(keys)
        self._hosts = HostRule(is_loopback(server.host), bool(keys), server.allowed_hosts)
        self._origins = server.allowed_origins
        self._proxies: tuple[Network, ...] = networks(limits.trusted_proxies)
        self._unlimited: tuple[Network, ...] = networks(limits.unlimited_addresses)
        self._requests = _rate_table(limits.requests_per_minute)
        self._handshakes = _rate_table(limits.handshakes_per_minute)
        self._of_keys: Mapping[str, RateTable] = {
            key.name: RateTable(key.requests_per_minute) for key in keys if key.requests_per_minute is not None
        }
        self._usage = {key.name: KeyUsage(key) for key in keys}
        self._now_s = monotonic_clock
        self._unix_s = unix_clock
        self._secrets = ClientSecrets()

    @property
    def has_keys(self) -> bool:
        return bool(self._keys)

    def decide(self, request: Request) -> Grant | Refusal:
        """Let `request` in, or say why not. A grant is to be released when the request has ended."""
        is_probe = request.path in PROBES
        if not is_probe and not self._hosts.allows(request.host):
            return Refusal(
                403, "host_not_allowed", f"This server does not answer to the name {request.host!r}; "
                "list it in server.allowed_hosts."
            )  # fmt: skip
        now_s = self._now_s()
        who = self._counted(request)
        if not is_probe and who is not None and (late := self._too_often(request, who, now_s)) is not None:
            return late
        if request.kind == "websocket" and request.path not in SOCKET_PATHS:
            return Refusal(404, "not_found", "There is no WebSocket here; conversations are at /v1/realtime.")
        if request.kind == "http" and request.method == "OPTIONS":
            return Grant()  # a preflight carries no credentials by design; the request behind it is checked
        need: Need = "realtime" if request.kind == "websocket" else needed_scope(request.method, request.path)
        if not self._keys:
            return self._let_in_without_keys(request, need)
        if need == "nothing":
            return Grant()
        return self._let_in(request, need, who, now_s)

    def issue(self, grant: Grant, seconds: int, session: SecretSession) -> tuple[str, int] | Refusal:
        """A client secret of the key behind `grant`: (value, seconds since the epoch at which it expires)."""
        unix_s = self._unix_s()
        issued = self._secrets.issue(grant.key, seconds, session, unix_s)
        if issued is None:
            wait_s = self._secrets.retry_after_s(grant.key, unix_s)
            return _too_many("As many client secrets as this key may have are still valid.", wait_s)
        return issued

    # ---------------------------------------------------------------------------------------------------- inside

    def _counted(self, request: Request) -> str | None:
        """What the limits per address count `request` as; None: it is not limited."""
        address = client_address(request.peer, request.forwarded_for, self._proxies)
        return None if not address or within(address, self._unlimited) else counted_as(address)

    def _too_often(self, request: Request, who: str, now_s: float) -> Refusal | None:
        table = self._handshakes if request.kind == "websocket" else self._requests
        wait_s = 0.0 if table is None else table.take(who, now_s)
        return _too_many("Too many requests from this address.", wait_s) if wait_s > 0 else None

    def _let_in_without_keys(self, request: Request, need: Need) -> Grant | Refusal:
        if not origin_allowed(request.origin, request.host, self._origins):
            return Refusal(
                403, "origin_not_allowed",
                "This page is not served by this server and its origin is not in server.allowed_origins.",
            )  # fmt: skip
        secret = None if need == "nothing" else self._secrets.find(_presented(request), self._unix_s())
        return Grant(secret=secret)

    def _let_in(self, request: Request, need: Need, who: str | None, now_s: float) -> Grant | Refusal:
        presented = _presented(request)
        secret = self._secrets.find(presented, self._unix_s())
        key = find_key(self._keys, presented) if secret is None else secret.owner
        if key is None:
            if who is not None and self._requests is not None:
                self._requests.charge(who, now_s, WRONG_KEY_COST)
            if who is not None and self._handshakes is not None:
                self._handshakes.charge(who, now_s, 1.0)
            socket = f", or offer the subprotocol '{KEY_PROTOCOL}<key>'" if request.kind == "websocket" else ""
            return Refusal(401, "invalid_api_key", f"A key is required: send 'Authorization: Bearer <key>'{socket}.")
        if (refusal := _out_of_scope(key, secret, need, request)) is not None:
            return refusal
        rate = self._of_keys.get(key.name)
        wait_s = 0.0 if rate is None else rate.take(key.name, now_s)
        if wait_s > 0:
            return _too_many(f"The key {key.name!r} may make {key.requests_per_minute} requests a minute.", wait_s)
        return self._within_usage(key, secret, need, request)

    def _within_usage(self, key: Key, secret: ClientSecret | None, need: Need, request: Request) -> Grant | Refusal:
        usage, unix_s = self._usage[key.name], self._unix_s()
        if need in ("realtime", "audio") and not usage.has_audio(unix_s):
            message = f"The key {key.name!r} has used its {key.audio_minutes_per_day:g} minutes of audio today (UTC)."
            return _too_many(message, DAY_S - unix_s % DAY_S)
        holds_session = request.kind == "websocket"
        if holds_session and not usage.enter():
            return _too_many(f"The key {key.name!r} may hold {key.max_sessions} sessions at a time.", 5)
        return Grant(key, secret, usage, self._unix_s, holds_session=holds_session)


def _out_of_scope(key: Key, secret: ClientSecret | None, need: Need, request: Request) -> Refusal | None:
    scopes = key.scopes if secret is None else key.scopes & {"realtime"}
    if need not in ("nothing", "any") and need not in scopes:
        whose = f"The key {key.name!r}" if secret is None else "A client secret"
        return Refusal(403, "insufficient_scope", f"{whose} has no scope {need!r}, which {request.path} needs.")
    if secret is not None and request.path == CLIENT_SECRETS_PATH:
        return Refusal(403, "insufficient_scope", "A client secret cannot make others; that takes a key.")
    return None


def _presented(request: Request) -> str:
    """The key or client secret a request brings; empty when it brings none. The header wins."""
    scheme, _, credential = (request.authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return credential.strip()
    offered = (token.removeprefix(KEY_PROTOCOL) for token in request.protocols if token.startswith(KEY_PROTOCOL))
    return next(offered, "")


def _rate_table(per_minute: int | None) -> RateTable | None:
    return None if per_minute is None else RateTable(per_minute)


def _too_many(message: str, wait_s: float) -> Refusal:
    return Refusal(429, "rate_limit_exceeded", message, max(1, math.ceil(wait_s)))


def grant_of(scope: Mapping[str, Any]) -> Grant:
    """What the request of an ASGI scope was granted; nothing in particular where nobody guards the app."""
    return scope.get(GRANT) or Grant()
