"""Text rewriting and cutting against the released code's, and properties that hold for any text."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import on_every_pack, read_json

pytest.importorskip("tokenizers", reason="needs the extra 'full'")

from talkover.engines import EngineUnavailable
from talkover.tts.cosyvoice2.text_frontend import (
    MAX_PIECE,
    MIN_PIECE,
    SHORT_PIECE,
    TracedText,
    normalized,
    only_punctuation,
    pieces,
    spelled_out,
)
from talkover.tts.cosyvoice2.tokenizer import MARKS, SPECIAL_TOKENS, load_tokenizer

SMALL_VOCABULARY = 600


def words_and_signs(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


@on_every_pack
def test_texts_are_rewritten_and_cut_as_by_the_released_code(golden: Path) -> None:
    for case in read_json(golden / "text_frontend.json")["cases"]:
        assert [piece.text for piece in pieces(case["text"], words_and_signs)] == case["split"], case["text"]
        assert normalized(case["text"]).text == case["joined"], case["text"]


@on_every_pack
def test_numbers_and_punctuation_are_told_as_by_the_released_code(golden: Path) -> None:
    document = read_json(golden / "text_frontend.json")
    for text, wanted in document["spell_out_number"].items():
        assert TracedText.of(text).sub(r"\d+", spelled_out).text == wanted
    for text, wanted in document["is_only_punctuation"].items():
        assert only_punctuation(text) is wanted, text


@on_every_pack
def test_ids_equal_those_of_the_released_tokenizer(golden: Path) -> None:
    tokenizer = load_tokenizer(golden / "model_dir", SMALL_VOCABULARY)
    document = read_json(golden / "frontend_cases.json")
    for text, ids in document["tokenizer"]["encode"].items():
        assert tokenizer.encode(text) == ids, text
    for token, ids in document["tokenizer"]["specials"].items():
        assert tokenizer.encode(token) == ids, token
    stream = document["text_stream_chunks"]
    assert [[number] for text in stream["input"] for number in tokenizer.encode(text)] == stream["pieces"]


@on_every_pack
def test_a_vocabulary_that_does_not_fit_the_embedding_is_refused(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"570 entries and 20 marks must fit into vocab_size, got 580"):
        load_tokenizer(golden / "model_dir", 580)
    with pytest.raises(EngineUnavailable, match=r"vocab\.json and .*merges\.txt cannot be loaded"):
        load_tokenizer(tmp_path, SMALL_VOCABULARY)


@on_every_pack
def test_offsets_name_the_characters_of_each_id(golden: Path) -> None:
    tokenizer = load_tokenizer(golden / "model_dir", SMALL_VOCABULARY)
    text = "He said [laughter] 你好, now."
    tokens = tokenizer.encode_with_offsets(text)
    assert [token.id for token in tokens] == tokenizer.encode(text)
    laughter = next(token for token in tokens if token.id == tokenizer.encode("[laughter]")[0])
    assert text[laughter.start : laughter.end] == "[laughter]"
    covered = {index for token in tokens for index in range(token.start, token.end)}
    assert covered == set(range(len(text)))


TEXTS = st.lists(
    st.sampled_from([*'JK1 2.,!?;:\n"-今天气²³（）【】，。！？、；：”`—', " - ", "3.14", "——"]), max_size=300
).map("".join)


@given(TEXTS)
def test_every_character_knows_where_it_came_from(text: str) -> None:
    traced = normalized(text)
    assert len(traced.text) == len(traced.origins)
    at = 0
    for start, end in traced.origins:
        assert at <= start < end <= len(text)
        at = start
    unchanged = [
        char for char, (start, end) in zip(traced.text, traced.origins, strict=True) if text[start:end] == char
    ]
    assert [char for char in traced.text if char in "JK今天气"] == [char for char in unchanged if char in "JK今天气"]


def spoken(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


@given(TEXTS)
def test_cutting_loses_punctuation_only(text: str) -> None:
    cut = pieces(text, words_and_signs)
    assert spoken("".join(piece.text for piece in cut)) == spoken(normalized(text).text)
    origins = [origin for piece in cut for origin in piece.origins]
    assert origins == sorted(origins)


@given(st.lists(st.sampled_from(["今天天气很好，我们出去走走。", "好。", "春天" * 30 + "！", "真的吗？"]), max_size=30))
def test_no_piece_is_longer_than_its_sentences_make_it(sentences: list[str]) -> None:
    cut = pieces("".join(sentences), words_and_signs)
    assert "".join(piece.text for piece in cut) == "".join(sentences)
    longest = max(map(len, sentences), default=0)
    for piece in cut:
        assert len(piece.text) <= max(MAX_PIECE, MIN_PIECE + longest) + SHORT_PIECE


def test_the_marks_a_text_may_hold_are_not_cut() -> None:
    text = "Well [laughter] that is <strong>really</strong> it"
    assert [piece.text for piece in pieces(text, words_and_signs)] == [text + "."]
    assert set(MARKS) < set(SPECIAL_TOKENS)
    assert "<|endofprompt|>" not in MARKS


def test_numbers_beyond_any_name_are_read_digit_by_digit() -> None:
    assert spelled_out("1" + "0" * 36) == "one" + " zero" * 36
    assert spelled_out("1001000007") == "one billion, one million and seven"
