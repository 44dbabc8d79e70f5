"""Faults that nobody foresaw: a step that raises, a step that never ends, a loop that stands still."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections import deque
from typing import Any

import numpy as np
import pytest

from fakes import Driver, LevelVad, ScriptedAsr, fake_engines, session_options, wait_until
from talkover.audio import samples_to_pcm16
from talkover.engines import Engines
from talkover.messages import Samples
from talkover.metrics import Metrics
from talkover.realtime.actions import Close
from talkover.realtime.session import MAX_BREAKS, Broke
from talkover.realtime.session_thread import SessionThread
from talkover.realtime.watchdog import Pulse, Vigil, Watchdog

TONE = base64.b64encode(samples_to_pcm16(np.full(4800, 0.5, np.float32))).decode()
APPEND = json.dumps({"type": "input_audio_buffer.append", "audio": TONE})


# -------------------------------------------------------------------------------------------- who is stuck, decided


def looks(vigil: Vigil, *seen: tuple[float, int, bool]) -> list[list[str]]:
    return [vigil.look({"a": Pulse(steps, has_work)}, at_s) for at_s, steps, has_work in seen]


def test_work_without_a_step_for_the_limit_is_reported_once():
    vigil = Vigil(limit_s=3, period_s=1)
    found = looks(vigil, (0, 5, True), (1, 5, True), (2, 5, True), (3, 5, True), (4, 5, True))
    assert found == [[], [], [], ["a"], []]


def test_steps_or_nothing_to_do_are_no_fault():
    assert looks(Vigil(3, 1), *((at_s, at_s, True) for at_s in range(9))) == [[]] * 9
    assert looks(Vigil(3, 1), *((at_s, 5, False) for at_s in range(9))) == [[]] * 9
    interrupted = [(at_s, 5, at_s % 3 != 2) for at_s in range(9)]
    assert looks(Vigil(3, 1), *interrupted) == [[]] * 9


def test_one_that_steps_again_and_is_stuck_again_is_reported_again():
    vigil = Vigil(2, 1)
    found = looks(vigil, (0, 1, True), (1, 1, True), (2, 1, True), (3, 2, True), (4, 2, True), (5, 2, True))
    assert found == [[], [], ["a"], [], [], ["a"]]


def test_a_machine_that_was_asleep_finds_nobody_stuck():
    vigil = Vigil(limit_s=10, period_s=1)
    assert looks(vigil, (0, 5, True), (1, 5, True), (5000, 5, True), (5001, 6, True)) == [[]] * 4


# ------------------------------------------------------------------------------------------------- a step that raises


class FaultyVad(LevelVad):
    """Raises for each frame of the next `faults`."""

    def __init__(self) -> None:
        self.faults = 0

    def stream(self) -> FaultyVad:
        return self

    def speech_probability(self, frame: Samples) -> float:
        if self.faults:
            self.faults -= 1
            raise RuntimeError("a driver went away")
        return super().speech_probability(frame)


def faulty_session() -> tuple[FaultyVad, Driver]:
    vad = FaultyVad()
    engines = fake_engines(ScriptedAsr("Hello", "Are you there"))
    driver = Driver(Engines(vad, engines.asr, engines.llm, engines.tts), session_options())
    return vad, driver


def break_step(vad: FaultyVad, driver: Driver) -> list[dict[str, Any]]:
    """What SessionThread does with a step that raised."""
    before = len(driver.events)
    vad.faults = 1
    with pytest.raises(RuntimeError):
        driver.speak(100)
    driver.handle(Broke("RuntimeError"))
    return driver.events[before:]


def test_a_step_that_raises_ends_what_there_was_and_the_session_listens_again():
    vad, driver = faulty_session()
    driver.say()
    driver.send("response.create")
    events = break_step(vad, driver)
    assert [event["error"]["code"] for event in events if event["type"] == "error"] == ["internal_error"]
    assert driver.last("response.done")["response"]["status"] == "failed"
    driver.run()
    driver.wait(5)
    driver.say()
    assert driver.last("response.done")["response"]["status"] == "completed"
    assert driver.closed is None


def test_whoever_was_speaking_is_asked_to_say_it_again():
    vad, driver = faulty_session()
    driver.speak(500)
    break_step(vad, driver)
    driver.run()
    spoken = [event["delta"] for event in driver.of("response.output_audio_transcript.delta")]
    assert spoken == ["Sorry, I could not hear that properly.", " Could you say it again?"]


def test_the_positions_of_the_users_audio_go_on_after_a_fault():
    vad, driver = faulty_session()
    driver.silence(2000)
    break_step(vad, driver)
    driver.speak(400)
    assert driver.last("input_audio_buffer.speech_started")["audio_start_ms"] >= 1600


def test_a_fault_that_comes_again_and_again_ends_the_session():
    vad, driver = faulty_session()
    for _ in range(MAX_BREAKS):
        break_step(vad, driver)
        assert driver.closed is None
    break_step(vad, driver)
    assert driver.closed == (1011, "internal error")
    assert not [one for one in driver.actions[:-1] if isinstance(one, Close)]


# --------------------------------------------------------------------------------------------------- real threads


class HangingVad(LevelVad):
    """Its streams wait for `released` at loud audio; those made after `hangs` was cleared do not."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.hangs = True

    def stream(self) -> LevelVad:
        return _HangingStream(self.released) if self.hangs else LevelVad()


class _HangingStream(LevelVad):
    def __init__(self, released: threading.Event) -> None:
        self._released = released

    def speech_probability(self, frame: Samples) -> float:
        self._released.wait(30)
        return super().speech_probability(frame)


class Client:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.frames: deque[str] = deque()
        self.closed: tuple[int, str] | None = None

    def send(self, frames: list[str]) -> None:
        self.frames += frames

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def has(self, event_type: str) -> bool:
        return any(json.loads(frame)["type"] == event_type for frame in list(self.frames))


def session_thread(engines: Engines, client: Client, metrics: Metrics) -> SessionThread:
    return SessionThread(session_options(), engines, None, client, metrics, 1 << 20, lambda: None)


def test_a_hung_session_is_reported_and_closed_and_its_neighbour_goes_on(caplog: pytest.LogCaptureFixture):
    metrics, vad = Metrics(), HangingVad()
    fakes = fake_engines()
    engines = Engines(vad, fakes.asr, fakes.llm, fakes.tts)
    stuck_client, other_client = Client(), Client()
    stuck = session_thread(engines, stuck_client, metrics)
    vad.hangs = False
    other = session_thread(engines, other_client, metrics)
    watchdog = Watchdog(0.5, metrics)

    async def calls() -> None:
        for session in (stuck, other):
            session.start()
            watchdog.watch(session)
        stuck.inbox.offer_frame(APPEND)
        while stuck_client.closed is None:
            other.inbox.offer_frame('{"type": "nothing"}')
            await asyncio.sleep(0.02)

    try:
        with caplog.at_level(logging.ERROR):
            asyncio.run(asyncio.wait_for(calls(), 20))
        assert stuck_client.closed == (1011, "the session was stuck")
        assert other_client.closed is None
        assert "speech_probability" in caplog.text
        assert metrics.registry.get_sample_value("talkover_stuck_total", {"what": "session"}) == 1
        other.inbox.offer_frame('{"type": "input_audio_buffer.clear"}')
        assert wait_until(lambda: other_client.has("input_audio_buffer.cleared"))
    finally:
        watchdog.close()
        vad.released.set()
        for session in (stuck, other):
            session.stop()
            assert session.join()


def test_a_loop_that_stands_still_is_reported(caplog: pytest.LogCaptureFixture):
    metrics = Metrics()
    watchdog = Watchdog(0.3, metrics)
    session = session_thread(fake_engines(), Client(), metrics)

    def found() -> bool:
        return metrics.registry.get_sample_value("talkover_stuck_total", {"what": "event_loop"}) == 1

    async def blocks() -> None:
        session.start()
        watchdog.watch(session)
        assert wait_until(found)  # on the loop, on purpose

    with caplog.at_level(logging.ERROR):
        asyncio.run(blocks())
    watchdog.close()
    session.stop()
    assert session.join()
    assert "the event loop has not got on" in caplog.text


class VadThatCannotBeginAnew(LevelVad):
    """Raises the first time that its stream is interrupted."""

    def __init__(self) -> None:
        self.faults = 1

    def stream(self) -> VadThatCannotBeginAnew:
        return self

    def reset(self) -> None:
        if self.faults:
            self.faults -= 1
            raise RuntimeError("a driver went away")


def test_a_session_that_raises_once_goes_on_in_its_thread(caplog: pytest.LogCaptureFixture):
    client, fakes = Client(), fake_engines()
    session = session_thread(Engines(VadThatCannotBeginAnew(), fakes.asr, fakes.llm, fakes.tts), client, Metrics())
    session.start()
    for detection in ("null", '{"type": "server_vad"}'):
        update = (
            '{"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": %s}}}}'
        )
        session.inbox.offer_frame(update % detection)
    assert wait_until(lambda: client.has("error"))
    session.inbox.offer_frame('{"type": "input_audio_buffer.clear"}')
    assert wait_until(lambda: client.has("input_audio_buffer.cleared"))
    assert client.closed is None
    assert "begins anew" in caplog.text
    session.stop()
    assert session.join()
