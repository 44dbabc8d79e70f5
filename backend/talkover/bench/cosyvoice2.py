"""CosyVoice2 at the released dimensions with random weights: what each stage costs, and what keeping state saves.

The cost of a forward does not depend on the values of weights or states, so weights are random, lengths are forced,
and a place late in an utterance is reached by setting the counters and filling the memory. Our incremental
flow and our flow recomputing everything with the hops of the released code run in one process on the same kernels.

`make bench` measures a few chunks of each kind and adds them up; `python -m talkover.bench.cosyvoice2_alone --long`
computes 20 s of speech in both ways from beginning to end (about 12 minutes on two cores).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from talkover.bench.figures import Figure, PartResult, Target
from talkover.bench.machine import usable_cores
from talkover.bench.part import Setting
from talkover.extras import install_command

if TYPE_CHECKING:
    from talkover.tts.cosyvoice2.costs import Measured

SECONDS = (2, 5, 10, 20, 40)
"""into a speech, as far as there is memory for it"""
BOUNDED_CONTEXT_S = 4.0
HOPS_OF = 20
"""seconds of speech the two ways are compared on"""
RECOMPUTED_FRAMES = (200, 500, 1150)
"""sizes of whole calls that are measured; a parabola through them gives the others"""
REQUESTS = (1, 4, 16)
FRAMES_PER_S, IDS_PER_S = 50, 25
GROWTH_LIMIT, BOUNDED_GROWTH_LIMIT, SHARE_LIMIT = 2.0, 1.15, 1 / 3
_TITLE = "CosyVoice2, released dimensions, random weights"


def measure(setting: Setting) -> PartResult:
    """Part `cosyvoice2` of `talkover bench`."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        return PartResult("cosyvoice2", _TITLE, (), (f"not measured: needs {install_command('full')}",))
    return measured(setting.advance, device="", dtype="", long=False)


def measured(
    advance: Callable[[str, float], None], *, device: str, dtype: str, long: bool, wall: bool = False
) -> PartResult:
    from talkover.tts.cosyvoice2.costs import Measured, device_and_dtype

    chosen, precision = device_and_dtype(device, dtype)
    advance("making weights", 0.0)
    models = Measured(chosen, precision, wall=wall)
    figures: list[Figure] = []
    details: list[dict[str, Any]] = []
    steps: tuple[tuple[str, Callable[[], Iterable[Figure]]], ...] = (
        ("flow", lambda: flow_figures(models, details, long=long)),
        ("vocoder", lambda: vocoder_figures(models)),
        ("language model", lambda: lm_figures(models)),
        ("first chunk", lambda: first_chunk_figures(models)),
    )
    for index, (name, step) in enumerate(steps):
        advance(name, (index + 0.1) / len(steps))
        figures += step()
    figures += total_figures(figures, models)
    remarks = (
        f"{models.described}; {models.unit_meaning}",
        "incremental: every frame once, prompt of 3 s cached; recomputing: prompt and all so far anew for every hop "
        "of 25, 50, 100, 100 .. ids",
        "20 s in all was computed from beginning to end"
        if long
        else "20 s in all is added up from chunks measured at several lengths; cosyvoice2_alone --long computes it",
        f"{models.threads} torch threads on {usable_cores()} cores",
    )
    return PartResult("cosyvoice2", _TITLE, tuple(figures), remarks, details)


# ------------------------------------------------------------------------------------------------------------ flow


def flow_figures(models: Measured, details: list[dict[str, Any]], *, long: bool) -> Iterator[Figure]:
    places = [place for place in SECONDS if models.has_room(place)]
    unit = models.unit
    yield Figure("flow: prompt of 3 s, once per voice", unit, value=models.prompt_cost())
    exact = models.block_costs(places, places[-1])
    for place, cost in exact.items():
        yield Figure(f"flow: one second of audio, {place} s in", unit, value=cost)
    if HOPS_OF in exact:
        limit = (Target("value", GROWTH_LIMIT),)
        yield Figure("  growth from 2 s to 20 s", "x", value=exact[HOPS_OF] / exact[2], targets=limit)
    bounded = models.block_costs((2, places[-1]), BOUNDED_CONTEXT_S)
    limit = (Target("value", BOUNDED_GROWTH_LIMIT),)
    note = (
        f"context {BOUNDED_CONTEXT_S:g} s and the prompt; mel deviates by {models.bounded_deviation():.0%} of its std"
    )
    yield Figure(f"flow: one second of audio, {places[-1]} s in, bounded", unit, value=bounded[places[-1]])
    yield Figure("  growth from 2 s", "x", value=bounded[places[-1]] / bounded[2], targets=limit, note=note)

    if long:
        incremental, recomputing = models.incremental_run(HOPS_OF), models.recomputing_run(HOPS_OF)
        calls = dict[int, float]()
    else:
        calls = {frames: models.whole_call_cost(frames) for frames in RECOMPUTED_FRAMES}
        cost_of = parabola(calls)
        recomputing = sum(cost_of(frames) for frames in recomputed_frames(HOPS_OF))
        incremental = sum(_between(exact, second) for second in range(1, HOPS_OF + 1))
    for frames, cost in calls.items():
        yield Figure(f"flow: a whole call, {frames} frames", unit, value=cost)
    yield Figure(f"flow: {HOPS_OF} s in all, incremental", unit, value=incremental, note="1000 frames computed")
    frames = sum(recomputed_frames(HOPS_OF))
    yield Figure(f"flow: {HOPS_OF} s in all, recomputing", unit, value=recomputing, note=f"{frames} frames computed")
    limit = (Target("value", SHARE_LIMIT),)
    yield Figure("  incremental by recomputing", "", value=incremental / recomputing, targets=limit)
    per_second = models.flow.bytes_per_second() / 1e6
    yield Figure("flow: memory per second seen", "MB", value=per_second, note="in one buffer, made in advance")
    costs = {"one second, at": exact, "one second, bounded, at": bounded, "a whole call of frames": calls}
    details.append({name: {str(at): cost for at, cost in those.items()} for name, those in costs.items()})


def recomputed_frames(seconds: int, prompt_ids: int = 75) -> list[int]:
    """Frames each call of the released code computes for speech of that length."""
    from talkover.tts.cosyvoice2.streaming import ReleasedHops

    hops, ids = ReleasedHops(prompt_ids), seconds * IDS_PER_S
    calls = iter(lambda: hops.next(ids, ended=True), None)
    return [2 * (prompt_ids + call.end - (0 if call.last else 3)) for call in calls]


def parabola(points: dict[int, float]) -> Callable[[int], float]:
    """Through three points: a constant, the layers (linear) and the attention (quadratic)."""
    import numpy as np

    coefficients = np.polyfit(list(points), list(points.values()), 2)
    return lambda x: float(np.polyval(coefficients, x))


def _between(costs: dict[int, float], at: float) -> float:
    """Between the measured places the cost is linear: attention to one second more each."""
    import numpy as np

    places = sorted(costs)
    slope = (costs[places[-1]] - costs[places[0]]) / (places[-1] - places[0])
    if at < places[0]:
        return costs[places[0]] - slope * (places[0] - at)
    return float(np.interp(at, places, [costs[place] for place in places]))


# ------------------------------------------------------------------------------------------------- the other stages


def vocoder_figures(models: Measured) -> Iterator[Figure]:
    yield Figure("vocoder: one second of audio, seamless", models.unit, value=models.vocoder_cost(seamless=True))
    released = models.vocoder_cost(seamless=False)
    yield Figure("vocoder: one second of audio, as released", models.unit, value=released)


def lm_figures(models: Measured) -> Iterator[Figure]:
    for requests in REQUESTS:
        step = models.lm_step_cost(requests)
        note = f"{step * 1000:.0f} ms a step"
        yield Figure(
            f"LM: ids a second, {requests} request{'s' * (requests > 1)}", "1/s", value=requests / step, note=note
        )


def first_chunk_figures(models: Measured) -> Iterator[Figure]:
    for first_ids in (IDS_PER_S, 22, 15):
        cost, audio_s, ids = models.first_chunk(first_ids)
        note = f"{audio_s:.2f} s of audio, after {ids} ids; text of 30 ids, prompt of 3 s"
        yield Figure(f"first chunk, {first_ids} ids in the first block", models.unit, value=cost, note=note)


def total_figures(figures: Sequence[Figure], models: Measured) -> Iterator[Figure]:
    named = {figure.name: figure.value or 0.0 for figure in figures}
    flow = named["flow: one second of audio, 5 s in"]
    vocoder = named["vocoder: one second of audio, seamless"]
    ids = named["LM: ids a second, 1 request"]
    note = "language model, flow at 5 s, vocoder"
    yield Figure(
        "all stages for one second of audio, one request",
        models.unit,
        value=flow + vocoder + IDS_PER_S / ids,
        note=note,
    )
    yield Figure("peak memory", "GB", value=models.peak_memory_gb(), note=models.memory_meaning)
