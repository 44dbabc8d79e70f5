"""Generations, bounded queues, the stage thread and the paced sender."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from fakes import ScriptedLlm, ToneTts, fake_engines, never, wait_until
from talkover.engines import EngineFailed, IsStale, LlmCall, LlmFinished, LlmText
from talkover.messages import (
    AudioDelta,
    CallDelta,
    Output,
    Prompt,
    ResponseEnd,
    ResponseRequest,
    StageFailed,
    VoiceSettings,
    WireAudio,
)
from talkover.pipeline.cancel import Generations
from talkover.pipeline.lane import Lane
from talkover.pipeline.pacing import Pacer
from talkover.pipeline.queues import BoundedQueue, Inbox
from talkover.pipeline.sender import Sender
from talkover.pipeline.stage import StageThread


def request(generation: int = 1, **changes: object) -> ResponseRequest:
    fields: dict = {"prompt": Prompt("", ()), "modality": "audio", "voice": VoiceSettings("tone")}
    return ResponseRequest(generation, f"resp_{generation}", **(fields | changes))


def test_a_new_generation_makes_all_older_ones_stale():
    generations = Generations()
    first, second = generations.next(), generations.next()
    assert generations.is_stale(first)
    assert not generations.is_stale(second)
    is_stale = generations.checker(second)
    generations.next()
    assert is_stale()


def test_a_full_queue_blocks_its_producer_until_the_item_is_stale():
    queue: BoundedQueue[int] = BoundedQueue(1)
    assert queue.put(1, never)
    answers = iter([False, False, True])
    assert not queue.put(2, lambda: next(answers))
    assert queue.get() == 1


def test_closing_a_queue_wakes_consumer_and_producer():
    queue: BoundedQueue[int] = BoundedQueue(1)
    results: list[object] = []
    consumer = threading.Thread(target=lambda: results.append(queue.get()))
    consumer.start()
    queue.close()
    consumer.join(5)
    assert results == [None]
    assert not queue.put(1, never)


def test_the_inbox_prefers_reports_and_tells_the_socket_to_pause():
    room = []
    inbox: Inbox[object] = Inbox(2, 10, lambda: room.append(True))
    assert inbox.offer_frame("12345")
    assert not inbox.offer_frame("67890")  # full: read no further
    assert inbox.report(42, never)
    assert inbox.get(0, frames_wanted=True) == 42
    assert inbox.get(0, frames_wanted=False) is None
    assert inbox.get(0, frames_wanted=True) == "12345"
    assert room == [True]


class Doubler:
    name = "doubler"

    def __init__(self) -> None:
        self.was_reset = False

    def process(self, item: int, is_stale: IsStale) -> Iterator[int]:
        if item < 0:
            raise EngineFailed("negative")
        yield 2 * item

    def reset(self) -> None:
        self.was_reset = True


def test_a_stage_that_raises_reports_it_and_goes_on():
    out: list[object] = []
    stage = Doubler()
    thread = StageThread(stage, lambda item, _: out.append(item) is None, lambda _: never, 4, "test")
    for item in (1, -1, 2):
        thread.put(item, never)
    assert wait_until(lambda: len(out) == 3)
    thread.close()
    assert thread.join(5)
    assert out == [2, StageFailed("doubler", "negative"), 4]
    assert stage.was_reset


def test_the_pacer_keeps_the_lead_and_never_holds_the_first_chunk():
    pacer = Pacer(0.5)
    assert pacer.wait_s(10.0) == 0
    pacer.sent(0.4, 10.0)
    assert pacer.wait_s(10.0) == 0
    pacer.sent(0.4, 10.0)
    assert abs(pacer.wait_s(10.0) - 0.3) < 1e-9
    assert pacer.wait_s(10.3) == 0
    pacer.flush()
    assert pacer.wait_s(10.0) == 0


def audio(generation: int = 1, duration_ms: int = 100) -> AudioDelta:
    return AudioDelta(generation, f"resp_{generation}", np.full(24 * duration_ms, 0.1, np.float32))


def test_the_sender_holds_and_goes_on_at_the_exact_sample():
    sender = Sender(None, never)
    list(sender.process(request(), never))
    sender.hold()
    sent: list[Output] = []
    worker = threading.Thread(target=lambda: sent.extend(sender.process(audio(), never)))
    worker.start()
    assert not wait_until(lambda: bool(sent), 0.1)
    sender.release()
    worker.join(5)
    assert [len(part.payload) for part in sent if isinstance(part, WireAudio)] == [4800]


def test_a_held_sender_gives_up_when_its_audio_is_stale():
    sender = Sender(None, never)
    list(sender.process(request(), never))
    sender.hold()
    generations = Generations()
    generation = generations.next()
    generations.next()
    assert list(sender.process(audio(), generations.checker(generation))) == []


def test_a_resampled_response_ends_with_what_the_filter_held():
    from talkover.messages import AudioFormat

    sender = Sender(None, never)
    list(sender.process(request(audio_format=AudioFormat("pcmu", 8000)), never))
    out = [part for _ in range(5) for part in sender.process(audio(), never)]
    out += list(sender.process(ResponseEnd(1, "resp_1"), never))
    assert sum(len(part.payload) for part in out if isinstance(part, WireAudio)) == 5 * 800


def lane_of(llm: ScriptedLlm, lead_ms: int | None = None, tts: ToneTts | None = None) -> tuple[Lane, list[Output]]:
    out: list[Output] = []
    lane = Lane(
        fake_engines(llm=llm, tts=tts), Generations(), lambda item, _: out.append(item) is None, lead_ms, "test"
    )
    return lane, out


def test_a_lane_carries_a_response_in_order_and_leaves_no_thread():
    before = threading.active_count()
    lane, out = lane_of(ScriptedLlm("Hello there, friend. How are you today?"))
    lane.submit(request(lane.generations.next()))
    assert wait_until(lambda: any(isinstance(item, ResponseEnd) for item in out))
    lane.close()
    assert lane.join(5)
    assert isinstance(out[-1], ResponseEnd)
    assert "".join(item.text for item in out if isinstance(item, WireAudio)).startswith("Hello there")
    assert threading.active_count() == before


def test_a_new_generation_stops_the_old_response_everywhere():
    lane, out = lane_of(ScriptedLlm("A long answer. " * 50, "New."), lead_ms=100)
    old = lane.generations.next()
    lane.submit(request(old))
    assert wait_until(lambda: any(isinstance(item, WireAudio) for item in out))
    new = lane.generations.next()
    out.clear()
    lane.submit(request(new))
    assert wait_until(lambda: any(isinstance(item, ResponseEnd) for item in out))
    lane.close()
    assert lane.join(5)
    late = [item for item in out if item.generation == old]
    assert len(late) <= 1  # the one that was on its way; the session drops it by its response id
    assert [item.text for item in out if isinstance(item, WireAudio) and item.text] == ["New."]


def test_audio_in_front_of_a_function_call_is_not_paced():
    answer = [LlmText("Let me look that up for you right now. "), LlmCall(0, "tool", "{}"), LlmFinished("tool_calls")]
    lane, out = lane_of(ScriptedLlm(answer), lead_ms=100, tts=ToneTts(ms_per_char=200))
    lane.submit(request(lane.generations.next()))
    assert wait_until(lambda: any(isinstance(item, CallDelta) for item in out), 3)  # 8 s of speech
    lane.close()
    assert lane.join(5)
    calls = [index for index, item in enumerate(out) if isinstance(item, CallDelta)]
    sounds = [index for index, item in enumerate(out) if isinstance(item, WireAudio)]
    assert max(sounds) < min(calls)
