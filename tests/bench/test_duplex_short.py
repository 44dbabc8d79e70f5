"""The short form of the duplex benchmark: a few takes over a real socket, with limits only a broken agent misses.

The real figures need an idle machine and the whole set (`talkover bench duplex`); this runs on a busy one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rich.console import Console

from talkover.bench.duplex.calls import TURN_DETECTION, Options, Result, hold
from talkover.bench.duplex.phrases import own_phrases
from talkover.bench.duplex.replay import replay_all, replay_file
from talkover.bench.duplex.scenarios import Scenarios
from talkover.client.server_process import ServerProcess

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CHOSEN = (
    "answering: what_is_talkover, slt",
    "pause: phone, slt, 500",
    "noise: door 0, speaking",
    "answering: time, rms",
    "interruption: wrong, rms",
    "backchannel: uh_huh, rms",
    "yes_no: no, awb",
    "interruption: stop, awb",
    "backchannel: okay, awb",
)
"""three speakers, so three calls side by side"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decisions")


@pytest.fixture(scope="module")
def results(logs: Path) -> dict[str, Result]:
    scenarios = Scenarios(own_phrases(ROOT), quick=False)
    families = ("answering", "pause", "yes_no", "interruption", "backchannel", "noise")
    takes = [take for take in scenarios.takes(families) if take.name in CHOSEN]
    assert sorted(take.name for take in takes) == sorted(CHOSEN)
    openings = {take.speaker: take for take in reversed(scenarios.openings())}
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(0.001)
    try:
        with ServerProcess(["--set", f"vad.decision_log={logs}"]) as server:
            server.wait_ready()
            options = Options(turn_detection=TURN_DETECTION, jobs=3)
            found, remarks = hold(server.url, None, takes, openings, options, lambda *_: None)
    finally:
        sys.setswitchinterval(interval_s)
    assert len(found) == len(takes), remarks
    return {result.verdict.take.name: result for result in found}


def verdicts(results: dict[str, Result], family: str) -> list:
    return [result.verdict for result in results.values() if result.verdict.take.family == family]


def test_finished_utterances_are_answered(results: dict[str, Result]):
    for verdict in verdicts(results, "answering") + verdicts(results, "yes_no"):
        assert verdict.answered, verdict.why
        assert verdict.response_ms < 3000
        assert not verdict.spoke_over_user


def test_digits_are_waited_for(results: dict[str, Result]):
    (verdict,) = verdicts(results, "pause")
    assert verdict.passed, verdict.why


def test_interruptions_are_yielded_to_and_leave_nothing_behind(results: dict[str, Result]):
    for verdict in verdicts(results, "interruption"):
        assert verdict.yielded, verdict.why
        assert verdict.yield_ms < 1500
        assert verdict.stale_ms == 0
        assert verdict.ledger_words_off is None or verdict.ledger_words_off <= 1


def test_a_backchannel_is_no_turn(results: dict[str, Result]):
    found = verdicts(results, "backchannel")
    assert any(verdict.undisturbed for verdict in found), [verdict.why for verdict in found]


def test_a_door_is_left_alone(results: dict[str, Result]):
    (verdict,) = verdicts(results, "noise")
    assert verdict.undisturbed, verdict.why


def test_every_decision_can_be_taken_again(results: dict[str, Result], logs: Path):
    assert results
    assert replay_all(logs, Console(quiet=True))
    assert sum(replay_file(path).calls for path in logs.glob("*.jsonl")) > 500
