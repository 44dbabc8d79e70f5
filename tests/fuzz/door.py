"""What comes to the door: heads of requests, none of which gets in without a key, and bodies that ask for a secret."""

from __future__ import annotations

import asyncio
import json
from itertools import count

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fakes import session_options
from fuzz.harness import Fuzzer
from fuzz.mutation import mutated_json
from talkover.access.addresses import client_address, counted_as, networks
from talkover.access.client_secrets import SecretSession
from talkover.access.keys import Key, digest_of
from talkover.access.policy import Access, grant_of
from talkover.metrics import Metrics
from talkover.realtime.errors import ProtocolError
from talkover.realtime.fields import JsonObject
from talkover.realtime.resume_token import digest, presented
from talkover.realtime.secret_session import MAX_BYTES, secret_session
from talkover.rest.auth import AccessControl
from talkover.rest.client_secrets import client_secrets_router
from talkover.rest.errors import ApiError, install_error_handlers
from talkover.sections.operation import AccessSettings, ServerSettings

_KEYS = (
    Key("all", digest_of("tk_all")),
    Key("audio", digest_of("tk_audio"), frozenset({"audio"}), max_sessions=1, requests_per_minute=60),
)
_OF_AUDIO = ("/v1/audio", "/v1/voices", "/v1/models")
_PROXY, _CALLER = "10.0.0.1", "203.0.113.7"
_LIMITS = AccessSettings(trusted_proxies=("10.0.0.0/8", "fd00::/8"), requests_per_minute=60)
_OPTIONS = session_options()
_PERIOD_S = 10_000
_METRICS = Metrics()
_LOOP = asyncio.new_event_loop()

# -------------------------------------------------------------------------------------------------------------- heads


def fuzz_requests(data: bytes) -> None:
    """A head; its first line is `http` or `websocket`, method, path, and the address at the other end."""
    scope = _scope(data)
    for host, keys in (("127.0.0.1", ()), ("0.0.0.0", ()), ("0.0.0.0", _KEYS)):
        let_in: list[Scope] = []
        access = Access(ServerSettings(host=host), _LIMITS, keys, lambda: 0.0, lambda: 0.0)
        control = AccessControl(_keeping(let_in), access, _METRICS)
        for _ in range(2):
            status = _LOOP.run_until_complete(_status(control, scope, b""))
            assert status is None or 400 <= status < 500
        for granted in let_in:
            _check_let_in(granted, data, is_loopback=host == "127.0.0.1", has_keys=bool(keys))
    if (token := presented(scope.get("subprotocols", ()))) is not None:
        assert len(digest(token)) == 64
    _check_addresses(scope)


def _scope(data: bytes) -> Scope:
    """As the servers of HTTP and of WebSockets hand a head over."""
    first, *lines = data.replace(b"\r", b"").split(b"\n")
    kind, method, path, peer = [*first.decode("latin-1").split(" "), "", "", "", ""][:4]
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    scope: Scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": (peer, 1)}
    if kind == "websocket":
        offered = [value.decode("ascii", "ignore") for name, value in headers if name.endswith(b"-protocol")]
        protocols = [name.strip() for names in offered for name in names.split(",")]
        extensions = {"websocket.http.response": {}}
        scope |= {"type": "websocket", "method": "GET", "subprotocols": protocols, "extensions": extensions}
    return scope


def _check_let_in(scope: Scope, data: bytes, is_loopback: bool, has_keys: bool) -> None:
    path, key = scope["path"], grant_of(scope).key
    hosts = [value.lower() for name, value in scope["headers"] if name == b"host"]
    if scope["type"] == "websocket":
        assert path in ("/v1/realtime", "/realtime")
    if path in ("/healthz", "/readyz"):
        return
    if not has_keys:
        assert key is None
        name = hosts[0] if hosts else b"localhost"
        assert not name.partition(b":")[0].removesuffix(b".").endswith(b".example"), "which anybody can register"
        assert not is_loopback or any(local in name for local in (b"localhost", b"127.", b"::", b"7f"))
        assert b"." not in name or b"[" not in name or name.startswith(b"[")
        return
    if scope["type"] == "http" and (
        scope["method"] == "OPTIONS" or not (path.startswith("/v1/") or path == "/metrics")
    ):
        return
    assert key is not None, "without a key"
    assert f"tk_{key.name}".encode() in data
    assert key.name == "all" or path.startswith(_OF_AUDIO)


def _check_addresses(scope: Scope) -> None:
    """Whatever a client writes: who comes through our proxy is who that says, and counts as one."""
    proxies = networks(_LIMITS.trusted_proxies)
    peer: str = scope["client"][0]
    claimed = ", ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for")
    assert client_address(_PROXY, f"{claimed}, {_CALLER}", proxies) == _CALLER
    assert client_address(_CALLER, claimed, proxies) == _CALLER
    assert client_address(peer, None, proxies) == peer
    counted = counted_as(peer)
    assert counted_as(counted) == counted


def _keeping(let_in: list[Scope]) -> ASGIApp:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        let_in.append(scope)

    return app


# ------------------------------------------------------------------------------------------------------------- bodies


def fuzz_client_secrets(data: bytes) -> None:
    """A body: a secret, whose session is the one the client is told, or an error that is the client's."""
    answer: list[bytes] = []
    status = _LOOP.run_until_complete(_status(_SECRETS, _POST, data, answer))
    told = json.loads(b"".join(answer))
    if status != 200:
        assert status == 400
        assert told["error"]["message"]
        return
    assert 10 <= told["expires_at"] % _PERIOD_S <= 7200
    assert len(json.dumps(told["session"], ensure_ascii=False, separators=(",", ":"))) <= MAX_BYTES
    again = secret_session({key: told["session"][key] for key in ("audio", "tools", "instructions")}, _OPTIONS)
    assert again.wire["audio"] == told["session"]["audio"]


def _begin(wanted: JsonObject) -> SecretSession:
    try:
        return secret_session(wanted, _OPTIONS)
    except ProtocolError as error:
        raise ApiError(400, error.message, param=error.param, code=error.code) from error


def _secrets_app() -> FastAPI:
    app, unix_clock = FastAPI(), count(0, _PERIOD_S)  # by which the secrets of earlier inputs have expired
    access = Access(ServerSettings(), _LIMITS, (), lambda: 0.0, unix_clock.__next__)
    app.include_router(client_secrets_router(access, _begin))
    install_error_handlers(app)
    return app


async def _status(app: ASGIApp, scope: Scope, body: bytes, answer: list[bytes] | None = None) -> int | None:
    """The status of the answer of `app`, whose body goes into `answer`; None: it gave none."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(dict(scope), receive, send)
    if answer is not None:
        answer += [message["body"] for message in sent if message["type"] == "http.response.body"]
    return next((message["status"] for message in sent if "status" in message), None)


_SECRETS = _secrets_app()
_POST: Scope = {
    "type": "http",
    "method": "POST",
    "path": "/v1/realtime/client_secrets",
    "query_string": b"",
    "headers": [(b"content-type", b"application/json")],
}

FUZZERS = (
    Fuzzer("requests", fuzz_requests),
    Fuzzer("client_secrets", fuzz_client_secrets, mutate=mutated_json),
)
