"""Tags around the words, without a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkover.asr.sensevoice_tags import EMOTIONS, EVENTS, LANGUAGES, hypothesis_of, spoken_language
from talkover.engines import Hypothesis


@pytest.mark.parametrize(
    ("tagged", "expected"),
    [
        ("<|en|><|HAPPY|><|Speech|><|withitn|>Good morning.", Hypothesis("Good morning.", 13, 0.9, "en", "happy")),
        (
            "<|zh|><|NEUTRAL|><|BGM|><|withitn|>今天几号？<|zh|><|SAD|><|BGM|><|Laughter|><|withitn|>好的。",
            Hypothesis("今天几号？ 好的。", 9, 0.9, "zh", "neutral", ("music", "laughter")),
        ),
        ("<|nospeech|><|EMO_UNKNOWN|><|Cough|><|woitn|>the", Hypothesis("", 0, None, None, None, ("cough",))),
        ("<|yue|><|EMO_UNKNOWN|><|Event_UNK|><|woitn|>", Hypothesis("", 0, None, "yue")),
        ("no tags at all", Hypothesis("no tags at all", 14, 0.9)),
        ("a < b | c > d", Hypothesis("a < b | c > d", 13, 0.9)),
        ("", Hypothesis("")),
    ],
)
def test_tags_are_taken_apart(tagged: str, expected: Hypothesis) -> None:
    assert hypothesis_of(tagged, 0.9) == expected


@given(
    st.sampled_from([*LANGUAGES]),
    st.sampled_from([*EMOTIONS]),
    st.lists(st.sampled_from([*EVENTS]), max_size=4),
    st.text(alphabet=st.characters(exclude_characters="<|>"), max_size=30),
)
def test_what_is_written_is_read(language: str, emotion: str, events: list[str], said: str) -> None:
    tags = f"<|{language}|><|{emotion}|>" + "".join(f"<|{event}|>" for event in events)
    heard = hypothesis_of(f"{tags}<|withitn|>{said}", 0.5)
    assert heard.text == " ".join(said.split())
    assert (heard.language, heard.emotion) == (LANGUAGES[language], EMOTIONS[emotion])
    assert set(heard.events) == {EVENTS[event] for event in events}
    assert len(heard.events) == len(set(heard.events))


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        (None, "auto"),
        ("", "auto"),
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zh-HK", "yue"),
        ("yue", "yue"),
        ("EN_us", "en"),
        ("de", "auto"),
    ],
)
def test_languages(asked: str | None, used: str) -> None:
    assert spoken_language(asked) == used
