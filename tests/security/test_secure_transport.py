"""TLS, and the headers that tell browsers what the page may do."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import uvicorn.config

from attacker import Answer, ask, read_answer, request
from fakes import fake_engines
from live import InProcessServer
from talkover.access.exposure import exposure
from talkover.config import Settings, load_settings
from talkover.resources import resource
from wire import WireClient

STRICT = {
    "default-src": "'self'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    path, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", path], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is missing: no certificate can be made")
    return path, key


@pytest.fixture
def secure(serve, certificate: tuple[Path, Path]) -> InProcessServer:
    path, key = certificate
    return serve(fake_engines(), f"server.tls_certificate={path}", f"server.tls_key={key}")


def ask_securely(server: InProcessServer, path: str, context: ssl.SSLContext) -> Answer:
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain, context.wrap_socket(plain) as connection:
        connection.sendall(request("GET", path, {"Host": server.host, "Connection": "close"}))
        return read_answer(connection)


def anything(newest: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that takes every certificate and every cipher, and speaks nothing newer than this."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = newest
    return context


def test_a_conversation_over_tls(secure: InProcessServer, certificate: tuple[Path, Path]):
    assert secure.ws_url.startswith("wss://")
    with WireClient(secure.ws_url, tls=ssl.create_default_context(cafile=certificate[0])) as client:
        client.ask("Hello?")
        assert client.until("response.done")["response"]["status"] == "completed"


@pytest.fixture
def old_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system whose OpenSSL still speaks everything it ever did."""
    create = uvicorn.config.create_ssl_context

    def lax(*args: Any, **options: Any) -> ssl.SSLContext:
        context = create(*args, **options)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        return context

    monkeypatch.setattr(uvicorn.config, "create_ssl_context", lax)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_not_spoken(old_openssl: None, secure: InProcessServer):
    with pytest.raises(ssl.SSLError):
        ask_securely(secure, "/healthz", anything(ssl.TLSVersion.TLSv1_1))
    assert ask_securely(secure, "/healthz", anything(ssl.TLSVersion.TLSv1_2)).status == 200


def test_plain_text_is_not_answered_where_tls_is_spoken(secure: InProcessServer):
    assert ask(secure, "/healthz").status == 0


def test_browsers_are_bound_to_tls_over_tls_alone(serve, secure: InProcessServer):
    answer = ask_securely(secure, "/", anything(ssl.TLSVersion.TLSv1_3))
    assert int(re.findall(r"max-age=(\d+)", answer.headers["strict-transport-security"])[0]) >= 15_552_000
    assert "strict-transport-security" not in ask(serve(fake_engines()), "/").headers


def test_every_answer_carries_the_policy_also_those_that_refuse(serve):
    server = serve(fake_engines(), environ={"TALKOVER_API_KEY": "sesame"})
    paths = {"/": 200, "/main.js": 200, "/docs": 200, "/openapi.json": 200, "/v1/voices": 401, "/nowhere": 404}
    for path, status in paths.items():
        answer = ask(server, path)
        assert answer.status == status
        directives = answer.headers["content-security-policy"].split("; ")
        assert dict(directive.split(" ", 1) for directive in directives) == STRICT, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "microphone=(self)" in answer.headers["permissions-policy"]
        assert "server" not in answer.headers
    assert ask(server, "/", {"Host": "evil.example"}).headers["content-security-policy"]


def test_the_page_and_the_documentation_need_nothing_the_policy_forbids(serve):
    server = serve(fake_engines())
    for path in ("/", "/docs"):
        text = ask(server, path).body.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text), f"{path} has an inline script"
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text, re.IGNORECASE), path
        assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//", text.replace('href="https://github.com', "")), path
    for file in resource("frontend").rglob("*.js"):
        source = file.read_text(encoding="utf-8")
        assert not re.search(r"\beval\(|new Function\(|\.innerHTML\s*=|insertAdjacentHTML|document\.write", source), (
            file
        )


def test_no_file_outside_the_page_is_served(serve):
    server = serve(fake_engines())
    for path in (
        "/../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/docs/..%2f..",
    ):
        answer = ask(server, path)
        assert answer.status in (400, 404), path


@pytest.mark.parametrize(
    ("overrides", "has_keys", "warning"),
    [
        ([], False, None),
        (["server.host=::1"], False, None),
        (["server.host=0.0.0.0"], False, "no key is configured"),
        (["server.host=192.168.1.7"], False, "no key is configured"),
        (["server.host=0.0.0.0"], True, "without TLS"),
    ],
)
def test_whoever_starts_an_open_server_is_told(overrides: list[str], has_keys: bool, warning: str | None):
    said = exposure(load_settings(None, overrides, {}), has_keys)
    assert said is None if warning is None else warning in (said or "")


def test_nothing_is_said_of_a_server_with_keys_and_tls():
    server = Settings().server.model_copy(update={"host": "0.0.0.0", "tls_certificate": Path("x.pem")})
    assert exposure(Settings().model_copy(update={"server": server}), has_keys=True) is None
