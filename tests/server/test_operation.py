"""What an operator sees of a conversation over the socket: the same numbers wherever they look, and nobody's words."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from fakes import ScriptedAsr, ScriptedLlm, fake_engines
from live import InProcessServer, eventually
from recordings import silence, tone
from talkover.cli import app
from talkover.metrics import STAGES
from talkover.top import ServerSilent, fetch
from wire import WireClient

pytestmark = pytest.mark.slow

SAID, ANSWER = "what is the secret word", "The secret word is lamp."
KEY = "sesame"


def talking() -> Any:
    return fake_engines(ScriptedAsr(SAID), ScriptedLlm(ANSWER))


def connected(server: InProcessServer, key: str = KEY) -> WireClient:
    return WireClient(server.ws_url, headers={"Authorization": f"Bearer {key}"}, check=False)


def ask(client: WireClient) -> dict[str, Any]:
    """A spoken question. Returns its `s2s.turn.metrics`."""
    client.update(s2s={"version": 1, "events": ["metrics"]})
    client.say_live(silence(0.2))
    client.say_live(tone(0.6))
    client.say_live(silence(0.9))
    return client.nth("s2s.turn.metrics", timeout_s=20)


def prometheus(server: InProcessServer) -> dict[tuple[str, str], float]:
    """(series, first label value) -> value."""
    page = httpx.get(f"{server.http_url}/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def test_a_turn_has_the_same_numbers_in_the_event_the_log_prometheus_and_the_trace(
    serve, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        server: InProcessServer = serve(talking(), "tracing.exporter=console", environ={"TALKOVER_API_KEY": KEY})
        with connected(server) as client:
            told = ask(client)
        assert eventually(lambda: "closed" in caplog.text)
        counted = prometheus(server)
        server.stop()
        spans: list[dict[str, Any]] = []

        def traced() -> bool:
            spans.extend(json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
            return any(span["name"] == "turn" for span in spans)

        assert eventually(traced, 15)
    stages = {stage: told[f"{stage}_ms"] for stage in STAGES}
    assert all(isinstance(added_ms, int) for added_ms in stages.values())
    (line,) = [record for record in caplog.records if "turn" in record.__dict__]
    assert {name: int(value) for name, value in re.findall(r"(\w+)=(-?\d+)", line.getMessage())} == (
        stages | told["marks_ms"]
    )
    assert line.turn == {name: value for name, value in told.items() if name not in ("type", "event_id")}
    for stage, added_ms in stages.items():
        assert counted["talkover_stage_latency_seconds_sum", stage] == pytest.approx(added_ms / 1000)
        assert counted["talkover_stage_latency_seconds_count", stage] == 1
    assert counted["talkover_audio_seconds_total", "out"] == pytest.approx(told["audio_ms"] / 1000)
    assert counted["talkover_audio_seconds_total", "in"] == pytest.approx(1.7, abs=1.0)
    (turn,) = [span for span in spans if span["name"] == "turn"]
    assert {stage: turn["attributes"][f"talkover.{stage}_ms"] for stage in STAGES} == stages
    marks = {event["name"]: event["attributes"].get("talkover.at_ms") for event in turn["events"]}
    assert marks.items() >= told["marks_ms"].items()
    assert turn["attributes"]["talkover.response.id"] == told["response_id"]
    assert "secret" not in json.dumps(spans)
    assert "secret" not in caplog.text


def test_operators_with_the_key_see_who_is_connected_and_no_words(serve) -> None:
    server: InProcessServer = serve(talking(), environ={"TALKOVER_API_KEY": KEY})
    assert httpx.get(f"{server.http_url}/v1/sessions").status_code == 401
    assert fetch(server.http_url, KEY)["data"] == []
    with connected(server) as client:
        told = ask(client)
        snapshot = fetch(server.http_url, KEY)
        assert prometheus(server)["talkover_sessions_by_state", "listening"] in (0, 1)
    (session,) = snapshot["data"]
    assert session["id"] == client.nth("session.created")["session"]["id"]
    assert session["state"] in ("speaking", "listening")
    assert (session["responses"], session["interruptions"], session["errors"]) == (1, 0, 0)
    assert session["voice_to_voice_ms"] == told["voice_to_voice_ms"]
    figures = snapshot["latency"]["stages"]["voice_to_voice"]
    assert figures == {"n": 1, "p50_ms": told["voice_to_voice_ms"], "p95_ms": told["voice_to_voice_ms"]}
    assert {"recognizer", "responder", "synthesizer", "sender"} <= set(snapshot["queues"])
    assert snapshot["engines"]["llm"] == "fake"
    assert snapshot["process"]["threads"] > 1
    assert "secret" not in json.dumps(snapshot)
    assert eventually(lambda: fetch(server.http_url, KEY)["data"] == [])
    assert prometheus(server)["talkover_sessions_closed_total", "client"] == 1


def test_top_looks_once_as_json_and_as_a_line(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server: InProcessServer = serve(talking(), environ={"TALKOVER_API_KEY": KEY})
    monkeypatch.setenv("TALKOVER_API_KEY", KEY)
    as_json = CliRunner().invoke(app, ["top", server.http_url, "--once", "--json"])
    assert as_json.exit_code == 0, as_json.output
    assert json.loads(as_json.stdout)["max_sessions"] == 16
    as_line = CliRunner().invoke(app, ["top", server.http_url, "--once"])
    assert as_line.stdout.startswith("sessions=0/16 listening=0 thinking=0 speaking=0 waiting=0 voice_to_voice=-")
    monkeypatch.setenv("TALKOVER_API_KEY", "wrong")
    refused = CliRunner().invoke(app, ["top", server.http_url, "--once"])
    assert refused.exit_code == 1
    assert "it wants a key" in refused.stderr


def test_top_says_when_nobody_answers() -> None:
    with pytest.raises(ServerSilent, match="no server answers there"):
        fetch("http://127.0.0.1:9", None)


def test_a_handshake_that_fails_is_counted_by_why(serve) -> None:
    server: InProcessServer = serve(talking(), environ={"TALKOVER_API_KEY": KEY})
    with pytest.raises(Exception, match="401"), connected(server, "wrong"):
        pass
    assert prometheus(server)["talkover_sessions_refused_total", "invalid_api_key"] == 1
