"""The waiting queue and the end of a server over real sockets: a 503 for stock clients, a place for ours."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from fakes import ScriptedAsr, ScriptedLlm, fake_engines
from live import InProcessServer, ServerProcess, eventually
from wire import WireClient

pytestmark = pytest.mark.slow

QUEUE = "?s2s.queue=1"


def in_line(server: InProcessServer | ServerProcess) -> WireClient:
    """A client that can wait. Stock clients know nothing of the events it gets."""
    return WireClient(server.ws_url + QUEUE, check=False)


def refusal(server: InProcessServer | ServerProcess, query: str = "") -> tuple[int, int, str]:
    """Status, Retry-After and code of a handshake that must fail."""
    with pytest.raises(InvalidStatus) as caught:
        WireClient(server.ws_url + query)
    response = caught.value.response
    code = json.loads(response.body)["error"]["code"]
    return response.status_code, int(response.headers["Retry-After"]), code


def test_a_page_is_told_its_place_moves_up_and_becomes_a_session(serve):
    server = serve(fake_engines(), "server.max_sessions=1")
    with WireClient(server.ws_url) as talking, in_line(server) as first:
        talking.next()
        update = first.next()
        assert (update["type"], update["place"], update["estimated_wait_s"]) == ("s2s.queue.updated", 1, None)
        with in_line(server) as second:
            assert second.next()["place"] == 2
            talking.connection.close()
            assert first.until("session.created")["session"]["id"]
            assert second.until("s2s.queue.updated")["place"] == 1
            first.ask("Is it my turn?")
            assert first.until("response.done")["response"]["status"] == "completed"
            first.connection.close()
            second.until("session.created")
    assert eventually(lambda: server.realtime.active_sessions == 0)


def test_who_does_not_ask_to_wait_gets_a_503_also_while_others_wait(serve):
    server = serve(fake_engines(), "server.max_sessions=1")
    with WireClient(server.ws_url) as talking, in_line(server) as waits:
        talking.next()
        waits.next()
        assert refusal(server) == (503, 5, "server_full")
        assert httpx.get(f"{server.http_url}/readyz", trust_env=False).json()["status"] == "full"
        assert "talkover_sessions_waiting 1.0" in httpx.get(f"{server.http_url}/metrics", trust_env=False).text


def test_a_full_queue_refuses_and_who_leaves_it_frees_the_place_at_once(serve):
    server = serve(fake_engines(), "server.max_sessions=1", "server.max_waiting=1")
    with WireClient(server.ws_url) as talking:
        talking.next()
        with in_line(server) as waits:
            waits.next()
            assert refusal(server, QUEUE)[0] == 503
        with in_line(server) as waits:
            assert waits.next()["place"] == 1


def test_what_is_said_while_waiting_reaches_no_engine(serve):
    asr = ScriptedAsr("Hello")
    server = serve(fake_engines(asr, ScriptedLlm("Hi.")), "server.max_sessions=1")
    with WireClient(server.ws_url) as talking, in_line(server) as waits:
        talking.next()
        waits.next()
        for _ in range(100):
            waits.send("input_audio_buffer.append", audio="AAAA" * 200)
        talking.connection.close()
        waits.until("session.created")
        waits.send("input_audio_buffer.commit")
        assert waits.until("error")["error"]["code"] == "input_audio_buffer_commit_empty"


def test_who_waits_too_long_is_told_and_closed(serve):
    server = serve(fake_engines(), "server.max_sessions=1", "server.max_wait_s=0.3")
    with WireClient(server.ws_url) as talking, in_line(server) as waits:
        talking.next()
        assert waits.until("error")["error"]["code"] == "server_full"
        assert waits.closed()[0] == 1013


# ------------------------------------------------------------------------------------------------------------ the end


def test_a_server_that_drains_refuses_everybody_and_lets_calls_say_goodbye(tmp_path: Path):
    """A real process, a stock client, SIGTERM."""
    with ServerProcess(tmp_path / "log", ["server.max_sessions=1", "server.drain_s=1.5"]) as server:
        with WireClient(server.ws_url) as talking, in_line(server) as waits:
            talking.next()
            waits.next()
            server.signal(signal.SIGTERM)
            assert waits.closed() == (1001, "server shutdown")
            assert refusal(server, QUEUE) == (503, 5, "server_full")
            ready = httpx.get(f"{server.http_url}/readyz", trust_env=False)
            assert (ready.status_code, ready.json()["status"]) == (503, "draining")
            talking.ask("What time is it?")
            assert talking.until("response.done")["response"]["status"] == "completed"
            talking.until("response.output_audio_transcript.done")
            said = "".join(event["delta"] for event in talking.of("response.output_audio_transcript.delta"))
            assert "Goodbye" in said
            assert talking.closed() == (1001, "server shutdown")
        assert eventually(server.has_ended)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_calls_at_once(tmp_path: Path, second: signal.Signals):
    with ServerProcess(tmp_path / "log", ["server.drain_s=600"]) as server, WireClient(server.ws_url) as talking:
        talking.next()
        server.signal(signal.SIGTERM)
        assert eventually(lambda: "draining" in server.log)
        server.signal(second)
        assert talking.closed() == (1001, "server shutdown")
        assert eventually(server.has_ended)


def test_ctrl_c_ends_calls_at_once(tmp_path: Path):
    with ServerProcess(tmp_path / "log", ["server.drain_s=600"]) as server, WireClient(server.ws_url) as talking:
        talking.next()
        server.signal(signal.SIGINT)
        assert talking.closed() == (1001, "server shutdown")
        assert eventually(server.has_ended)
