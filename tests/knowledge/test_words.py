"""Words, stems and sounds: what a recogniser writes meets what a document says."""

from __future__ import annotations

import pytest

from talkover.knowledge.sentences import split_sentences, with_full_stop
from talkover.knowledge.words import bigrams, contains_cjk, phonetic_key, plain_words, stem, tokens
from talkover.llm.phrases import Phrases


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What's an API-key?", ["whats", "an", "api", "key"]),
        ("OPENAI_API_KEY", ["openai", "api", "key"]),
        ("what is an l l m", ["what", "is", "an", "llm"]),
        ("llama.cpp 3.11", ["llama", "cpp", "3", "11"]),
        ("什么是语音识别 ok", ["语音", "音识", "识别", "ok"]),
        ("", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    "words",
    [
        ("voice", "voices"),
        ("document", "documents"),
        ("interrupt", "interrupted", "interrupting", "interrupts"),
        ("stop", "stopped", "stopping", "stops"),
        ("story", "stories"),
        ("change", "changes", "changed", "changing"),
        ("use", "used", "uses", "using"),
    ],
)
def test_forms_of_a_word_share_a_stem(words: tuple[str, ...]) -> None:
    if words[0] == "use":
        words = words[1:]  # stays as it is: too short to be cut
        assert {stem(word) for word in words} <= {"us", "use"}
    else:
        assert len({stem(word) for word in words}) == 1


@pytest.mark.parametrize("word", ["speed", "need", "class", "bus", "this", "gpu"])
def test_a_stem_does_not_eat_the_word(word: str) -> None:
    assert stem(word) == word


@pytest.mark.parametrize(
    ("heard", "meant"),
    [
        ("weather", "whether"),
        ("knowledge", "nowledge"),
        ("ollama", "alama"),
        ("photo", "foto"),
        ("know", "no"),
        ("write", "right"),
        ("cloud", "clout"),
    ],
)
def test_words_that_sound_alike_share_a_key(heard: str, meant: str) -> None:
    assert phonetic_key(heard) == phonetic_key(meant)


def test_words_that_sound_different_have_different_keys() -> None:
    assert len({phonetic_key(word) for word in ("voice", "port", "document", "server", "speed")}) == 5


def test_letter_pairs_have_borders() -> None:
    assert bigrams("cat") == {"_c", "ca", "at", "t_"}


def test_chinese_is_recognised() -> None:
    assert contains_cjk("hello 你好")
    assert not contains_cjk("hello — “quoted” é")
    assert plain_words("你好, world") == ["你好", "world"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Version 3.11 is out. Use it.", ["Version 3.11 is out.", "Use it."]),
        ("Open from 8 a.m. to 6 p.m. daily.", ["Open from 8 a.m. to 6 p.m. daily."]),
        ("Ask Dr. Ada or J. Smith.", ["Ask Dr. Ada or J. Smith."]),
        ("He said “stop.” She did.", ["He said “stop.”", "She did."]),
        ("See https://example.com/a.b for more", ["See https://example.com/a.b for more"]),
        ("你好。你是谁？我很好！", ["你好。", "你是谁？", "我很好！"]),
        ("Wait... what?", ["Wait...", "what?"]),
        ("  ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Milk", "Milk."), ("Milk?", "Milk?"), ("Milk,", "Milk."), ("“Stop.”", "“Stop.”"), ("菜单", "菜单。"), ("", "")],
)
def test_a_heading_becomes_a_sentence(text: str, expected: str) -> None:
    assert with_full_stop(text) == expected


GO_ON = Phrases(
    """
    [please] (go on|continue) [now|please]* [with <what>]
    more ...
    """
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("go on", {}),
        ("please continue now please", {}),
        ("go on with the story", {"what": "the story"}),
        ("more", {}),
        ("more about it", {}),
        ("go", None),
        ("go on then", None),
        ("please", None),
        ("gone on", None),
        ("", None),
    ],
)
def test_phrases(said: str, expected: dict[str, str] | None) -> None:
    assert GO_ON.match(said) == expected
    assert GO_ON.fits(said) == (expected is not None)
