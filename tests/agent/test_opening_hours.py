"""Opening hours: what is open when, how one says so, and what no hours are."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from talkover.agent.opening_hours import opening_hours, state_sentence

BERLIN = ZoneInfo("Europe/Berlin")
HOURS = opening_hours(
    {"mon": ["09:00-12:30", "14:00-18:00"], "fri": ["9:00-18:00"], "sat": ["22:00-24:00"], "sun": ["0:00-02:00"]},
    [date(2026, 12, 25)],
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("now", "sentence"),
    [
        ("2026-11-23T09:00", "Today is Monday. We are open now, until 12:30."),
        ("2026-11-23T12:30", "Today is Monday. We are closed now; we open again today at 14:00."),
        ("2026-11-23T18:00", "Today is Monday. We are closed now; we open again on Friday at 9:00."),
        ("2026-11-26T20:00", "Today is Thursday. We are closed now; we open again tomorrow at 9:00."),
        ("2026-11-28T23:00", "Today is Saturday. We are open now, until tomorrow at 2:00."),
        ("2026-11-29T01:00", "Today is Sunday. We are open now, until 2:00."),
        ("2026-12-25T10:00", "Today is Friday. We are closed now; we open again tomorrow at 22:00."),
    ],
)
def test_the_state_of_the_desk_is_told_as_one_would(now: str, sentence: str) -> None:
    assert state_sentence(HOURS, at(now)) == sentence


def test_an_opening_far_ahead_is_told_with_its_date() -> None:
    hours = opening_hours({"mon": ["09:00-10:00"]}, [date(2026, 11, 30)])
    assert "on Monday, 7 December, at 9:00" in state_sentence(hours, at("2026-11-23T11:00"))


def test_a_desk_that_never_opens_or_never_closes() -> None:
    assert state_sentence(opening_hours({}), at("2026-11-23T11:00")) == "Today is Monday. We are closed now."
    always = opening_hours({day: ["00:00-24:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")})
    assert state_sentence(always, at("2026-11-23T11:00")) == "Today is Monday. We are always open."


def test_opening_on_the_day_the_clock_changes_is_wall_clock_time() -> None:
    opens = opening_hours({"sun": ["09:00-10:00"]}).opens_at(at("2026-10-24T20:00"))
    assert opens is not None
    assert opens.isoformat() == "2026-10-25T09:00:00+01:00"


@pytest.mark.parametrize("text", ["9-18", "18:00-09:00", "09:00-09:00", "09:00-24:30", "25:00-26:00", ""])
def test_what_is_no_span_is_named_with_its_day(text: str) -> None:
    with pytest.raises(ValueError, match="tue: must look like 09:00-18:00"):
        opening_hours({"tue": [text]})


def test_spans_that_overlap_are_named() -> None:
    with pytest.raises(ValueError, match="mon: spans must be in order and must not overlap"):
        opening_hours({"mon": ["09:00-13:00", "12:00-18:00"]})
