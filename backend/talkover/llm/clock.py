"""Tells time, date, weekday, month and year. Pure: the clock is part of the request."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from talkover.llm.dialogue import Reply, Request
from talkover.llm.numbers import number_words, ordinal_words, year_words

_ASK = r"(?:(?:what|which|whats|tell me|do you know|give me|say|i want to know)(?: is| are|s)? )?(?:(?:the|todays) )?"
_TIME = re.compile(
    r"(?:do you (?:know|have) )?(?:what(?: is|s)? |tell me |give me |have you got |say )?(?:what )?(?:the )?(?:current |exact )?"
    r"time(?: it)?(?: is| is it| it is| do you have| of day)?(?: it)?|how late is it|what is the clock"
)
_DATE = re.compile(
    rf"{_ASK}(?:current )?date(?: is it| is today| is| it is| today| do we have)*|todays date|what is today|whats today|"
    rf"(?:what|which) day of the month is (?:it|today)"
)
_DAY = re.compile(
    rf"{_ASK}(?:week)?day(?: of the week)?(?: is it| it is| is today| today is| is| it| today| do we have)*|"
    r"is (?:it|today) (?P<guess>monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
)
_OTHER_DAY = re.compile(
    r"(?:what|which) (?:day|date|weekday)(?: of the week)? (?:is|was|will) (?:it )?(?:be )?(?P<which>tomorrow|yesterday)|"
    r"(?:what|whats)(?: is| was)? (?:the )?(?:date )?(?P<other>tomorrow|yesterday)(?: s date)?"
)
_MONTH = re.compile(rf"{_ASK}month(?: is it| it is| is| it| do we have)*")
_YEAR = re.compile(rf"{_ASK}year(?: is it| it is| is| it| do we have)*")

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def reply(request: Request) -> Reply | None:
    """The answer to a question about now, or None for any other."""
    core = request.core
    now = request.now
    if not any(word in core for word in ("time", "date", "day", "month", "year", "late", "tomorrow", "clock")):
        return None
    if _TIME.fullmatch(core):
        return Reply((f"It is {time_of_day(now, request.spoken)}.",))
    if other := _OTHER_DAY.fullmatch(core):
        name = other["which"] or other["other"]
        day = now + timedelta(days=1 if name == "tomorrow" else -1)
        verb = "is" if name == "tomorrow" else "was"
        return Reply((f"{name.capitalize()} {verb} {date(day, request.spoken)}.",))
    if _DATE.fullmatch(core):
        return Reply((f"Today is {date(now, request.spoken)}.",))
    if day_asked := _DAY.fullmatch(core):
        weekday = WEEKDAYS[now.weekday()]
        guess = day_asked["guess"]
        if guess is not None:
            answer = "Yes, today is" if guess == weekday.lower() else "No, today is"
            return Reply((f"{answer} {weekday}.",))
        return Reply((f"Today is {date(now, request.spoken)}.",))
    if _MONTH.fullmatch(core):
        return Reply((f"It is {MONTHS[now.month - 1]}.",))
    if _YEAR.fullmatch(core):
        return Reply((f"It is the year {year_words(now.year) if request.spoken else now.year}.",))
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
