"""What is masked where a recording is exported, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.harness import cpu_limit
from talkover.recording.redaction import masked, redacted


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Call me at 030 1234-567, please.", "Call me at [number], please."),
        ("My card is 4111 1111 1111 1111.", "My card is [number]."),
        ("It is +49 (30) 12 34 56", "It is +[number]"),
        ("IBAN DE89 3704 0044 0532 0130 00 is mine", "IBAN [number] is mine"),
        ("GB82 WEST 1234 5698 7654 32", "[number]"),
        ("My number is four two seven, one oh one.", "My number is [number]."),
        ("double five, uh, triple three nine", "[number]"),
        ("It ends in forty two seventeen", "It ends in [number]"),
        ("one hundred and twenty three", "[number]"),
        ("nineteen eighty four", "[number]"),
        ("four 2 seven", "[number]"),
        ("meine Nummer ist null drei null, vier zwo", "meine Nummer ist [number]"),
        ("die Karte endet auf vierundzwanzig siebzehn", "die Karte endet auf [number]"),
        ("Kundennummer dreihundertzwölf", "Kundennummer [number]"),
        ("neunzehnhundertachtundneunzig", "[number]"),
        ("我的号码是一三八零零一三八零零零", "我的号码是[number]"),
        ("电话幺三八，两千五百", "电话[number]"),
        ("卡号是４１１１ 1111", "卡号是[number]"),
        ("mi número es cuatro dos siete", "mi número es [number]"),
        ("c'est le zéro six douze", "c'est le [number]"),
        ("Write to john.doe+x@mail.example.com now", "Write to [e-mail] now"),
        ("It is john at example dot com", "It is [e-mail]"),
        ("john dot doe at big company dot co dot uk.", "[e-mail]."),
        ("j o h n at example dot com", "[e-mail]"),
        ("schreiben Sie an anna punkt meier at beispiel punkt de", "schreiben Sie an [e-mail]"),
        ("邮箱是 zhang 艾特 example 点 com", "邮箱是 [e-mail]"),
        ("点zhang艾特example点com", "点[e-mail]"),
        ("es ana arroba ejemplo punto es", "es [e-mail]"),
    ],
)
def test_numbers_and_addresses_are_masked(said: str, shown: str):
    assert redacted(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "I will be there at two.",
        "Twenty one people, maybe twenty two.",
        "We open at 9 and close at 18.",
        "One of them, or two.",
        "Meet me at the dot on the map",
        "Ich bin vierundzwanzig und habe zwei Kinder.",
        "eine von vielen",
        "星期三下午三点见",
        "一起去吧，十八岁",
        "",
    ],
)
def test_what_is_no_number_worth_masking_stays(said: str):
    assert redacted(said) == said


@pytest.mark.parametrize(
    "unit", ["adot", "a b ", "a.", "aa-", "a ", "@a", " at a b c ", "j o h n ", "1 ", "a" + " " * 50]
)
def test_the_time_taken_grows_with_the_length_and_no_faster(unit: str):
    with cpu_limit(5.0):
        masked(unit * (40_000 // len(unit)))


@pytest.mark.parametrize("said", ["B R A V O", "call for to ate", "Ada Lovelace, Elm Street"])
def test_what_is_not_caught_is_known(said: str):
    assert not masked(said)


@settings(max_examples=50, deadline=None)
@given(
    before=st.text("abc ,.", max_size=10),
    digits=st.text("0123456789", min_size=3, max_size=20),
    gaps=st.lists(st.sampled_from(["", " ", "-", ". ", " / "]), min_size=20, max_size=20),
    after=st.text("abc ,.", max_size=10),
)
def test_no_digit_of_a_long_number_is_left(before: str, digits: str, gaps: list[str], after: str):
    number = "".join(digit + gap for digit, gap in zip(digits, gaps, strict=False))
    assert not any(character.isdigit() for character in redacted(f"{before} {number} {after}"))


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_cut_in_order_and_within_it(text: str):
    ends = 0
    for stretch in masked(text):
        assert ends <= stretch.start < stretch.end <= len(text)
        ends = stretch.end
