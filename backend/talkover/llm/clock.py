"""Tells time, date, weekday, month and year. Pure: the clock is part of the request."""

from __future__ import annotations

from datetime import datetime, timedelta

from talkover.llm.dialogue import Reply, Request
from talkover.llm.numbers import number_words, ordinal_words, year_words
from talkover.llm.phrases import Phrases

_TIME = Phrases(
    """
    [what|whats|tell me|give me|do you know|do you have|have you got|say] [is|s] [what] [the|current|exact]* time \
        [it|is|of day]*
    what time (do you have|do we have)
    how late is it
    """
)
_DATE = Phrases(
    """
    [what|whats|tell me|give me|do you know|say|which] [is|s] [what] [the|todays|current]* date \
        [is|it|today|do we have]*
    (what|whats) [is] today
    (what|which) day of the month is (it|today)
    [what|which|whats|tell me|do you know] [is|what]* [the|todays]* (day|weekday) [of the week] \
        [is|it|today|do we have]*
    """
)
_WEEKDAY = Phrases("is (it|today) <day>")
_OTHER_DAY = Phrases(
    """
    (what|which) (day|date|weekday) [of the week] (is|was|will) [it|be]* <day>
    (what|whats) [is|was|the|date]* <day>
    """
)
_MONTH = Phrases("[what|which|whats|tell me] [is|the|current]* month [is|it|do we have]*")
_YEAR = Phrases("[what|which|whats|tell me] [is|the|current]* year [is|it|do we have]*")

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def reply(request: Request) -> Reply | None:
    """The answer to a question about now, or None for any other."""
    core, now, spoken = request.core, request.now, request.spoken
    if _TIME.fits(core):
        return Reply((f"It is {time_of_day(now, spoken)}.",))
    if _DATE.fits(core) or _DATE.fits(request.said):
        return Reply((f"Today is {date(now, spoken)}.",))
    if _MONTH.fits(core):
        return Reply((f"It is {MONTHS[now.month - 1]}.",))
    if _YEAR.fits(core):
        return Reply((f"It is the year {year_words(now.year) if spoken else now.year}.",))
    guess = _WEEKDAY.match(core)
    if guess is not None and guess["day"].capitalize() in WEEKDAYS:
        weekday = WEEKDAYS[now.weekday()]
        return Reply((f"{'Yes' if guess['day'] == weekday.lower() else 'No'}, today is {weekday}.",))
    other = _OTHER_DAY.match(core)
    if other is not None and other["day"] in ("tomorrow", "yesterday"):
        shift, verb = (1, "is") if other["day"] == "tomorrow" else (-1, "was")
        return Reply((f"{other['day'].capitalize()} {verb} {date(now + timedelta(days=shift), spoken)}.",))
    return None


def time_of_day(now: datetime, spoken: bool) -> str:
    """ "three forty-two in the afternoon" to be heard, "3:42 PM" to be read."""
    hour = now.hour % 12 or 12
    if not spoken:
        return f"{hour}:{now.minute:02} {'AM' if now.hour < 12 else 'PM'}"
    if now.minute == 0 and now.hour in (0, 12):
        return "midnight" if now.hour == 0 else "noon"
    minutes = f"oh {number_words(now.minute)}" if 0 < now.minute < 10 else number_words(now.minute)
    clock = f"{number_words(hour)} {minutes}" if now.minute else f"{number_words(hour)} o'clock"
    part = "in the morning" if now.hour < 12 else "in the afternoon" if now.hour < 18 else "in the evening"
    return f"{clock} {'at night' if now.hour < 5 or now.hour >= 22 else part}"


def date(day: datetime, spoken: bool) -> str:
    """ "Saturday, the twenty-first of November, twenty twenty-six" to be heard."""
    weekday, month = WEEKDAYS[day.weekday()], MONTHS[day.month - 1]
    if not spoken:
        return f"{weekday}, {day.day} {month} {day.year}"
    return f"{weekday}, the {ordinal_words(day.day)} of {month}, {year_words(day.year)}"
