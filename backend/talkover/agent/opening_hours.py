"""When people can be reached: is it open now, when does it open again, and how one says so. Pure.

Times are local to the desk; the caller of these functions passes a `now` with the desk's time zone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MAX_DAYS_AHEAD = 60
"""how far an opening is looked for"""

_SPAN = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)")
_MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """Open from `start` until `end`, in minutes since midnight of one day; `end` is at most 1440."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """One week, and the days on which it does not count."""

    spans: tuple[tuple[Span, ...], ...]
    """(7,) from Monday on, each in order"""
    closed_on: frozenset[date] = frozenset()

    def on(self, day: date) -> tuple[Span, ...]:
        return () if day in self.closed_on else self.spans[day.weekday()]

    def closes_at(self, now: datetime) -> datetime | None:
        """When it closes; None while it is closed. Open around midnight counts as one."""
        end = self._end_of_span(now)
        while end is not None and end.time() == time() and (later := self._end_of_span(end)) is not None:
            if later - now > timedelta(days=7):
                return later
            end = later
        return end

    def opens_at(self, now: datetime) -> datetime | None:
        """When it opens next; None while it is open, or when it does not within two months."""
        if self._end_of_span(now) is not None:
            return None
        for days in range(MAX_DAYS_AHEAD + 1):
            day = now.date() + timedelta(days=days)
            for span in self.on(day):
                opening = _at(day, span.start, now)
                if opening > now:
                    return opening
        return None

    def _end_of_span(self, now: datetime) -> datetime | None:
        minute = now.hour * 60 + now.minute
        for span in self.on(now.date()):
            if span.start <= minute < span.end:
                return _at(now.date(), span.end, now)
        return None


def opening_hours(week: Mapping[str, Sequence[str]], closed_on: Sequence[date] = ()) -> OpeningHours:
    """From `{mon = ["09:00-12:30", "14:00-18:00"]}`. Raises ValueError naming day and value."""
    spans = tuple(tuple(_span(day, text) for text in week.get(day, ())) for day in WEEKDAYS)
    for day, of_day in zip(WEEKDAYS, spans, strict=True):
        if any(later.start < earlier.end for earlier, later in pairwise(of_day)):
            raise ValueError(f"{day}: spans must be in order and must not overlap, got {', '.join(week[day])}")
    return OpeningHours(spans, frozenset(closed_on))


def _span(day: str, text: str) -> Span:
    match = _SPAN.fullmatch(text.strip())
    numbers = [int(number) for number in match.groups()] if match else [0, 0, 0, 0]
    span = Span(numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3])
    if not span.start < span.end <= _MINUTES_PER_DAY:
        raise ValueError(f"{day}: must look like 09:00-18:00, the first before the second, got {text!r}")
    return span


def _at(day: date, minute: int, now: datetime) -> datetime:
    days, minute = divmod(minute, _MINUTES_PER_DAY)
    return datetime.combine(day + timedelta(days=days), time(minute // 60, minute % 60), now.tzinfo)


def state_sentence(hours: OpeningHours, now: datetime) -> str:
    """`Today is Sunday. We are closed now; we open again tomorrow at 9:00.`: for a prompt, and fit to be spoken."""
    today = f"Today is {DAY_NAMES[now.weekday()]}."
    closes = hours.closes_at(now)
    if closes is not None:
        if closes - now >= timedelta(days=7):
            return f"{today} We are always open."
        return f"{today} We are open now, until {_when(closes, now).removeprefix('today at ')}."
    opens = hours.opens_at(now)
    again = f"; we open again {_when(opens, now)}" if opens is not None else ""
    return f"{today} We are closed now{again}."


def _when(at: datetime, now: datetime) -> str:
    clock = f"{at.hour}:{at.minute:02}"
    days = (at.date() - now.date()).days
    if days == 0:
        return f"today at {clock}"
    if days == 1:
        return f"tomorrow at {clock}"
    weekday = DAY_NAMES[at.weekday()]
    return f"on {weekday} at {clock}" if days < 7 else f"on {weekday}, {at.day} {at:%B}, at {clock}"
