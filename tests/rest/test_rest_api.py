"""What all endpoints have in common: keys, headers, errors, limits; and the small ones."""

import json
import re
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from talkover.metrics import Metrics
from talkover.rest.headers import SECURITY_HEADERS
from talkover.rest.health import Readiness
from talkover.sections.operation import ServerSettings


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error object, whose shape is checked."""
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == ("server_error" if response.status_code >= 500 else "invalid_request_error")
    return error


# ------------------------------------------------------------------------------------------------------- operation


def test_alive(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("state", "status", "body"),
    [
        (Readiness(True, 3, 16), 200, {"status": "ready", "sessions": 3, "max_sessions": 16}),
        (Readiness(True, 16, 16, "full"), 503, {"status": "full", "sessions": 16, "max_sessions": 16}),
        (Readiness(False, 0, 16), 503, {"status": "starting"}),
    ],
)
def test_readiness(connect: Callable[..., httpx.Client], state: Readiness, status: int, body: dict[str, Any]) -> None:
    response = connect(readiness=lambda: state).get("/readyz")
    assert (response.status_code, response.json()) == (status, body)
    assert ("retry-after" in response.headers) == (status == 503)


def test_metrics_page_is_what_prometheus_reads(connect: Callable[..., httpx.Client]) -> None:
    metrics = Metrics(16)
    metrics.barge_ins_total.inc(3)
    response = connect(metrics=metrics).get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert families["talkover_barge_ins"].samples[0].value == 3


# ------------------------------------------------------------------------------------------------------- catalogue


def test_models_are_the_engines_in_use(client: httpx.Client) -> None:
    models = client.get("/v1/models").json()
    assert models["object"] == "list"
    assert {model["id"] for model in models["data"]} == {"fake"}
    one = client.get("/v1/models/fake").json()
    assert one["object"] == "model"
    assert isinstance(one["created"], int)


def test_unknown_model_is_not_found(client: httpx.Client) -> None:
    response = client.get("/v1/models/gpt-9/large")
    assert response.status_code == 404
    assert error_of(response)["code"] == "model_not_found"


def test_voices_and_their_other_names(client: httpx.Client) -> None:
    body = client.get("/v1/voices").json()
    assert body["data"] == [{"id": "tone", "name": "Tone", "language": "en-US", "engine": "fake", "gender": ""}]
    assert body["aliases"] == {"default": "tone", "alloy": "tone"}


# --------------------------------------------------------------------------------------------------- documentation


def test_documentation_comes_from_here_and_has_no_inline_script(connect: Callable[..., httpx.Client]) -> None:
    client = connect()
    page = client.get("/docs").text
    references = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert len(references) == 4
    for reference in references:
        assert reference.startswith("/docs/")
        assert client.get(reference).status_code == 200
    assert not re.search(r"<script(?![^>]*src)", page)
    assert "unsafe" not in client.get("/docs").headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/docs/index.j2", "/docs/..%2f__init__.py", "/docs/%2e%2e/__init__.py"])
def test_only_the_files_of_the_documentation_are_served(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_openapi_describes_the_socket_and_is_version_3_0(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"] == "3.0.3"
    assert "WebSocket" in document["paths"]["/v1/realtime"]["get"]["summary"]
    assert {"/v1/audio/speech", "/v1/audio/transcriptions", "/v1/models", "/v1/voices", "/metrics"} <= set(
        document["paths"]
    )

    def check(node: Any) -> None:
        if isinstance(node, dict):
            assert node.get("type") != "null", "OpenAPI 3.0 has no null type"
            assert "const" not in node
            for value in node.values():
                check(value)
        elif isinstance(node, list):
            for value in node:
                check(value)

    check(document)
    upload = document["components"]["schemas"]["Body_transcriptions_v1_audio_transcriptions_post"]
    assert upload["properties"]["file"]["format"] == "binary"
    assert all("422" not in method["responses"] for path in document["paths"].values() for method in path.values())


# ------------------------------------------------------------------------------------------------- access and headers

GUARDED = ["/v1/models", "/v1/voices", "/metrics", "/v1/nothing-here"]
OPEN = ["/healthz", "/readyz", "/docs", "/openapi.json"]


@pytest.mark.parametrize("path", GUARDED)
def test_key_is_asked_for(guarded: httpx.Client, path: str) -> None:
    refused = guarded.get(path)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert error_of(refused)["code"] == "invalid_api_key"
    assert "s3cret" not in refused.text
    assert guarded.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert guarded.get(path, headers={"Authorization": "Bearer s3cret"}).status_code in (200, 404)


@pytest.mark.parametrize("path", OPEN)
def test_page_probes_and_documentation_need_no_key(guarded: httpx.Client, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_a_page_of_another_site_cannot_use_a_server_without_a_key(connect: Callable[..., httpx.Client]) -> None:
    client = connect()
    speech = {"input": "Hello."}
    refused = client.post("/v1/audio/speech", json=speech, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403
    assert error_of(refused)["code"] == "origin_not_allowed"
    own = str(client.base_url).rstrip("/")
    assert client.post("/v1/audio/speech", json=speech, headers={"Origin": own}).status_code == 200


def test_an_allowed_site_gets_cors_headers(connect: Callable[..., httpx.Client]) -> None:
    client = connect(server=ServerSettings(allowed_origins=("https://app.example",)), key="s3cret")
    preflight = client.options(
        "/v1/audio/speech",
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    answer = client.get("/v1/voices", headers={"Origin": "https://app.example", "Authorization": "Bearer s3cret"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example"


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/v1/models", "/nothing-here", "/v1/audio/speech"])
def test_every_answer_carries_the_security_headers(client: httpx.Client, guarded: httpx.Client, path: str) -> None:
    for server in (client, guarded):
        headers = server.get(path).headers
        assert {name: headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS


# ------------------------------------------------------------------------------------------------------------ errors


def test_unknown_path_and_method_have_the_error_shape(client: httpx.Client) -> None:
    missing = client.get("/v1/nothing-here")
    assert (missing.status_code, error_of(missing)["code"]) == (404, "not_found")
    wrong = client.get("/v1/audio/speech")
    assert (wrong.status_code, error_of(wrong)["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({}, "input", "input is required"),
        ({"input": ""}, "input", "input: String should have at least 1 character, got ''"),
        ({"input": "x" * 4097}, "input", "input: String should have at most 4096 characters"),
        ({"input": "x", "speed": 2}, "speed", "speed: Input should be less than or equal to 1.5, got 2"),
        ({"input": "x", "speed": 0.1}, "speed", "speed: Input should be greater than or equal to 0.25, got 0.1"),
        (
            {"input": "x", "response_format": "aac"},
            "response_format",
            "response_format: Input should be 'wav', 'pcm', 'flac', 'opus' or 'mp3', got 'aac'",
        ),
        ({"input": "x", "stream_format": "ws"}, "stream_format", "'audio' or 'sse', got 'ws'"),
    ],
)
def test_invalid_key_is_named_with_what_is_allowed(
    client: httpx.Client, body: dict[str, Any], param: str, message: str
) -> None:
    response = client.post("/v1/audio/speech", json=body)
    assert response.status_code == 400
    error = error_of(response)
    assert error["param"] == param
    assert message in error["message"]


def test_all_invalid_keys_are_named_at_once(client: httpx.Client) -> None:
    response = client.post("/v1/audio/speech", json={"speed": 9, "response_format": "aac"})
    assert all(key in error_of(response)["message"] for key in ("input", "speed", "response_format"))


@pytest.mark.parametrize("content", [b"{", b"", b"[1]", b"\xff\xfe", b"null"])
def test_body_that_is_no_json_object(client: httpx.Client, content: bytes) -> None:
    response = client.post("/v1/audio/speech", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    error_of(response)


def test_fault_of_the_server_tells_no_details(connect: Callable[..., httpx.Client]) -> None:
    def broken(app: FastAPI) -> None:
        @app.get("/broken")
        async def route() -> None:
            raise RuntimeError("/home/user/secret")

    response = connect(prepare=broken).get("/broken")
    assert response.status_code == 500
    assert error_of(response)["code"] == "internal_error"
    assert "secret" not in response.text


# ------------------------------------------------------------------------------------------------------------ limits


def test_declared_size_over_the_limit_is_refused_unread(client: httpx.Client) -> None:
    connection = HTTPConnection(client.base_url.netloc.decode(), timeout=10)
    connection.putrequest("POST", "/v1/audio/transcriptions")
    connection.putheader("Content-Length", str(2**40))
    connection.endheaders(b"a few bytes of it")
    response = connection.getresponse()
    assert response.status == 413
    assert json.load(response)["error"]["code"] == "request_too_large"
    connection.close()


def test_undeclared_size_is_refused_when_it_got_too_large(client: httpx.Client) -> None:
    block = bytes(2**20)
    response = client.post("/v1/audio/speech", content=(block for _ in range(28)))
    assert response.status_code == 413
    error_of(response)
