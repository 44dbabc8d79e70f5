"""Client secrets: what a page is given in place of a key, by the stock client that asks for one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import openai
import pytest

from attacker import Answer, ask, knock
from fakes import fake_engines
from live import InProcessServer
from talkover.access.client_secrets import ClientSecrets, SecretSession
from talkover.access.keys import ALL_SCOPES, Key, digest_of
from wire import WireClient

DESK, READER = "the-key-of-the-desk", "the-key-of-prometheus"
SESSION = {
    "type": "realtime",
    "model": "gpt-realtime",
    "instructions": "You are a pirate.",
    "output_modalities": ["text"],
    "audio": {"input": {"turn_detection": None}, "output": {"voice": "alloy"}},
    "tools": [{"type": "function", "name": "dig", "description": "Dig here.", "parameters": {"type": "object"}}],
}


@pytest.fixture
def server(serve) -> InProcessServer:
    """With a key that opens everything, of which a secret of it is to have the smallest part."""
    limits = f"max_sessions = 1, max_client_secrets = 3, scopes = {json.dumps(sorted(ALL_SCOPES))}"
    keys = (
        f'{{name = "desk", key_sha256 = "{digest_of(DESK).hex()}", {limits}}}, '
        f'{{name = "reader", key_sha256 = "{digest_of(READER).hex()}", scopes = ["metrics"]}}'
    )
    return serve(fake_engines(), f"access.keys=[{keys}]")


@pytest.fixture
def client(server: InProcessServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.http_url}/v1", api_key=DESK, max_retries=0) as stock:
        yield stock


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def make(server: InProcessServer, body: object, key: str = DESK) -> Answer:
    headers = bearer(key) | {"Content-Type": "application/json"}
    return ask(server, "/v1/realtime/client_secrets", headers, method="POST", body=json.dumps(body).encode())


def test_the_stock_client_makes_one_and_talks_with_it(server: InProcessServer, client: openai.OpenAI):
    made = client.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session=SESSION,  # pyright: ignore[reportArgumentType]
    )
    assert made.value.startswith("ek_")
    assert made.session.type == "realtime"
    assert made.session.instructions == "You are a pirate."

    async def converse() -> tuple[str, str]:
        page = openai.AsyncOpenAI(base_url=f"{server.http_url}/v1", api_key=made.value, max_retries=0)
        async with page, page.realtime.connect(model="gpt-realtime") as connection:
            created = await connection.recv()
            assert created.type == "session.created"
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Where?"}]}
            )
            await connection.response.create()
            async for event in connection:
                if event.type == "response.done":
                    return json.loads(created.model_dump_json())["session"]["instructions"], str(event.response.status)
        raise AssertionError("no answer")

    assert asyncio.run(converse()) == ("You are a pirate.", "completed")


def test_its_session_begins_as_it_says_and_the_client_may_change_it(server: InProcessServer):
    made = json.loads(make(server, {"session": SESSION}).body)
    with WireClient(server.ws_url, subprotocols=["realtime", f"openai-insecure-api-key.{made['value']}"]) as page:
        session = page.next()["session"]
        assert session["model"] == "gpt-realtime"
        assert session["tools"][0]["name"] == "dig"
        assert session["audio"]["input"]["turn_detection"] is None
        assert {key: value for key, value in session.items() if key not in ("id", "expires_at")} == {
            key: value for key, value in made["session"].items() if key not in ("id", "expires_at")
        }
        page.ask("Where?")
        assert page.until("response.done")["response"]["output"][0]["content"][0]["type"] == "output_text"
        assert page.update(instructions="Be plain.")["instructions"] == "Be plain."


def test_the_extension_can_be_part_of_it(server: InProcessServer):
    session = {"s2s": {"version": 1, "events": ["state", "metrics"]}}
    made = json.loads(make(server, {"session": session}).body)
    with WireClient(server.ws_url, headers=bearer(made["value"]), check=False) as page:
        assert page.next()["session"]["s2s"]["events"] == ["metrics", "state"]
        assert page.next()["type"] == "s2s.session.info"


def test_it_opens_nothing_but_conversations(server: InProcessServer):
    value = json.loads(make(server, {}).body)["value"]
    for method, path in (
        ("GET", "/v1/documents"),
        ("POST", "/v1/voices"),
        ("GET", "/metrics"),
        ("POST", "/v1/audio/speech"),
    ):
        assert ask(server, path, bearer(value), method=method).code == "insufficient_scope", path
    assert make(server, {}, key=value).code == "insufficient_scope", "a page must not be able to prolong its stay"
    assert ask(server, "/v1/voices", bearer(value)).status == 200


def test_sessions_it_opens_count_as_those_of_its_key(server: InProcessServer):
    values = [json.loads(make(server, {}).body)["value"] for _ in range(2)]
    with WireClient(server.ws_url, headers=bearer(values[0])):
        assert knock(server, bearer(values[1])).code == "rate_limit_exceeded"
        assert knock(server, bearer(DESK)).code == "rate_limit_exceeded"


def test_a_key_without_the_scope_makes_none(server: InProcessServer):
    assert make(server, {}, key=READER).code == "insufficient_scope"
    assert make(server, {}, key="no key").status == 401


def test_there_are_never_more_than_allowed(server: InProcessServer):
    answers = [make(server, {"expires_after": {"anchor": "created_at", "seconds": 30}}) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert 25 <= int(answers[-1].headers["retry-after"]) <= 30


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_after": {"seconds": 9}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "never", "seconds": 60}}, "expires_after.anchor"),
        ({"session": []}, "session"),
        ({"session": {"type": "transcription"}}, "session.type"),
        ({"session": {"audio": {"output": {"voice": "nobody"}}}}, "session.audio.output.voice"),
        ({"session": {"model": 7}}, "session.model"),
        ({"session": {"s2s": {"version": 1, "echo_cancellation": "server"}}}, "session.s2s.echo_cancellation"),
        ({"session": {"instructions": "a" * 70_000}}, "session"),
        ({"session": {"instructions": "\ud800"}}, "session"),
    ],
)
def test_what_a_session_update_would_refuse_is_refused_here(server: InProcessServer, body: object, param: str):
    answer = make(server, body)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["param"] == param


def test_it_expires():
    owner = Key("desk", b"")
    secrets = ClientSecrets()
    issued = secrets.issue(owner, 60, SecretSession(None, None, {}), 1000.7)
    assert issued is not None
    value, expires_at = issued
    assert expires_at == 1060
    assert secrets.find(value, 1059.9) is not None
    assert secrets.find(value, 1060.0) is None
    assert secrets.find(value[:-1], 1001.0) is None
    secrets.issue(owner, 60, SecretSession(None, None, {}), 1060.0)
    assert len(secrets) == 1, "those that have expired are forgotten"


def test_each_is_new_and_cannot_be_guessed():
    """Not from those before, and not from those of another process."""
    session = SecretSession(None, None, {})
    processes = [ClientSecrets() for _ in range(2)]
    issued = [of_one.issue(Key("desk", b""), 60, session, 0.0) for of_one in processes for _ in range(25)]
    values = {value for value, _ in filter(None, issued)}
    assert len(values) == 50
    assert all(len(value) == 3 + 48 for value in values)


def make_without_key(server: InProcessServer, body: object) -> Answer:
    headers = {"Content-Type": "application/json"}
    return ask(server, "/v1/realtime/client_secrets", headers, method="POST", body=json.dumps(body).encode())


def test_a_server_without_keys_has_them_too(serve):
    """Stock clients in a browser take nothing but what begins with `ek_`."""
    server = serve(fake_engines())
    made = json.loads(make_without_key(server, {"session": SESSION}).body)
    with WireClient(server.ws_url, subprotocols=["realtime", f"openai-insecure-api-key.{made['value']}"]) as page:
        assert page.next()["session"]["instructions"] == "You are a pirate."


def test_a_server_without_keys_does_not_keep_them_without_end(serve, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("talkover.access.client_secrets.OPEN_MAX_SECRETS", 3)
    server = serve(fake_engines())
    assert [make_without_key(server, {}).status for _ in range(4)] == [200, 200, 200, 429]
