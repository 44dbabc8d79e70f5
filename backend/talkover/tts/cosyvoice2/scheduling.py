"""Who is served next when one device speaks for many: whoever runs out of audio first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COMFORT_S = 1.0
"""with more audio than this ahead, the language model goes on before more sound is made: once it is at its end, the
duration of the utterance is known, which word times need"""
MAX_QUEUED_S = 10.0
"""audio nobody has fetched yet; with more than this an utterance waits for its listener"""
MAX_LEAD_IDS = 500
"""speech ids, 20 s, that the language model may be ahead of the sound"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one request stands."""

    runs_out_s: float
    """when its listener has heard all that was made (monotonic)"""
    queued_s: float
    """audio made and not fetched"""
    can_sound: bool
    """a step from ids to samples can be made now"""
    lacks_ids: bool
    """the language model can go on with it"""
    lead_ids: int = 0
    """ids no sound was made of"""


@dataclass(frozen=True, slots=True)
class MakeSound:
    """One step from ids to samples for one request."""

    index: int


@dataclass(frozen=True, slots=True)
class MakeIds:
    """One step of the language model for several requests, the most urgent first."""

    indices: tuple[int, ...]


def next_work(standings: Sequence[Standing], now_s: float) -> MakeSound | MakeIds | None:
    """What to do now; none when there is nothing to do.

    A step of the language model serves all that lack ids, since it costs little more for many than for one.
    """
    by_urgency = sorted(range(len(standings)), key=lambda index: standings[index].runs_out_s)
    thinking = tuple(
        index for index in by_urgency if standings[index].lacks_ids and standings[index].lead_ids < MAX_LEAD_IDS
    )
    for index in by_urgency:
        standing = standings[index]
        if standing.queued_s >= MAX_QUEUED_S:
            continue
        comfortable = standing.runs_out_s - now_s > COMFORT_S
        if standing.can_sound and not (comfortable and index in thinking):
            return MakeSound(index)
        if index in thinking:
            return MakeIds(thinking)
    return None
