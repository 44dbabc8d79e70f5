"""Clock, numbers, counting, sums: pure answers to plain requests."""

from __future__ import annotations

from datetime import datetime

import pytest

from talkover.llm import clock, counting, sums
from talkover.llm.dialogue import Reply, Request, enumeration
from talkover.llm.numbers import find_number, number_words, ordinal_words, parse_number, year_words

NOW = datetime(2026, 11, 21, 15, 42)


def request(text: str, now: datetime = NOW, spoken: bool = True) -> Request:
    return Request(text, (), now, spoken=spoken)


def text_of(reply: Reply | None) -> str | None:
    return None if reply is None else " ".join(reply.pieces)


@pytest.mark.parametrize("number", [0, 7, 13, 20, 21, 99, 100, 101, 142, 999, 1000, 1001, 5280, 12_345, 999_999])
def test_numbers_survive_being_said(number: int) -> None:
    words = number_words(number).replace("-", " ").split()
    assert parse_number(words) == (number, len(words))


@pytest.mark.parametrize(
    ("said", "value", "used"),
    [
        ("twenty five", 25, 2),
        ("five twenty", 5, 1),
        ("two three", 2, 1),
        ("a hundred", 100, 2),
        ("hundred", 100, 1),
        ("one hundred and five", 105, 4),
        ("twelve and a half", 12, 1),
        ("42 apples", 42, 1),
        ("zero", 0, 1),
    ],
)
def test_parse_number(said: str, value: int, used: int) -> None:
    assert parse_number(said.split()) == (value, used)


def test_no_number() -> None:
    assert parse_number(["apples"]) is None
    assert find_number(["set", "a", "timer", "for", "ten", "minutes"]) == 10
    assert find_number(["no", "number", "here"]) is None


def test_ordinals_and_years() -> None:
    assert [ordinal_words(number) for number in (1, 2, 3, 12, 20, 21, 30, 31)] == [
        "first", "second", "third", "twelfth", "twentieth", "twenty-first", "thirtieth", "thirty-first",
    ]  # fmt: skip
    assert [year_words(year) for year in (2026, 2005, 1999, 1900, 1905, 2000)] == [
        "twenty twenty-six",
        "two thousand and five",
        "nineteen ninety-nine",
        "nineteen hundred",
        "nineteen oh five",
        "two thousand",
    ]


@pytest.mark.parametrize(
    "said",
    [
        "What time is it?",
        "what's the time",
        "can you tell me what time it is",
        "tell me the time please",
        "do you know what time it is",
        "hello what time is it now",
        "how late is it",
    ],
)
def test_the_time(said: str) -> None:
    assert text_of(clock.reply(request(said))) == "It is three forty-two in the afternoon."


@pytest.mark.parametrize(
    ("hour", "minute", "spoken"),
    [
        (0, 0, "midnight"),
        (12, 0, "noon"),
        (9, 0, "nine o'clock in the morning"),
        (9, 5, "nine oh five in the morning"),
        (12, 30, "twelve thirty in the afternoon"),
        (20, 15, "eight fifteen in the evening"),
        (23, 59, "eleven fifty-nine at night"),
    ],
)
def test_time_of_day(hour: int, minute: int, spoken: str) -> None:
    assert clock.time_of_day(NOW.replace(hour=hour, minute=minute), spoken=True) == spoken


def test_time_and_date_to_be_read() -> None:
    assert text_of(clock.reply(request("what time is it", spoken=False))) == "It is 3:42 PM."
    assert text_of(clock.reply(request("what is the date", spoken=False))) == "Today is Saturday, 21 November 2026."


@pytest.mark.parametrize(
    "said", ["What is the date today?", "what day is it", "today's date", "which day of the week is it", "what's today"]
)
def test_the_date(said: str) -> None:
    assert text_of(clock.reply(request(said))) == "Today is Saturday, the twenty-first of November, twenty twenty-six."


def test_other_days_month_and_year() -> None:
    assert text_of(clock.reply(request("is it monday"))) == "No, today is Saturday."
    assert text_of(clock.reply(request("is it saturday today"))) == "Yes, today is Saturday."
    assert text_of(clock.reply(request("what day is tomorrow"))) == (
        "Tomorrow is Sunday, the twenty-second of November, twenty twenty-six."
    )
    assert text_of(clock.reply(request("what month is it"))) == "It is November."
    assert text_of(clock.reply(request("which year is it"))) == "It is the year twenty twenty-six."


@pytest.mark.parametrize(
    "said",
    [
        "what time do you open",
        "how much time does it take",
        "is it raining",
        "what is the date of the battle",
        "is it true",
    ],
)
def test_what_the_clock_leaves_to_others(said: str) -> None:
    assert clock.reply(request(said)) is None


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ("count to seven", "One, two, three, four, five. Six, seven."),
        ("please count from five to nine", "Five, six, seven, eight, nine."),
        ("Count from 3 to 1.", "Three, two, one."),
        ("count down from three", "Three, two, one."),
        ("count backwards from three to zero", "Three, two, one, zero."),
        ("can you count to three for me please", "One, two, three."),
        ("count two three", "One, two, three."),
        ("count from won to for", "One, two, three, four."),
        ("count from one to twenty two", None),
    ],
)
def test_counting(said: str, counted: str | None) -> None:
    text = text_of(counting.reply(request(said)))
    assert text is not None
    assert text == counted or (counted is None and text.endswith("Twenty-one, twenty-two."))


def test_counting_is_bounded() -> None:
    reply = counting.reply(request("count to ninety thousand"))
    assert reply is not None
    assert sum(len(piece.split(", ")) for piece in reply.pieces[:-1]) == counting.MAX_NUMBERS
    assert "at most" in reply.pieces[-1]
    assert text_of(counting.reply(request("count to 900000"))) == "I only count up to one hundred thousand."


@pytest.mark.parametrize("said", ["count me in", "who counts", "the count of monte cristo", "count my blessings"])
def test_what_is_no_counting(said: str) -> None:
    assert counting.reply(request(said)) is None


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("what is two plus three", "Two plus three is five."),
        ("how much is twenty minus thirty", "Twenty minus thirty is minus ten."),
        ("what's six times seven", "Six times seven is forty-two."),
        ("7 divided by 2", "Seven divided by two is three, remainder one."),
        ("one divided by zero", "One divided by zero is not defined."),
        ("999999 times 999999", None),
    ],
)
def test_sums(said: str, answer: str | None) -> None:
    text = text_of(sums.reply(request(said)))
    assert text == answer or (answer is None and text is not None and "more than I can say" in text)


@pytest.mark.parametrize("said", ["what is talkover", "salt and pepper", "two", "two plus", "one and a half"])
def test_what_is_no_sum(said: str) -> None:
    assert sums.reply(request(said)) is None


def test_enumeration() -> None:
    assert enumeration(["a"]) == "a"
    assert enumeration(["a", "b", "c"]) == "a, b and c"
    assert enumeration(["a", "b"], "or") == "a or b"


def test_the_core_of_a_request_is_without_politeness() -> None:
    assert request("Okay, could you please go on now, please?").core == "go on"
    assert request("Hello!").core == "hello"
    assert request("").core == ""
