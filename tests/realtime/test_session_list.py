"""What an operator sees of each session: its state, its figures, and nothing once it has closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines, session_options
from talkover.messages import ToolFinished
from talkover.metrics import Metrics, Timeline, TurnMetrics
from talkover.realtime.actions import Close, RunTool, StopTool
from talkover.realtime.session_list import MAX_TURNS, WINDOW_S, ListedSession, SessionList
from talkover.tools.functions import function_tool


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


def watched(clock: Clock) -> tuple[SessionList, Metrics]:
    metrics = Metrics(8)
    return SessionList(metrics, 8, {"llm": "fake"}, clock), metrics


@dataclass
class WatchedDriver(Driver):
    """A session by hand that is watched."""

    live: ListedSession | None = None

    def handle(self, happened: Any) -> None:
        assert self.live is not None
        self.live.happened(happened, self.now_s)
        actions = self.core.handle(happened, self.now_s)
        self.live.decided(actions, self.now_s)
        self._do(actions)


def counted(metrics: Metrics, series: str) -> dict[tuple[str, ...], float]:
    """Label values, in the order of the labels' names -> value."""
    page = metrics.render()[0].decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return {
        tuple(sample.labels[name] for name in sorted(sample.labels)): sample.value
        for sample in samples
        if sample.name == series
    }


def turn(voice_to_voice_s: float) -> TurnMetrics:
    timeline = Timeline()
    timeline.mark("speech_end", 1.0)
    timeline.mark("first_audible", 1.0 + voice_to_voice_s)
    return TurnMetrics.of(timeline, item_id="item", response_id="resp", status="completed")


def test_a_session_listens_thinks_and_speaks() -> None:
    sessions, metrics = watched(Clock())
    live = sessions.observer("sess_1", session_options())
    session = WatchedDriver(fake_engines(ScriptedAsr("hello"), ScriptedLlm("Hello to you.")), live=live)
    assert live.state(session.now_s) == "listening"
    session.speak(600)
    session.run()
    assert live.state(session.now_s) == "listening"
    session.silence(240)
    session.silence(460)
    assert live.state(session.now_s) == "thinking"
    session.run()
    assert live.state(session.now_s) == "speaking"
    assert [row["responses"] for row in sessions.snapshot()["data"]] == [1]
    assert live.state(session.now_s + 10) == "listening"
    live.closed()
    assert sessions.snapshot()["data"] == []
    assert counted(metrics, "talkover_sessions_closed_total") == {("client",): 1}


def test_an_interruption_is_counted_and_ends_the_speech() -> None:
    sessions, _ = watched(Clock())
    live = sessions.observer("sess_1", session_options())
    story = "One two three four five six seven eight nine ten. " * 10
    session = WatchedDriver(fake_engines(ScriptedAsr("tell me", "stop now please"), ScriptedLlm(story)), live=live)
    session.say()
    assert live.state(session.now_s) == "speaking"
    session.speak(900)
    assert live.state(session.now_s) == "listening"
    session.end_turn()
    assert live.view(session.now_s)["interruptions"] == 1


def test_tools_are_timed_by_how_they_ended() -> None:
    sessions, metrics = watched(Clock())
    live = sessions.observer("sess_1", session_options())

    def look_up(word: str) -> str:
        """What a word means."""
        return word

    runs = [RunTool(run_id, function_tool(look_up), {}, "key", 5.0) for run_id in range(3)]
    live.decided(runs, 10.0)
    live.happened(ToolFinished(0, "{}"), 10.5)
    live.happened(ToolFinished(1, "{}", failed=True), 11.0)
    live.decided([StopTool(2), StopTool(7)], 12.0)
    assert counted(metrics, "talkover_tool_seconds_sum") == {
        ("finished", "look_up"): 0.5,
        ("failed", "look_up"): 1.0,
        ("stopped", "look_up"): 2.0,
    }


def test_sessions_that_the_server_closed_are_counted_by_the_code() -> None:
    sessions, metrics = watched(Clock())
    live = sessions.observer("sess_1", session_options())
    live.decided([Close(1001, "session expired")], 10.0)
    live.closed()
    assert counted(metrics, "talkover_sessions_closed_total") == {("1001",): 1}


def test_latencies_are_those_of_the_last_minutes_and_bounded() -> None:
    clock = Clock()
    sessions, _ = watched(clock)
    for _ in range(2 * MAX_TURNS):
        sessions.turn_ended(turn(3.0), clock.now_s)
    assert sessions.snapshot()["latency"]["turns"] == MAX_TURNS
    clock.now_s += WINDOW_S + 1
    for latency_s in (0.5, 0.6, 0.7):
        sessions.turn_ended(turn(latency_s), clock.now_s)
    latency = sessions.snapshot()["latency"]
    assert latency["turns"] == 3
    assert latency["stages"] == {"voice_to_voice": {"n": 3, "p50_ms": 600, "p95_ms": 690}}


def test_callers_who_wait_are_shown() -> None:
    sessions, metrics = watched(Clock())
    metrics.sessions_waiting.set(3)
    assert sessions.snapshot()["waiting"] == 3
    assert counted(metrics, "talkover_sessions_by_state") == {("listening",): 0, ("thinking",): 0, ("speaking",): 0}
