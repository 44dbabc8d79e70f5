"""Clients that lose their socket and come back with a token, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import sqlite3
import struct
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from fakes import ScriptedAsr, ScriptedLlm, ToneTts, fake_engines
from live import InProcessServer, eventually
from talkover.realtime.live_session import LiveSession
from talkover.realtime.resume_token import digest
from wire import Event, WireClient

pytestmark = pytest.mark.slow

STORY = " ".join(f"Word{number} is here." for number in range(60))
REFUSED = 4404
DIGESTS = {key: hashlib.sha256(key.encode()).hexdigest() for key in ("mine", "other")}
KEYS = f"access.keys=[{', '.join(f'{{name = {key!r}, key_sha256 = {digest!r}}}' for key, digest in DIGESTS.items())}]"


class Caller(WireClient):
    """A client of the extension that plays nothing and says so, or reports what it is told to."""

    def __init__(self, url: str, token: str | None = None, key: str | None = None) -> None:
        offered = ["realtime"] if token is None else ["realtime", f"s2s-resume.{token}"]
        self.raw = socket.create_connection(url_address(url))
        headers = None if key is None else {"Authorization": f"Bearer {key}"}
        super().__init__(url, headers=headers, subprotocols=offered, raw_socket=self.raw, check=False)

    def opt_in(self) -> str:
        """Returns the token."""
        self.update(s2s={"version": 1, "events": ["resume", "playback", "words"]})
        return self.token()

    def token(self) -> str:
        return self.nth("s2s.session.resumable", 1)["token"]

    def cut(self) -> None:
        """The network is gone: a reset, no close frame."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.socket.shutdown(socket.SHUT_RDWR)
        self.raw.close()

    def words(self) -> list[str]:
        return "".join(event["delta"] for event in self.of("response.output_audio_transcript.delta")).split()


def url_address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("ws://").partition("/")[0].partition(":")
    return host, int(port)


def story_server(serve: Any, *overrides: str, **options: Any) -> InProcessServer:
    engines = fake_engines(ScriptedAsr(), ScriptedLlm(STORY, "Fine.", "Fine."), ToneTts(ms_per_char=10))
    return serve(engines, *overrides, **options)


def refused(url: str, token: str, key: str | None = None) -> int:
    with Caller(url, token, key) as client:
        return client.closed()[0]


def heard_history(resumed: Event) -> list[str]:
    return [part.get("transcript") or part.get("text") for item in resumed["items"] for part in item["content"]]


def owed_rest(journal: Path) -> str:
    """What the only session in the journal still has to say."""
    with closing(sqlite3.connect(journal)) as database:
        row = database.execute("SELECT state FROM sessions").fetchone()
    owed = None if row is None else json.loads(row[0])["owed"]
    return "" if owed is None else owed["rest"]


def test_a_cut_answer_goes_on_at_the_first_word_not_heard(serve: Any):
    server = story_server(serve)
    first = Caller(server.ws_url)
    token = first.opt_in()
    first.ask("Tell me a story.")
    first.nth("response.output_audio.delta", 12)
    item_id = first.of("response.output_audio.delta")[-1]["item_id"]
    first.cut()
    with Caller(server.ws_url, token) as second:
        resumed = second.until("s2s.session.resumed")
        assert second.types()[0] == "session.updated"
        assert second.events[0]["session"]["id"] == first.events[0]["session"]["id"]
        assert [item["id"] for item in resumed["items"]][-1] == item_id
        assert resumed["spoken_item_id"] == item_id
        second.send("s2s.playback.updated", item_id=item_id, audio_played_ms=300, ended=True)
        heard = second.until("s2s.item.heard") if not second.of("s2s.item.heard") else second.of("s2s.item.heard")[-1]
        done = second.until("response.done", 30)
        assert done["response"]["status"] == "completed"
        assert [*heard["transcript"].split(), *second.words()] == STORY.split()
        assert second.token() != token


def test_a_token_is_used_once(serve: Any):
    server = story_server(serve)
    first = Caller(server.ws_url)
    token = first.opt_in()
    first.cut()
    with Caller(server.ws_url, token) as second:
        second.until("s2s.session.resumable")
        assert refused(server.ws_url, token) == REFUSED
        second.ask("Still there?")
        assert second.until("response.done", 30)["response"]["status"] == "completed"


def test_a_token_is_worthless_from_the_moment_it_was_presented():
    """Not only once the session has given out the next."""

    async def present_twice() -> list[bool]:
        live = LiveSession("desk", 1, 30.0, lambda _: None)
        offer = live.offer()
        assert offer is not None
        return [live.admits(digest(offer.token), "desk") for _ in range(2)]

    assert asyncio.run(present_twice()) == [True, False]


def test_of_two_that_race_one_comes_back(serve: Any):
    server = story_server(serve)
    first = Caller(server.ws_url)
    token = first.opt_in()
    first.cut()
    outcomes: list[str] = []
    ready = threading.Barrier(2)

    def race() -> None:
        ready.wait()
        with Caller(server.ws_url, token) as client:
            try:
                outcomes.append(client.next()["type"])
            except Exception:
                outcomes.append("refused")

    racers = [threading.Thread(target=race) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(outcomes) == ["refused", "session.updated"]


def test_who_comes_back_before_the_loss_is_noticed_takes_over(serve: Any):
    """A phone that changes networks: its old socket hangs for the server."""
    server = story_server(serve)
    with Caller(server.ws_url) as first:
        token = first.opt_in()
        with Caller(server.ws_url, token) as second:
            second.until("s2s.session.resumed")
            assert first.closed()[0] == 4000
            second.ask("Still there?")
            assert second.until("response.done", 30)["response"]["status"] == "completed"
            assert server.realtime.active_sessions == 1


def test_the_token_is_worth_nothing_without_the_key_of_its_session(serve: Any):
    server = story_server(serve, KEYS)
    first = Caller(server.ws_url, key="mine")
    token = first.opt_in()
    first.cut()
    assert refused(server.ws_url, token, "other") == REFUSED
    for key in ("made up", None):
        with pytest.raises(InvalidStatus, match="401"):
            Caller(server.ws_url, token, key)
    with Caller(server.ws_url, token, "mine") as second:
        second.until("s2s.session.resumed")


def test_a_made_up_token_is_refused(serve: Any):
    server = story_server(serve)
    with Caller(server.ws_url) as client:
        client.opt_in()
        assert refused(server.ws_url, "x" * 43) == REFUSED
        assert refused(server.ws_url, "") == REFUSED


def test_who_comes_too_late_starts_anew_and_the_seat_is_free(serve: Any):
    server = story_server(serve, "resume.window_s=0.3")
    first = Caller(server.ws_url)
    token = first.opt_in()
    first.cut()
    assert eventually(lambda: server.realtime.active_sessions == 0)
    assert refused(server.ws_url, token) == REFUSED


def test_a_clean_goodbye_ends_the_session(serve: Any):
    server = story_server(serve)
    with Caller(server.ws_url) as first:
        token = first.opt_in()
    assert eventually(lambda: server.realtime.active_sessions == 0)
    assert refused(server.ws_url, token) == REFUSED


def test_who_did_not_ask_for_it_or_is_not_offered_it_leaves_nothing_behind(serve: Any):
    server = story_server(serve)
    stock = Caller(server.ws_url)
    stock.next()
    stock.cut()
    assert eventually(lambda: server.realtime.active_sessions == 0)
    off = story_server(serve, "resume.window_s=0")
    with Caller(off.ws_url) as client:
        client.update(s2s={"version": 1, "events": ["resume"]})
        client.round_trip()
        assert not client.of("s2s.session.resumable")


def test_who_waits_has_its_seat_and_is_let_in_where_others_are_not(serve: Any):
    server = story_server(serve, "server.max_sessions=1")
    first = Caller(server.ws_url)
    token = first.opt_in()
    first.cut()
    with pytest.raises(InvalidStatus) as caught:
        Caller(server.ws_url)
    assert caught.value.response.status_code == 503
    with Caller(server.ws_url, token) as second:
        second.until("s2s.session.resumed")
    assert eventually(lambda: server.realtime.active_sessions == 0)


def test_it_is_lost_and_found_again_and_again(serve: Any):
    server = story_server(serve)
    client = Caller(server.ws_url)
    token = client.opt_in()
    client.ask("Tell me a story.")
    client.until("response.output_audio.delta")
    for _ in range(5):
        client.cut()
        client = Caller(server.ws_url, token)
        token = client.token()
    with client:
        resumed = client.of("s2s.session.resumed")[0]
        assert heard_history(resumed)[0] == "Tell me a story."
        assert client.until("response.done", 30)["response"]["status"] == "completed"


def test_sessions_go_on_in_the_next_process_after_a_shutdown(serve: Any, tmp_path: Path):
    path = f"resume.path={tmp_path / 'calls.sqlite'}"
    server = story_server(serve, path, KEYS)
    client = Caller(server.ws_url, key="mine")
    token = client.opt_in()
    client.ask("Tell me a story.")
    client.nth("response.output_audio.delta", 5)
    item_id = client.of("response.output_audio.delta")[-1]["item_id"]
    assert eventually(lambda: owed_rest(tmp_path / "calls.sqlite").endswith(STORY[-20:])), (
        "all of it is thought and kept"
    )
    server.__exit__()
    assert client.closed() == (1001, "server shutdown")
    llm = ScriptedLlm("Asked again.")
    after = serve(fake_engines(llm=llm, tts=ToneTts(ms_per_char=10)), path, KEYS)
    assert refused(after.ws_url, token, "other") == REFUSED
    with Caller(after.ws_url, token, "mine") as second:
        resumed = second.until("s2s.session.resumed")
        assert heard_history(resumed)[0] == "Tell me a story."
        second.send("s2s.playback.updated", item_id=item_id, audio_played_ms=200, ended=True)
        heard = second.until("s2s.item.heard")
        assert second.until("response.done", 30)["response"]["status"] == "completed"
        assert [*heard["transcript"].split(), *second.words()] == STORY.split()
        assert not llm.prompts, "the words are those of the model that was"
    assert refused(after.ws_url, token, "mine") == REFUSED


def test_a_full_server_keeps_the_token_of_who_would_come_back(serve: Any, tmp_path: Path):
    path = f"resume.path={tmp_path / 'calls.sqlite'}"
    server = story_server(serve, path)
    client = Caller(server.ws_url)
    token = client.opt_in()
    client.add_text("Remember me.")
    client.round_trip()
    server.__exit__()
    client.connection.close()
    after = story_server(serve, path, "server.max_sessions=1")
    with Caller(after.ws_url):
        with pytest.raises(InvalidStatus) as caught:
            Caller(after.ws_url, token)
        assert caught.value.response.status_code == 503
    assert eventually(lambda: after.realtime.active_sessions == 0)
    with Caller(after.ws_url, token) as second:
        assert heard_history(second.until("s2s.session.resumed")) == ["Remember me."]
