"""Documents as training text: what is spoken, what is asked, how names are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkover.asr.corpus import camel_parts, heading_questions, number_words, read_corpus, spoken_words, term_questions

DOCUMENT = """# Voices

## How do I change the voice?
To change the voice, set `session.voice`. See [the API](https://example.com/x_y) or OPENAI_API_KEY.

```sh
talkover serve --secret-flag
```

- An item about CosyVoice
- Another one, with 24 voices
"""


def joined(questions: tuple[tuple[str, ...], ...]) -> set[str]:
    return {" ".join(words) for words in questions}


def test_code_and_addresses_are_not_speech() -> None:
    corpus = read_corpus([DOCUMENT])
    words = {word for sentence in corpus.sentences for word in sentence}
    assert "secret" not in words
    assert "example" not in words
    assert ("another", "one", "with", "twenty", "four", "voices") in corpus.sentences


def test_names_keep_their_spelling_and_variables_do_not_count() -> None:
    spellings = read_corpus([DOCUMENT]).spellings
    assert spellings["cosyvoice"] == "CosyVoice"
    assert spellings["api"] == "API"
    assert "openai" not in spellings


def test_headings_become_questions() -> None:
    questions = joined(read_corpus([DOCUMENT]).questions)
    assert {"how do i change the voice", "how can i change the voice", "tell me how to change the voice"} <= questions
    assert {"what is cosyvoice", "how do i use cosyvoice", "tell me about voices"} <= questions


def test_the_agent_is_also_asked_in_the_second_person() -> None:
    questions = joined(heading_questions(("does", "talkover", "speak", "chinese")))
    assert {"do you speak chinese", "does it speak chinese"} <= questions


def test_a_heading_that_is_a_question_is_not_taken_for_a_term() -> None:
    assert joined(heading_questions(("who", "are", "you"))) == {"who are you"}


def test_term_questions_hold_the_term() -> None:
    assert all("whisper" in words for words in term_questions(("whisper",)))


def test_nothing_comes_of_nothing() -> None:
    corpus = read_corpus(["", "\n\n```\nnever closed"])
    assert corpus.questions == ()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (42, "forty two"),
        (100, "one hundred"),
        (115, "one hundred fifteen"),
        (8000, "eight thousand"),
        (16042, "sixteen thousand forty two"),
        (1234567, "one two three four five six seven"),
    ],
)
def test_numbers_in_words(number: int, words: str) -> None:
    assert " ".join(number_words(number)) == words


@given(st.text())
def test_spoken_words_are_lower_case_letters(text: str) -> None:
    for word in spoken_words(text):
        assert word == word.lower()
        assert all(character.isascii() and (character.isalpha() or character == "'") for character in word)


def test_camel_case_parts() -> None:
    assert camel_parts("CosyVoice") == ("Cosy", "Voice")
    assert camel_parts("OpenAI") == ("Open", "AI")
    assert camel_parts("vLLM") == ("v", "LLM")
    assert camel_parts("plain") == ("plain",)
