"""Holds the calls of a benchmark run side by side, and makes a part of the benchmark of what came of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkover.bench.caller import SCORED_EXTENSION
from talkover.bench.duplex.call import Call, Taken
from talkover.bench.duplex.curve import Point
from talkover.bench.duplex.phrases import own_phrases, people
from talkover.bench.duplex.scenarios import Scenarios
from talkover.bench.duplex.scores import curve_figures, figures, interval_note
from talkover.bench.duplex.takes import FAMILIES, Family, Take
from talkover.bench.duplex.verdict import Verdict, judge
from talkover.bench.figures import PartResult
from talkover.bench.part import Setting
from talkover.bench.speech import Speech
from talkover.client.connection import ConversationEnded, JsonObject

CALL_TAKES = 10
"""takes in one call: long enough for the server to know the caller, short enough to go on behind a broken one"""
JOBS = 2
TURN_DETECTION: JsonObject = {"type": "semantic_vad", "eagerness": "auto"}
"""what the benchmark asks the server for"""
LATE_MS = 60.0
"""a microphone that was later than this was held up by the machine: the take's delays are not the agent's"""
CLIENTS: dict[str, tuple[str, ...]] = {
    "stock": SCORED_EXTENSION,
    "page": (*SCORED_EXTENSION, "playback"),
}
"""both are scored through the extension; only the second can be ducked, and reports its position"""


@dataclass(frozen=True, slots=True)
class Options:
    """How calls are held."""

    client: str = "stock"
    turn_detection: JsonObject | None = None
    jobs: int = JOBS


@dataclass(frozen=True, slots=True)
class Result:
    """One take and the verdict on it."""

    taken: Taken
    verdict: Verdict


def measure(setting: Setting) -> PartResult:
    """The quick set as a part of `talkover bench`."""
    takes, openings, described = prepared(setting.speech, FAMILIES, quick=True)
    with setting.start_server() as server:
        server.wait_ready()
        options = Options(turn_detection=TURN_DETECTION)
        results, remarks = hold(server.url, setting.key, takes, openings, options, setting.advance)
    return part_result(results, [f"speech: {described}", *remarks])


def prepared(
    speech: Speech,
    families: Sequence[Family],
    quick: bool,
    root: Path | None = None,
    echo_minutes: float | None = None,
) -> tuple[list[Take], dict[str, Take], str]:
    """Takes, what each speaker says first in a call, and which speech that is. Raises ValueError without a checkout."""
    own = own_phrases(Path() if root is None else root)
    others = people(speech)
    scenarios = Scenarios([*own, *others], quick, echo_minutes)
    takes = scenarios.takes(families)
    openings = {take.speaker: take for take in reversed(scenarios.openings())}
    described = f"{len(own)} phrases of our own" + (
        f", {len(others)} recordings of people in {speech.folder}" if others else "; no recordings of people"
    )
    return takes, openings, described


def hold(
    url: str,
    key: str | None,
    takes: Sequence[Take],
    openings: Mapping[str, Take],
    options: Options,
    advance: Callable[[str, float], None],
) -> tuple[list[Result], list[str]]:
    """Hold the calls. Returns the verdicts in the order of the takes, and what went wrong on the way."""
    calls = _calls(takes)
    remarks: list[str] = []
    results: dict[str, Result] = {}
    lock = threading.Lock()

    def one(index: int) -> None:
        left = list(calls[index])
        while left:
            try:
                with Call(
                    url,
                    key=key,
                    turn_detection=options.turn_detection,
                    extension=CLIENTS[options.client],
                    echo=left[0].echo,
                    seed=index,
                ) as call:
                    opening = openings.get(left[0].speaker, next(iter(openings.values())))
                    call.take(opening)
                    while left:
                        result = _taken(call, left[0])
                        with lock:
                            results[left[0].name] = result
                            advance(left[0].name, len(results) / len(takes))
                        left.pop(0)
            except (ConversationEnded, TimeoutError, OSError) as error:
                with lock:
                    remarks.append(f"{left[0].name}: {error}")
                left.pop(0)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, range(len(calls))))
    late = [name for name, result in results.items() if result.taken.observation.lag_ms > LATE_MS]
    if late:
        remarks.append(
            f"{len(late)} takes in which this machine held the microphone up by over {LATE_MS:.0f} ms, twice"
        )
    return [results[take.name] for take in takes if take.name in results], remarks


def _taken(call: Call, take: Take) -> Result:
    """A take and its verdict; once again where the machine held the microphone up, and the better of both."""
    taken = call.take(take)
    if taken.observation.lag_ms > LATE_MS:
        again = call.take(take)
        taken = min(taken, again, key=lambda each: each.observation.lag_ms)
    return Result(taken, judge(taken.observation))


def _calls(takes: Sequence[Take]) -> list[list[Take]]:
    """Takes of one speaker and one echo together, the answering ones first, as in a call."""
    groups: dict[tuple[str, object], list[Take]] = {}
    for take in takes:
        groups.setdefault((take.speaker, take.echo), []).append(take)
    return [
        group[start : start + CALL_TAKES] for group in groups.values() for start in range(0, len(group), CALL_TAKES)
    ]


def part_result(results: Sequence[Result], remarks: Sequence[str], points: Sequence[Point] = ()) -> PartResult:
    """The table of verdicts, with the delay at 5 % false cut-offs when there is a curve."""
    return PartResult(
        "duplex",
        "Full duplex",
        (*figures([result.verdict for result in results]), *curve_figures(points)),
        (interval_note(), *remarks),
        [told(result) for result in results],
    )


def told(result: Result) -> dict[str, Any]:
    """A verdict for the JSON, without samples, and where in which decision log its grounds are."""
    verdict, seen = result.verdict, result.taken.observation
    take = verdict.take
    known: dict[str, Any] = {
        name: getattr(verdict, name) for name in Verdict.__dataclass_fields__ if name not in ("take", "pauses")
    }
    return {
        "take": take.name,
        "family": take.family,
        "kind": take.kind,
        "state": take.state,
        "source": take.source,
        "language": take.language,
        "level_db": take.level_db,
        "session": seen.session_id,
        "session_ms": seen.zero_input_ms,
        **known,
        "pauses": [
            {"pause_ms": pause.pause_ms, "ended": pause.ended, "taken_over": pause.taken_over}
            for pause in verdict.pauses
        ],
    }
