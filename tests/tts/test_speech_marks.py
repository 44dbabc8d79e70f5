"""Marks are heard by engines that know them, never read, and words keep their places."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import ToneTts, never
from talkover.engines import speech_marks
from talkover.messages import Prompt, ResponseRequest, TextDelta, VoiceSettings
from talkover.pipeline.synthesizer import Synthesizer
from talkover.rest.offline import speak
from talkover.tts.normalize import speakable
from talkover.tts.speech_marks import SPEECH_MARKS, StyleReader

ALL = frozenset(SPEECH_MARKS)


@pytest.mark.parametrize(
    ("text", "read", "heard"),
    [
        ("Well [laughter] I know.", "Well I know.", "Well [laughter] I know."),
        ("[breath] Hello.", "Hello.", "[breath] Hello."),
        ("That is <strong>not</strong> so.", "That is not so.", "That is <strong>not</strong> so."),
        (
            "你好[laughter]，<laughter>真的</laughter>吗？",
            "你好，真的吗？",
            "你好[laughter]，<laughter>真的</laughter>吗？",
        ),
        ("It costs $5 [sigh] today.", "It costs $5 today.", "It costs five dollars [sigh] today."),
        ("**Bold** [1] and <b>tags</b> [laughter]!", "Bold and tags!", "Bold and tags [laughter]!"),
        ("[Laughter] Ha.", "Ha.", "[laughter] Ha."),
        ("An [unknown] mark.", "An [unknown] mark.", "An  unknown  mark."),
    ],
)
def test_marks_are_heard_and_not_read(text: str, read: str, heard: str) -> None:
    known = speakable(text, marks=ALL)
    assert (known.display, known.spoken) == (read, heard)
    assert speakable(text).display == read
    assert not any(mark in speakable(text).spoken for mark in SPEECH_MARKS)


def test_an_engine_gets_only_the_marks_it_knows() -> None:
    assert speakable("[breath] Ha [laughter].", marks=frozenset({"[laughter]"})).spoken == "Ha [laughter]."


def test_words_behind_marks_keep_their_places() -> None:
    result = speakable("Pay $5 [laughter] <strong>today</strong>, please.", marks=ALL)
    for word, wanted in (("today", "today"), ("please", "please"), ("five dollars", "$5"), ("Pay", "Pay")):
        start = result.spoken.index(word)
        begin, end = result.to_display(start, start + len(word))
        assert result.display[begin:end] == wanted


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", "word", " ", "$5", "。", "你", ", ", "\ufdd0", "\ufde9", *SPEECH_MARKS]), max_size=15
    )
)
def test_no_mark_is_read_and_every_place_is_in_the_text(parts: list[str]) -> None:
    text = "".join(parts)
    result = speakable(text, marks=ALL)
    plain = speakable("".join(part for part in parts if part not in SPEECH_MARKS))
    assert result.display.replace(" ", "") == plain.display.replace(" ", "")
    assert not any("\ufdd0" <= char <= "\ufdef" for char in result.display + result.spoken)
    previous = 0
    for index in range(len(result.spoken)):
        start, end = result.to_display(index, index + 1)
        assert previous <= start <= end <= len(result.display)
        previous = start
    for mark in SPEECH_MARKS:
        assert result.spoken.count(mark) == text.count(mark)


def test_a_style_holds_until_the_next_one() -> None:
    reader = StyleReader()
    assert reader.read("[style: cheerful, fast] Hello") == "Hello"
    assert reader.style == "cheerful, fast"
    assert (reader.read(" there."), reader.style) == (" there.", "cheerful, fast")
    assert (reader.read("[Style:  ] Now."), reader.style) == ("Now.", "")


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), max_size=4))
def test_a_style_is_found_wherever_the_text_is_cut(cuts: list[int]) -> None:
    text = "[style: 用开心的语气说] Hello [sic] there. [style: sad] Bye [s"
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    reader = StyleReader()
    read = "".join(reader.read(text[a:b]) for a, b in pairwise(borders))
    assert read.replace(" ", "") == "Hello[sic]there.Bye"
    assert reader.style == "sad"


def test_what_only_looks_like_a_style_is_text_again() -> None:
    reader = StyleReader()
    endless = "[style: " + "x" * 300
    assert reader.read(endless) == endless


class Stylist(ToneTts):
    """Remembers how it was asked to speak."""

    speech_marks = frozenset({"[laughter]"})

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    def synthesize(self, text, settings, is_stale):
        self.asked.append((text, settings.instruction))
        return super().synthesize(text, settings, is_stale)


def test_the_style_of_an_answer_reaches_the_engine_and_no_caption() -> None:
    engine = Stylist()
    stage = Synthesizer(engine)
    list(stage.process(ResponseRequest(1, "r", Prompt("", ()), "audio", VoiceSettings("tone")), never))
    captions = [
        output.text
        for text in ("[style: cheerful, fa", "st] Hello [laughter] you,", " and you.")
        for output in stage.process(TextDelta(1, "r", text), never)
        if getattr(output, "text", "")
    ]
    assert engine.asked == [("Hello [laughter] you,", "cheerful, fast"), (" and you.", "cheerful, fast")]
    assert "".join(captions) == "Hello you, and you."
    list(stage.process(ResponseRequest(2, "s", Prompt("", ()), "audio", VoiceSettings("tone")), never))
    list(stage.process(TextDelta(2, "s", "Plain."), never))
    assert engine.asked[-1] == ("Plain.", "")


def test_speech_over_http_has_marks_and_styles_too() -> None:
    engine = Stylist()
    list(speak("[style: sad] Oh [laughter] no.", engine, VoiceSettings("tone"), never))
    assert engine.asked == [("Oh [laughter] no.", "sad")]
    assert speech_marks(ToneTts()) == frozenset()
