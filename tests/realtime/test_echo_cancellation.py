"""Who takes the agent's echo out of the microphone is chosen for each session."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from fakes import Driver, session_options
from talkover.messages import Samples


@dataclass
class Counting:
    """A canceller that takes nothing away."""

    far_samples: list[int] = field(default_factory=list)

    def feed(self, near: Samples, far: Samples) -> Samples:
        self.far_samples.append(far.size)
        return near

    def flush(self) -> Samples:
        return np.zeros(0, np.float32)


def session_with_canceller() -> tuple[Driver, list[Counting]]:
    made: list[Counting] = []

    def make() -> Counting:
        made.append(Counting())
        return made[-1]

    return Driver(options=session_options(echo_canceller=make)), made


def test_the_server_cancels_for_a_client_that_says_nothing():
    session, made = session_with_canceller()
    session.silence(300)
    assert [sum(each.far_samples) for each in made] == [pytest.approx(300 * 16, abs=64)]


def test_a_client_that_cancels_itself_is_left_alone():
    session, made = session_with_canceller()
    session.update(s2s={"version": 1, "events": [], "echo_cancellation": "client"})
    session.silence(300)
    assert made[0].far_samples == []
    session.update(s2s={"version": 1, "echo_cancellation": "server"})
    session.silence(100)
    assert [sum(each.far_samples) for each in made] == [0, pytest.approx(100 * 16, abs=64)]


def test_a_server_without_canceller_says_so():
    session = Driver(options=session_options())
    events = session.update(s2s={"version": 1, "events": [], "echo_cancellation": "server"})
    error = next(event["error"] for event in events if event["type"] == "error")
    assert (error["param"], error["code"]) == ("session.s2s.echo_cancellation", "invalid_value")
    assert "vad.echo_canceller" in error["message"]
    assert "s2s" not in session.update()[0]["session"]
