"""Who is let in, who waits, who is refused: each rule, and what holds after any sequence of events."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from talkover.realtime.admission import (
    MAX_RETRY_S,
    MIN_RETRY_S,
    Admission,
    AdmissionLimits,
    Admitted,
    Refused,
    Waiting,
)


def admission(sessions: int = 1, waiting: int = 2, max_wait_s: float = 100.0) -> Admission:
    return Admission(AdmissionLimits(sessions, waiting, max_wait_s))


def test_a_client_that_cannot_wait_is_refused_when_every_place_is_taken():
    door = admission()
    assert door.arrive(False, 0.0)[1] == Admitted()
    assert door.arrive(False, 1.0)[1] == Refused("full", MIN_RETRY_S)


def test_those_who_wait_are_let_in_in_order_and_move_up():
    door = admission()
    first, _ = door.arrive(True, 0.0)
    second, standing = door.arrive(True, 1.0)
    third, _ = door.arrive(True, 2.0)
    assert standing == Waiting(1, None)
    assert door.standing(third, 2.0) == Waiting(2, None)
    door.leave(first, 10.0)
    assert door.standing(second, 10.0) == Admitted()
    assert door.standing(third, 10.0) == Waiting(1, 10.0)


def test_nobody_overtakes_the_queue():
    door = admission(sessions=2)
    door.running_are_late(True, 0.0)
    talking, _ = door.arrive(True, 0.0)
    waits, standing = door.arrive(True, 1.0)
    assert isinstance(standing, Waiting)
    door.running_are_late(False, 2.0)
    assert door.standing(waits, 2.0) == Admitted()
    assert door.standing(talking, 2.0) == Admitted()


def test_who_leaves_the_queue_frees_the_place_in_it():
    door = admission(waiting=1)
    door.arrive(True, 0.0)
    waits, _ = door.arrive(True, 1.0)
    assert isinstance(door.arrive(True, 2.0)[1], Refused)
    door.leave(waits, 3.0)
    assert isinstance(door.arrive(True, 4.0)[1], Waiting)


def test_who_waited_too_long_is_told_so_once_and_keeps_no_place():
    door = admission(max_wait_s=30.0)
    door.arrive(True, 0.0)
    waits, _ = door.arrive(True, 1.0)
    assert isinstance(door.standing(waits, 30.9), Waiting)
    assert door.standing(waits, 31.0) == Refused("waited_too_long", MIN_RETRY_S)
    assert door.waiting == 0
    door.leave(waits, 32.0)


def test_late_calls_let_nobody_in_but_an_idle_server_does():
    door = admission(sessions=4)
    door.running_are_late(True, 0.0)
    talking, standing = door.arrive(False, 0.0)
    assert standing == Admitted()
    assert door.arrive(False, 1.0)[1] == Refused("busy", MIN_RETRY_S)
    door.leave(talking, 2.0)
    assert door.arrive(False, 3.0)[1] == Admitted()


def test_the_estimate_counts_on_calls_as_long_as_those_before():
    door = admission(sessions=2, waiting=4)
    for ticket in (door.arrive(False, 0.0)[0], door.arrive(False, 0.0)[0]):
        door.leave(ticket, 60.0)
    door.arrive(False, 60.0)
    door.arrive(False, 60.0)
    assert door.arrive(True, 61.0)[1] == Waiting(1, 30.0)
    assert door.arrive(True, 61.0)[1] == Waiting(2, 60.0)
    assert door.arrive(False, 61.0)[1] == Refused("full", MAX_RETRY_S)


def test_a_server_that_drains_takes_nobody_and_sends_the_queue_away():
    door = admission()
    talking, _ = door.arrive(True, 0.0)
    waits, _ = door.arrive(True, 1.0)
    door.drain()
    assert door.standing(talking, 2.0) == Admitted()
    assert door.standing(waits, 2.0) == Refused("draining", MIN_RETRY_S)
    assert door.arrive(True, 3.0)[1] == Refused("draining", MIN_RETRY_S)
    door.leave(talking, 4.0)
    assert door.arrive(False, 5.0)[1] == Refused("draining", MIN_RETRY_S)


class AnyOrder(RuleBasedStateMachine):
    """Arrivals, departures, lateness and time in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.door = admission(sessions=3, waiting=4, max_wait_s=20.0)
        self.now_s = 0.0
        self.present: list[int] = []
        """everybody who was not refused and has not left, in order of arrival"""

    @rule(may_wait=st.booleans())
    def arrive(self, may_wait: bool) -> None:
        ticket, standing = self.door.arrive(may_wait, self.now_s)
        assert may_wait or not isinstance(standing, Waiting)
        if not isinstance(standing, Refused):
            self.present.append(ticket)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.present:
            ticket = data.draw(st.sampled_from(self.present))
            self.present.remove(ticket)
            self.door.leave(ticket, self.now_s)

    @rule(late=st.booleans())
    def observe(self, late: bool) -> None:
        self.door.running_are_late(late, self.now_s)

    @rule(seconds=st.floats(0.1, 15))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        for ticket in tuple(self.present):
            if isinstance(self.door.standing(ticket, self.now_s), Refused):
                self.present.remove(ticket)

    @rule()
    def drain(self) -> None:
        self.door.drain()
        self.time_passes(0.0)

    @invariant()
    def bounds_hold_and_nobody_is_forgotten(self) -> None:
        assert self.door.active <= 3
        assert self.door.waiting <= 4
        standings = [self.door.standing(ticket, self.now_s) for ticket in self.present]
        assert sum(isinstance(standing, Admitted) for standing in standings) == self.door.active
        places = [standing.place for standing in standings if isinstance(standing, Waiting)]
        assert places == list(range(1, self.door.waiting + 1))
        assert not places or self.door.refuses is not None


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
