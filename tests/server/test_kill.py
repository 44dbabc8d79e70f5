"""`kill -9` in the middle of an answer: the call goes on in the next process, where its caller stopped hearing."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from live import ServerProcess
from wire import Event, WireClient

pytestmark = pytest.mark.slow

QUESTION = "What is Talkover?"
REPORT_S = 0.25


class Listener(WireClient):
    """Plays what comes in real time, and reports its position as a page does."""

    def __init__(self, url: str, token: str | None = None) -> None:
        offered = ["realtime"] if token is None else ["realtime", f"s2s-resume.{token}"]
        super().__init__(url, subprotocols=offered, check=False)
        self.item_id = ""
        self.played_ms = 0.0

    def opt_in(self) -> str:
        """Returns the token."""
        self.update(s2s={"version": 1, "events": ["resume", "playback", "words"]})
        return self.nth("s2s.session.resumable")["token"]

    def listen(self, until_ms: float) -> None:
        """Until so much of the answer has sounded."""
        self.item_id = self.until("response.output_audio.delta", 60)["item_id"]
        began_s = time.monotonic()
        while self.played_ms < until_ms:
            self.read_for(REPORT_S)
            arrived_ms = len(self.audio()) / 48
            self.played_ms = min(arrived_ms, (time.monotonic() - began_s) * 1000)
            self.send("s2s.playback.updated", item_id=self.item_id, audio_played_ms=round(self.played_ms), ended=False)

    def heard_chars(self, played_ms: float) -> int:
        """What of the answer had sounded, by the word times that came with it."""
        words = [word for event in self.of("s2s.response.words") for word in event["words"]]
        return max((word["end"] for word in words if word["end_ms"] <= played_ms), default=0)

    def items(self) -> list[tuple[str, str]]:
        """Ids and roles as they were announced."""
        return [(event["item"]["id"], event["item"]["role"]) for event in self.of("conversation.item.added")]

    def words(self) -> list[str]:
        return "".join(event["delta"] for event in self.of("response.output_audio_transcript.delta")).split()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def text_of(item: Event) -> str:
    return "".join(part.get("transcript") or part.get("text") or "" for part in item["content"])


def test_an_answer_goes_on_after_kill_9_with_at_most_a_second_lost(tmp_path: Path):
    settings = [f"resume.path={tmp_path / 'calls.sqlite'}", "resume.window_s=60"]
    port = free_port()
    with ServerProcess(tmp_path / "first.log", settings, port=port) as first:
        with WireClient(first.ws_url) as reader:
            reader.update(output_modalities=["text"])
            reader.ask(QUESTION)
            whole = text_of(reader.until("response.done", 60)["response"]["output"][0]).split()
        caller = Listener(first.ws_url)
        token = caller.opt_in()
        caller.add_text("My name is Ann.")
        caller.ask(QUESTION)
        caller.listen(2500)
        first.kill()
        with contextlib.suppress(ConnectionClosed):
            caller.read_for(1)
        caller.connection.close()

    with (
        ServerProcess(tmp_path / "second.log", settings, port=port) as second,
        Listener(second.ws_url, token) as again,
    ):
        resumed = again.until("s2s.session.resumed")
        assert again.events[0]["session"]["id"] == caller.events[0]["session"]["id"]
        assert [(item["id"], item["role"]) for item in resumed["items"]] == caller.items()
        assert [text_of(item) for item in resumed["items"][:2]] == ["My name is Ann.", QUESTION]
        assert caller.words()[: len(text_of(resumed["items"][2]).split())] == text_of(resumed["items"][2]).split()
        assert resumed["spoken_item_id"] == caller.item_id
        kept = resumed["heard_chars"][caller.item_id]
        assert caller.heard_chars(caller.played_ms - 1000) <= kept <= caller.heard_chars(caller.played_ms + 1000)

        again.send("s2s.playback.updated", item_id=caller.item_id, audio_played_ms=round(caller.played_ms), ended=True)
        heard = again.until("s2s.item.heard")["transcript"].split()
        assert again.until("response.done", 60)["response"]["status"] == "completed"
        assert 0 < len(heard) < len(whole)
        assert [*heard, *again.words()] == whole
        again.send("conversation.item.retrieve", item_id=caller.item_id)
        assert text_of(again.until("conversation.item.retrieved")["item"]).split() == heard
    for log in ("first.log", "second.log"):
        written = (tmp_path / log).read_text()
        assert token not in written
        assert "My name is Ann" not in written
