"""Who gets a session, and what the others are told before the socket opens."""

from __future__ import annotations

import json
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus

from fakes import fake_engines
from live import InProcessServer, eventually
from wire import WireClient

KEY = {"TALKOVER_API_KEY": "sesame"}


def refused(server: InProcessServer, query: str = "", **options: Any) -> tuple[int, Headers, dict[str, Any]]:
    """Status, headers and error of a handshake that must fail."""
    with pytest.raises(InvalidStatus) as caught:
        WireClient(server.ws_url + query, **options)
    response = caught.value.response
    return response.status_code, response.headers, json.loads(response.body)["error"]


def test_session_created_is_the_first_frame_and_echoes_the_model(serve):
    server = serve(fake_engines())
    with WireClient(f"{server.ws_url}?model=gpt-realtime&foo=bar") as client:
        created = client.next()
        assert created["type"] == "session.created"
        assert created["session"]["model"] == "gpt-realtime"
        assert client.connection.subprotocol is None


def test_short_path_serves_as_well(serve):
    server = serve(fake_engines())
    with WireClient(f"ws://{server.host}/realtime") as client:
        assert client.next()["session"]["model"] == "fake"


def test_client_may_send_before_it_has_read(serve):
    with WireClient(serve(fake_engines()).ws_url) as client:
        client.send("session.update", session={"type": "realtime", "instructions": "first"})
        client.send("session.update", session={"type": "realtime", "instructions": "second"})
        client.read_for(0.2)
        assert client.types() == ["session.created", "session.updated", "session.updated"]
        assert client.events[-1]["session"]["instructions"] == "second"


def test_browser_subprotocols_are_answered_with_realtime_and_never_with_the_key(serve):
    server = serve(fake_engines(), environ=KEY)
    offered = ["realtime", "openai-insecure-api-key.sesame", "openai-agents-sdk.0.20.0"]
    with WireClient(server.ws_url, subprotocols=offered, origin="https://elsewhere.example") as client:
        assert client.connection.subprotocol == "realtime"


def test_bearer_key_is_accepted(serve):
    server = serve(fake_engines(), environ=KEY)
    with WireClient(server.ws_url, headers={"Authorization": "Bearer sesame"}) as client:
        assert client.next()["type"] == "session.created"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"headers": {"Authorization": "Bearer sesam"}},
        {"headers": {"Authorization": "Bearer "}},
        {"headers": {"Authorization": "sesame"}},
        {"subprotocols": ["realtime", "openai-insecure-api-key.wrong"]},
        {"subprotocols": ["realtime"]},
        {"headers": {"Authorization": "Bearer sésame"}},
    ],
    ids=["none", "wrong", "empty", "no scheme", "wrong subprotocol", "no key subprotocol", "not ascii"],
)
def test_missing_or_wrong_key_is_refused_with_401(serve, options: dict[str, Any]):
    status, _, error = refused(serve(fake_engines(), environ=KEY), **options)
    assert status == 401
    assert "Bearer" in error["message"]


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:1"])
def test_page_of_another_site_is_refused_without_a_key(serve, origin: str):
    status, _, error = refused(serve(fake_engines()), origin=origin)
    assert (status, error["code"]) == (403, "origin_not_allowed")
    assert "server.allowed_origins" in error["message"]


def test_own_page_and_listed_origins_are_let_in(serve):
    server = serve(fake_engines(), 'server.allowed_origins=["https://friend.example"]')
    for origin in (server.http_url, "https://friend.example"):
        with WireClient(server.ws_url, origin=origin) as client:
            assert client.next()["type"] == "session.created"


@pytest.mark.parametrize("query", ["?intent=transcription", "?call_id=rtc_1"])
def test_what_is_not_offered_is_refused_with_400(serve, query: str):
    status, _, error = refused(serve(fake_engines()), query)
    assert status == 400
    assert query[1:].split("=", maxsplit=1)[0] in error["message"]


def test_one_session_too_many_is_told_when_to_come_back_and_disturbs_nobody(serve):
    server = serve(fake_engines())
    clients = [WireClient(server.ws_url) for _ in range(16)]
    try:
        status, headers, error = refused(server)
        assert (status, error["code"]) == (503, "server_full")
        assert int(headers["Retry-After"]) > 0
        for client in clients:
            client.ask("Still there?")
        for client in clients:
            assert client.until("response.done", 20)["response"]["status"] == "completed"
    finally:
        for client in clients:
            client.connection.close()
    assert eventually(lambda: server.realtime.active_sessions == 0)
    with WireClient(server.ws_url) as client:
        assert client.next()["type"] == "session.created"


def test_refused_handshakes_take_no_seat(serve):
    server = serve(fake_engines(), "server.max_sessions=1", environ=KEY)
    for _ in range(3):
        assert refused(server)[0] == 401
    with WireClient(server.ws_url, headers={"Authorization": "Bearer sesame"}) as client:
        assert client.next()["type"] == "session.created"


def test_plain_http_request_to_the_socket_is_answered(serve):
    server = serve(fake_engines())
    assert httpx.get(f"{server.http_url}/v1/realtime", trust_env=False).status_code in (404, 426)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is missing: no certificate can be made")
    return certificate, key


def test_tls_serves_socket_and_page(serve, certificate: tuple[Path, Path]):
    path, key = certificate
    server = serve(fake_engines(), f"server.tls_certificate={path}", f"server.tls_key={key}")
    trusting = ssl.create_default_context(cafile=path)
    with WireClient(server.ws_url, tls=trusting, origin=server.http_url) as client:
        client.ask("Hello?")
        assert client.until("response.done")["response"]["status"] == "completed"
    assert httpx.get(f"{server.http_url}/healthz", verify=trusting, trust_env=False).status_code == 200
