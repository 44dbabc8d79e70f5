"""The client against a server whose delays are known: what is measured must be what was scripted.

Times are asserted with room for a busy machine, downwards hardly any: nothing can be heard before it is sent.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from live import eventually
from talkover.audio import OUTPUT_RATE_HZ, level_dbfs, ms_to_samples, pcm16_to_samples, samples_to_pcm16
from talkover.bench.barge_in import interrupt
from talkover.bench.caller import Caller
from talkover.client.connection import ConversationEnded, RealtimeClient, ServerUnreachable
from talkover.client.loudspeaker import Loudspeaker
from talkover.client.recordings import Recording, recording

pytestmark = pytest.mark.slow

BUSY_MS = 250
"""what a loaded machine may add"""
SILENCE_MS = 300
QUIET_HEAD_MS = 120
"""inaudible samples at the head of the answer"""


def voice(duration_ms: float = 400, name: str = "voice") -> Recording:
    noise = np.random.default_rng(3).uniform(-0.4, 0.4, ms_to_samples(duration_ms, OUTPUT_RATE_HZ))
    quiet = np.zeros(ms_to_samples(100, OUTPUT_RATE_HZ))
    return recording(name, np.concatenate([quiet, noise, quiet]).astype(np.float32), OUTPUT_RATE_HZ, "hello")


@dataclass
class Script:
    """How the server behaves."""

    answers: bool = True
    think_ms: float = 0.0
    answer_ms: float = 600.0
    interrupts_after_ms: float = 100.0
    stale_ms: float = 0.0
    """audio of the cut answer that still goes out after `speech_started`"""
    received: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class ScriptedSession:
    """Decides by the level of 20 ms chunks on the audio clock."""

    def __init__(self, socket: ServerConnection, script: Script) -> None:
        self.socket, self.script = socket, script
        self.loud_ms = self.quiet_ms = self.now_ms = 0.0
        self.speaking = False
        self.n_answers = 0
        self.active: str | None = None

    def run(self) -> None:
        self.send("session.created", session={"id": "sess"})
        for frame in self.socket:
            event = json.loads(frame)
            if event["type"] == "input_audio_buffer.append":
                self.hear(pcm16_to_samples(base64.b64decode(event["audio"])))
                continue
            self.script.received.append(event)
            match event["type"]:
                case "session.update":
                    self.send("session.updated", session={})
                case "response.create":
                    self.answer("typed")
                case "response.cancel":
                    self.end("client_cancelled")
                case "conversation.item.truncate":
                    self.send("conversation.item.truncated", item_id=event["item_id"])
                case "conversation.item.retrieve":
                    content = [{"type": "output_audio", "transcript": "one"}]
                    self.send("conversation.item.retrieved", item={"id": event["item_id"], "content": content})
                case _:
                    pass

    def hear(self, samples: Any) -> None:
        self.now_ms += samples.size / 24
        if level_dbfs(samples) > -40:
            self.loud_ms, self.quiet_ms = self.loud_ms + 20, 0.0
        else:
            self.quiet_ms += 20
        if not self.speaking and self.loud_ms >= self.script.interrupts_after_ms:
            self.speaking = True
            self.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="user")
            if self.active is not None:
                item_id = self.active
                self.end("turn_detected")
                if self.script.stale_ms:
                    self.audio(item_id, 0.3, self.script.stale_ms)
        if self.speaking and self.quiet_ms >= SILENCE_MS:
            self.speaking, self.loud_ms = False, 0.0
            self.send("input_audio_buffer.speech_stopped", audio_end_ms=round(self.now_ms), item_id="user")
            transcribed = {"item_id": "user", "transcript": "hello there"}
            self.send("conversation.item.input_audio_transcription.completed", **transcribed)
            if self.script.answers:
                self.answer("user")

    def answer(self, asked_by: str) -> None:
        self.n_answers += 1
        item_id = self.active = f"item{self.n_answers}"
        self.send("response.created", response={"id": f"r{self.n_answers}"})
        self.send("response.output_item.added", response_id=f"r{self.n_answers}", item={"id": item_id})
        time.sleep(self.script.think_ms / 1000)
        words = [{"start": 0, "end": 3, "start_ms": QUIET_HEAD_MS, "end_ms": QUIET_HEAD_MS + 200}]
        self.send("s2s.response.words", response_id=f"r{self.n_answers}", item_id=item_id, words=words)
        self.audio(item_id, 0.0, QUIET_HEAD_MS)
        self.audio(item_id, 0.3, self.script.answer_ms)
        if self.script.answer_ms < 5000:
            self.end(None)

    def audio(self, item_id: str, amplitude: float, duration_ms: float) -> None:
        samples = np.full(ms_to_samples(duration_ms, OUTPUT_RATE_HZ), amplitude, np.float32)
        delta = base64.b64encode(samples_to_pcm16(samples)).decode()
        self.send("response.output_audio.delta", response_id=f"r{self.n_answers}", item_id=item_id, delta=delta)

    def end(self, reason: str | None) -> None:
        if self.active is None:
            return
        self.send("response.output_audio.done", response_id=f"r{self.n_answers}", item_id=self.active)
        self.active = None
        details = None if reason is None else {"type": "cancelled", "reason": reason}
        status = "completed" if reason is None else "cancelled"
        response = {"id": f"r{self.n_answers}", "status": status, "status_details": details}
        self.send("response.done", response=response)
        self.send("s2s.turn.metrics", response_id=f"r{self.n_answers}", marks_ms={})

    def send(self, event_type: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": event_type, **fields}))


@contextmanager
def scripted(script: Script) -> Iterator[str]:
    def handle(socket: ServerConnection) -> None:
        try:
            ScriptedSession(socket, script).run()
        except ConnectionClosed:
            return

    with serve(handle, "127.0.0.1", 0, max_size=None, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1/realtime"
        finally:
            server.shutdown()
            thread.join()


def test_voice_to_voice_is_from_the_last_sound_to_the_first_audible_sample():
    with scripted(Script(think_ms=80)) as url, Caller(url) as caller:
        exchange = caller.ask(voice())
    expected_ms = SILENCE_MS + 80 + QUIET_HEAD_MS
    assert exchange.voice_to_voice_ms is not None
    assert expected_ms - 15 <= exchange.voice_to_voice_ms <= expected_ms + BUSY_MS
    assert (exchange.understood, exchange.early) == ("hello there", False)


def test_a_question_without_an_answer_has_no_latency():
    with scripted(Script(answers=False)) as url, Caller(url) as caller:
        exchange = caller.ask(voice(), timeout_s=0.7)
    assert exchange.voice_to_voice_ms is None
    assert exchange.understood == "hello there"


def test_an_answer_into_a_pause_of_the_question_is_called_early():
    pause = np.zeros(ms_to_samples(500, OUTPUT_RATE_HZ), np.float32)
    halting = recording("halting", np.concatenate([voice().samples, pause, voice().samples]), OUTPUT_RATE_HZ)
    with scripted(Script()) as url, Caller(url) as caller:
        exchange = caller.ask(halting)
    assert exchange.early
    assert exchange.voice_to_voice_ms is not None
    assert exchange.voice_to_voice_ms >= SILENCE_MS + QUIET_HEAD_MS - 15


def test_one_question_after_the_other():
    with scripted(Script()) as url, Caller(url) as caller:
        times_ms = [caller.ask(voice()).voice_to_voice_ms for _ in range(2)]
    expected_ms = SILENCE_MS + QUIET_HEAD_MS
    assert all(time_ms is not None and expected_ms - 15 <= time_ms <= expected_ms + BUSY_MS for time_ms in times_ms)


def test_barge_in_is_from_the_users_first_sound_to_the_last_audible_sample():
    script = Script(answer_ms=20_000, interrupts_after_ms=160)
    with scripted(script) as url:
        result = interrupt(url, None, "stock", ("words",), voice(), delay_s=0.5)
    assert result.yielded
    assert 160 - 25 <= result.silent_after_ms <= 160 + BUSY_MS
    assert result.old_audio_ms == 0
    assert (result.words_audible, result.words_believed) == (1, 1)


def test_a_stock_client_reports_what_it_played():
    script = Script(answer_ms=20_000)
    with scripted(script) as url:
        interrupt(url, None, "stock", ("words",), voice(), delay_s=0.5)
    (truncate,) = [event for event in script.received if event["type"] == "conversation.item.truncate"]
    assert truncate["item_id"] == "item1"
    assert 600 <= truncate["audio_end_ms"] <= 900 + BUSY_MS


def test_stale_audio_is_caught():
    with scripted(Script(answer_ms=20_000, stale_ms=60)) as url:
        result = interrupt(url, None, "stock", ("words",), voice(), delay_s=0.3)
    assert result.old_audio_ms == pytest.approx(60, abs=1)


def test_position_is_reported_to_servers_that_want_it():
    script = Script(answer_ms=500)
    with scripted(script) as url, closing(RealtimeClient(url, Loudspeaker(), extension=("playback",))) as client:
        client.say_text("hello")
        assert eventually(lambda: any(report["ended"] for report in _reports(script)), 5)
    reports = _reports(script)
    positions = [report["audio_played_ms"] for report in reports]
    assert positions == sorted(positions)
    assert positions[-1] == 500 + QUIET_HEAD_MS
    assert [report["ended"] for report in reports] == [False] * (len(reports) - 1) + [True]


def _reports(script: Script) -> list[dict[str, Any]]:
    return [event for event in script.received if event["type"] == "s2s.playback.updated"]


def test_who_waits_is_told_that_the_connection_ended():
    with scripted(Script()) as url, closing(RealtimeClient(url, Loudspeaker())) as client:
        timer = threading.Timer(0.1, client.close)
        timer.start()
        with pytest.raises(ConversationEnded):
            client.wait("response.done", 5)
        timer.join()


def test_a_wait_ends_after_its_time():
    late = pytest.raises(TimeoutError, match=r"response\.done did not come within 0\.05 s")
    with scripted(Script()) as url, closing(RealtimeClient(url, Loudspeaker())) as client, late:
        client.wait("response.done", 0.05)


def test_no_server_is_named_as_such():
    with pytest.raises(ServerUnreachable, match="no realtime server answers there"):
        RealtimeClient("ws://127.0.0.1:9/v1/realtime", Loudspeaker())
