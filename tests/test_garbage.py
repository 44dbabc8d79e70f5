"""What ended conversations held is free again: the detector's memory at once, the rest within seconds."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from fakes import FakeEngine, LevelVad, fake_engines, session_options, wait_until
from talkover import garbage
from talkover.engines import Engines
from talkover.metrics import Metrics
from talkover.realtime.session_thread import SessionThread


class Web:
    """Known by what it knows, as a session is."""

    def __init__(self) -> None:
        self.back = [self]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Python's own never comes by."""
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.usefixtures("no_collector")
def test_garbage_is_collected_while_the_loop_runs_and_what_was_loaded_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "EVERY_S", 0.01)
    loaded = Web()
    garbage.keep_what_is_loaded()
    assert gc.get_freeze_count() > 1000
    ended = weakref.ref(Web())
    kept = weakref.ref(loaded)
    del loaded
    assert ended() is not None

    async def serves() -> None:
        task = asyncio.create_task(garbage.give_memory_back())
        while ended() is not None:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(asyncio.wait_for(serves(), 30))
    assert kept() is not None, "a frozen object is not looked at"


def test_a_system_without_malloc_trim_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherLibrary:
        def __init__(self, _name: None) -> None: ...

    monkeypatch.setattr(garbage.ctypes, "CDLL", OtherLibrary)
    assert garbage._libc("malloc_trim")(0) == 0
    garbage.use_few_heaps()


class DetectorOfACall(FakeEngine):
    """A stream of its own for each session, remembered weakly."""

    def __init__(self) -> None:
        self.streams: list[weakref.ref[Any]] = []

    def stream(self) -> LevelVad:
        stream = LevelVad()
        self.streams.append(weakref.ref(stream))
        return stream


class Outlet:
    """Takes what is sent, and forgets it."""

    def __init__(self) -> None:
        self.n_frames = 0

    def send(self, frames: list[str]) -> None:
        self.n_frames += len(frames)

    def close(self, code: int, reason: str) -> None:
        """Nobody asks."""


@pytest.mark.usefixtures("no_collector")
def test_the_end_of_a_session_frees_its_voice_detector_without_the_collector() -> None:
    fakes, vad, outlet = fake_engines(), DetectorOfACall(), Outlet()
    engines = Engines(vad, fakes.asr, fakes.llm, fakes.tts)
    session = SessionThread(session_options(), engines, None, outlet, Metrics(), 1 << 20, lambda: None)
    session.start()
    assert wait_until(lambda: outlet.n_frames > 0)
    (stream,) = vad.streams
    assert stream() is not None
    session.stop()
    assert session.join()
    assert stream() is None
