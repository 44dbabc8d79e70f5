"""The pattern language of the general phrases, and the phrases themselves."""

import pytest

from talkover.asr.phrases import builtin_phrases, expand, parse_phrases


def spoken(pattern: str) -> list[str]:
    return [" ".join(words) for words in expand(pattern)]


def test_alternatives_and_options_nest() -> None:
    assert spoken("(stop|please (wait|hold on)) [now]") == [
        "stop now",
        "stop",
        "please wait now",
        "please wait",
        "please hold on now",
        "please hold on",
    ]


def test_repeated_expansions_count_once() -> None:
    assert spoken("go [on] [on]") == ["go on on", "go on", "go"]


def test_lists_are_used_by_name() -> None:
    phrases = parse_phrases("# colours\ncolour = red | light blue\n\nthe <colour> one\n")
    assert phrases.patterns == ((("the", "red", "one"), ("the", "light", "blue", "one")),)


def test_capitals_say_how_a_word_is_shown_unless_it_is_also_written_small() -> None:
    phrases = parse_phrases("(may|can) i\n(in|by) May\non Monday\n")
    assert phrases.spellings == {"monday": "Monday"}
    assert phrases.patterns[2] == (("on", "monday"),)


@pytest.mark.parametrize("pattern", ["(a|b", "a)", "[a", "a <unknown>", "(a]"])
def test_a_broken_pattern_names_its_line(pattern: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        parse_phrases(f"fine\n{pattern}\n")


def test_the_builtin_phrases_are_many_and_end_every_pattern() -> None:
    phrases = builtin_phrases()
    said = {" ".join(words) for pattern in phrases.patterns for words in pattern}
    assert len(phrases.patterns) > 200
    assert all(phrases.patterns)
    assert {"what time is it", "stop talking", "uh huh", "count to twenty", "goodbye"} <= said
    assert phrases.spellings["talkover"] == "Talkover"
