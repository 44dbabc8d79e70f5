"""Who is served next."""

from hypothesis import given
from hypothesis import strategies as st

from talkover.tts.cosyvoice2.scheduling import (
    COMFORT_S,
    MAX_LEAD_IDS,
    MAX_QUEUED_S,
    MakeIds,
    MakeSound,
    Standing,
    next_work,
)
from talkover.tts.deadline import PATIENCE_S, runs_out_s

STANDINGS = st.lists(
    st.builds(
        Standing,
        runs_out_s=st.floats(0, 20),
        queued_s=st.floats(0, 12),
        can_sound=st.booleans(),
        lacks_ids=st.booleans(),
        lead_ids=st.integers(0, 600),
    ),
    max_size=6,
)


def sounding(runs_out_s: float, **more: object) -> Standing:
    return Standing(runs_out_s, 0.0, can_sound=True, lacks_ids=False, **more)  # pyright: ignore[reportArgumentType]


def test_who_runs_out_of_audio_first_is_served_first() -> None:
    assert next_work([sounding(9.0), sounding(8.0), sounding(8.5)], now_s=7.9) == MakeSound(1)


def test_who_has_heard_nothing_yet_goes_before_who_hears_on_and_after_who_is_about_to_hear_nothing() -> None:
    new = sounding(runs_out_s(5.0, None, 0.0))
    assert next_work([new, sounding(runs_out_s(3.0, 3.5, 2.5))], now_s=5.0) == MakeSound(0)
    assert next_work([new, sounding(runs_out_s(3.0, 3.5, 1.5 + PATIENCE_S / 2))], now_s=5.0) == MakeSound(1)


def test_one_step_of_the_language_model_serves_all_that_lack_ids() -> None:
    thinking = [Standing(out_s, 0.0, can_sound=False, lacks_ids=True) for out_s in (3.0, 1.0, 2.0)]
    assert next_work([*thinking, sounding(5.0)], now_s=0.5) == MakeIds((1, 2, 0))


def test_with_audio_ahead_the_language_model_goes_on_first() -> None:
    both = Standing(10.0, 0.0, can_sound=True, lacks_ids=True)
    assert next_work([both], now_s=10.0 - COMFORT_S - 0.1) == MakeIds((0,))
    assert next_work([both], now_s=10.0 - COMFORT_S + 0.1) == MakeSound(0)


@given(STANDINGS, st.floats(0, 20))
def test_no_work_is_made_that_cannot_be_done_and_none_is_left_that_can(standings: list[Standing], now_s: float) -> None:
    work = next_work(standings, now_s)
    wanting = [standing for standing in standings if standing.queued_s < MAX_QUEUED_S]
    if isinstance(work, MakeSound):
        assert standings[work.index].can_sound
        assert standings[work.index].queued_s < MAX_QUEUED_S
    elif isinstance(work, MakeIds):
        assert work.indices
        assert all(standings[index].lacks_ids and standings[index].lead_ids < MAX_LEAD_IDS for index in work.indices)
    else:
        assert not any(standing.can_sound for standing in wanting)
        assert not any(standing.lacks_ids and standing.lead_ids < MAX_LEAD_IDS for standing in wanting)
