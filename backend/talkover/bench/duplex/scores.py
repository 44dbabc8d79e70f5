"""From verdicts to the lines of the table, with confidence intervals. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from talkover.bench.duplex.curve import BUDGET, MAX_PAUSE_MS, Point, delay_at_budget_ms
from talkover.bench.duplex.verdict import PauseVerdict, Verdict
from talkover.bench.figures import CONFIDENCE, Figure, Interval, Target, summarize

Z = 1.959964
"""of a normal distribution, for two-sided 95 %"""


def wilson(hits: int, n: int) -> Interval:
    """95 % confidence interval of a share (Wilson score interval), 0 to 1; fit for small n, and for 0 and n."""
    if n == 0:
        return Interval(0.0, 1.0)
    share, z2 = hits / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def share(name: str, outcomes: Iterable[bool | None], target: Target | None = None, note: str = "") -> Figure:
    """A line for how often something was so; None does not count."""
    known = [outcome for outcome in outcomes if outcome is not None]
    hits = sum(known)
    if not known:
        return Figure(name, "", note="not measured")
    interval = wilson(hits, len(known))
    told = f"{hits} of {len(known)} ({interval.low:.2f}-{interval.high:.2f})"
    targets = () if target is None else (target,)
    return Figure(name, "", value=hits / len(known), targets=targets, note=f"{told} {note}".strip())


def figures(verdicts: Sequence[Verdict]) -> list[Figure]:
    """The whole table, without lines for what was not measured."""
    makers = (_answering, _pauses, _yielding, _selectivity, _echo)
    lines = [line for maker in makers for line in maker(verdicts)]
    return [line for line in lines if line.summary is not None or line.value is not None]


def _of(verdicts: Sequence[Verdict], *families: str) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.take.family in families]


def _ms(name: str, values: Iterable[float | None], *targets: Target) -> Figure:
    return Figure(name, "ms", summarize([value for value in values if value is not None]), targets=targets)


def _answering(verdicts: Sequence[Verdict]) -> list[Figure]:
    answering = _of(verdicts, "answering")
    yes_no = _of(verdicts, "yes_no")
    owners = _of(verdicts, "answering", "yes_no", "pause", "monologue")
    lines = [
        _ms("L_R: answer after", (v.response_ms for v in answering), Target("p50", 500), Target("p95", 900)),
        share("R_R: answered", (v.answered for v in answering)),
    ]
    for source in ("people", "generated"):
        lines.append(_ms(f"  {source}", (v.response_ms for v in answering if v.take.source == source)))
    for kind in ("clean", "quiet", "noise"):
        lines.append(_ms(f"  {kind}", (v.response_ms for v in answering if v.take.kind == kind)))
    lines += [
        _ms("yes or no, answered after", (v.response_ms for v in yes_no), Target("p50", 400)),
        share("  answered", (v.answered for v in yes_no)),
        share("I_A: spoke while the user did", (v.spoke_over_user for v in owners)),
        share("monologues heard out", (not v.spoke_over_user for v in _of(verdicts, "monologue"))),
        share("two utterances, the second answered", (v.answered for v in _of(verdicts, "two_utterances"))),
        share("user goes on, is let and answered", (v.passed for v in _of(verdicts, "goes_on"))),
        share("silence is kept", (v.undisturbed_ever for v in _of(verdicts, "silence"))),
    ]
    return lines


def _pauses(verdicts: Sequence[Verdict]) -> list[Figure]:
    pauses = [pause for verdict in _of(verdicts, "pause") for pause in verdict.pauses]
    if not pauses:
        return []
    up_to_700 = [pause.ended for pause in pauses if pause.pause_ms <= 700]
    up_to_1000 = [pause.ended for pause in pauses if pause.pause_ms <= 1000]
    lines = [
        share("turn ended in a pause to 700 ms", up_to_700, Target("value", 0.03)),
        share("turn ended in a pause to 1000 ms", up_to_1000, Target("value", 0.10)),
        share("take-over in a pause, audible", (pause.taken_over for pause in pauses)),
    ]
    lengths = sorted({round(pause.pause_ms) for pause in pauses})
    lines += [
        share(f"  turn ended at {length_ms} ms", (p.ended for p in pauses if round(p.pause_ms) == length_ms))
        for length_ms in lengths
    ]
    kinds = sorted({verdict.take.kind for verdict in _of(verdicts, "pause")})
    lines += [share(f"  {kind}", _pauses_of(verdicts, kind)) for kind in kinds]
    lines.append(_ms("  answer after the rest", (v.response_ms for v in _of(verdicts, "pause"))))
    return lines


def _pauses_of(verdicts: Sequence[Verdict], kind: str) -> list[bool]:
    found: list[PauseVerdict] = [p for v in _of(verdicts, "pause") if v.take.kind == kind for p in v.pauses]
    return [pause.ended for pause in found]


def _yielding(verdicts: Sequence[Verdict]) -> list[Figure]:
    over = _of(verdicts, "interruption")
    cut = _of(verdicts, "interruption", "goes_on", "two_utterances")
    if not cut:
        return []
    ledger = [float(v.ledger_words_off) for v in cut if v.ledger_words_off is not None]
    stale = [v.stale_ms for v in cut if v.stale_ms is not None]
    return [
        share("R_Y: yielded within 2 s", (v.yielded for v in over), Target("value", 0.97, "at least")),
        share("  at all", (v.yielded_ever for v in over)),
        _ms("L_Y: silent after", (v.yield_ms for v in over), Target("p50", 350), Target("p95", 600)),
        *(
            _ms(f"  {kind}", (v.yield_ms for v in over if v.take.kind == kind))
            for kind in sorted({v.take.kind for v in over})
        ),
        share("  right new answer", (v.right_answer for v in cut)),
        _ms("  new answer after", (v.response_ms for v in over)),
        _worst("old audio after the cut", "ms", stale, 0),
        _worst("heard ledger, words off", "words", ledger, 1),
    ]


def _worst(name: str, unit: str, values: Sequence[float], limit: float) -> Figure:
    return Figure(name, unit, value=max(values, default=None), targets=(Target("value", limit),), note="worst")


_SELECTIVITY: tuple[tuple[str, float, Callable[[Verdict], bool]], ...] = (
    ("S_BC: backchannels leave it alone", 0.90, lambda v: v.take.family == "backchannel"),
    ("S_VT: so do coughs and laughter", 0.85, lambda v: v.take.family == "noise" and v.take.kind == "vocal"),
    ("S_ND: so do side talk and television", 0.85, lambda v: v.take.family == "side_talk"),
    ("bangs, typing, music", 0.85, lambda v: v.take.family == "noise" and v.take.kind == "other"),
)


def _selectivity(verdicts: Sequence[Verdict]) -> list[Figure]:
    lines: list[Figure] = []
    for name, wanted, belongs in _SELECTIVITY:
        own = [verdict for verdict in verdicts if belongs(verdict)]
        if not own:
            continue
        lines.append(share(f"{name}, 2 s", (v.undisturbed for v in own), Target("value", wanted, "at least")))
        lines.append(share("  as long as we listened", (v.undisturbed_ever for v in own)))
        for state in ("speaking", "silent"):
            part = [v.undisturbed for v in own if v.take.state == state]
            if part and len(part) < len(own):
                lines.append(share(f"  agent {state}", part))
        lines.append(share("  no turn made of it", (v.turns_created == 0 for v in own)))
    over = [v for v in verdicts if v.undisturbed is not None and v.take.state == "speaking"]
    if over:
        lines.append(_ms("longest hole in the agent's speech", (v.hole_ms for v in over)))
        words = float(max(v.lost_words + v.repeated_words for v in over))
        lines.append(Figure("words lost or repeated on resume", "words", value=words, targets=(Target("value", 0),)))
    return lines


def _echo(verdicts: Sequence[Verdict]) -> list[Figure]:
    runs = _of(verdicts, "echo")
    hours = sum(v.agent_speech_s for v in runs) / 3600
    if not hours:
        return []
    stops = sum(v.self_interruptions for v in runs)
    lines = [
        Figure(
            "self-interruptions by echo, an hour",
            "",
            value=stops / hours,
            targets=(Target("value", 0),),
            note=f"{stops} in {hours * 60:.1f} minutes of its speech",
        )
    ]
    for kind in dict.fromkeys(v.take.kind for v in runs):
        own = [v for v in runs if v.take.kind == kind]
        lines.append(share(f"  echo at {kind}: undisturbed", (v.self_interruptions == 0 for v in own)))
    return lines


def curve_figures(points: Sequence[Point]) -> list[Figure]:
    """What eot-bench compares: the delay at a given false cut-off rate."""
    if not points:
        return []
    delay_ms = delay_at_budget_ms(points)
    pauses = f"{points[0].pauses} pauses to {MAX_PAUSE_MS:.0f} ms, {points[0].ends} ends"
    missed = "" if delay_ms is not None else "not reached at any patience; "
    return [
        Figure(f"end decided after, at {BUDGET:.0%} false cut-offs", "ms", value=delay_ms, note=f"{missed}{pauses}")
    ]


def interval_note() -> str:
    return f"in brackets: {CONFIDENCE:.0%} intervals, Wilson for shares, bootstrap for percentiles"
