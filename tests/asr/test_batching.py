"""The thread that groups work, with jobs instead of models."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from fakes import never
from talkover.asr.batching import Batcher
from talkover.engines import EngineFailed


class Doubler:
    """Doubles numbers, notes who came together, and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.began = threading.Event()

    def run(self, jobs: Sequence[int]) -> list[int]:
        self.began.set()
        assert self.may_go.wait(10)
        self.batches.append(list(jobs))
        if 13 in jobs:
            raise ValueError("13 cannot be doubled")
        return [2 * job for job in jobs]


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


@pytest.fixture
def batcher(doubler: Doubler) -> Iterator[Batcher[int, int]]:
    made = Batcher("doubler", doubler.run, max_batch=4, max_waiting=8)
    yield made
    doubler.may_go.set()
    made.close()


def held_by_one(doubler: Doubler, batcher: Batcher[int, int]) -> None:
    """The thread is busy with a job, and what is submitted now has to wait."""
    doubler.may_go.clear()
    batcher.submit(0)
    assert doubler.began.wait(10)


def test_what_waits_at_the_same_time_is_done_together(doubler: Doubler, batcher: Batcher[int, int]) -> None:
    held_by_one(doubler, batcher)
    tickets = [batcher.submit(number) for number in range(1, 7)]
    doubler.may_go.set()
    assert [ticket.wait(10, never) for ticket in tickets] == [2, 4, 6, 8, 10, 12]
    assert doubler.batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_one_that_fails_takes_nobody_with_it(doubler: Doubler, batcher: Batcher[int, int]) -> None:
    held_by_one(doubler, batcher)
    tickets = [batcher.submit(number) for number in (1, 13, 2)]
    doubler.may_go.set()
    assert tickets[0].wait(10, never) == 2
    assert tickets[2].wait(10, never) == 4
    with pytest.raises(EngineFailed, match="doubler: 13 cannot be doubled"):
        tickets[1].wait(10, never)
    assert batcher.submit(5).wait(10, never) == 10


def test_what_nobody_waits_for_is_not_begun(doubler: Doubler, batcher: Batcher[int, int]) -> None:
    held_by_one(doubler, batcher)
    stale = batcher.submit(1)
    assert stale.wait(10, lambda: True) is None
    kept = batcher.submit(2)
    doubler.may_go.set()
    assert kept.wait(10, never) == 4
    assert doubler.batches == [[0], [2]]


def test_a_thread_that_hangs_is_a_failure_not_a_wait(doubler: Doubler, batcher: Batcher[int, int]) -> None:
    held_by_one(doubler, batcher)
    with pytest.raises(EngineFailed, match=r"no result for 0\.05 s"):
        batcher.submit(1).wait(0.05, never)


def test_too_much_work_is_refused(doubler: Doubler, batcher: Batcher[int, int]) -> None:
    held_by_one(doubler, batcher)
    for number in range(8):
        batcher.submit(number)
    with pytest.raises(EngineFailed, match="8 utterances are waiting"):
        batcher.submit(9)


def test_after_the_end_nothing_is_taken(doubler: Doubler, batcher: Batcher[int, int]) -> None:
    batcher.close()
    batcher.close()
    with pytest.raises(EngineFailed, match="closed"):
        batcher.submit(1)
