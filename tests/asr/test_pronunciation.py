"""Pronunciations: the dictionary first, then parts, letters, and espeak-ng's rules."""

from pathlib import Path

import pytest

from talkover.asr.pronunciation import (
    ipa_to_arpabet,
    pronunciations,
    read_dictionary,
    spelled,
    write_dictionary,
)
from talkover.engines import EngineUnavailable

DICTIONARY = {"open": (("OW", "P", "AH", "N"),), "voice": (("V", "OY", "S"),), "cosy": (("K", "OW", "Z", "IY"),)}


def no_rules(word: str) -> str:
    raise AssertionError(f"the rules were asked for {word!r}")


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("t_ˈɔː_k_oʊ_v_ɚ", "T AO K OW V ER"),
        ("tʃ_ˈɜː_tʃ", "CH ER CH"),
        ("b_ˈɑː_ɾ_əl", "B AA T AH L"),
        ("h_ˈɛɹ", "HH EH R"),
        ("p_ɹ_oʊ_m_ˈiː_θ_ɪ__ə_s", "P R OW M IY TH IH AH S"),
        ("", ""),
    ],
)
def test_ipa(ipa: str, phones: str) -> None:
    assert " ".join(ipa_to_arpabet(ipa)) == phones


def test_a_known_word_needs_no_rules() -> None:
    assert pronunciations("voice", "voice", DICTIONARY, no_rules) == DICTIONARY["voice"]


def test_a_genitive_is_made_from_its_stem() -> None:
    assert pronunciations("voice's", "voice's", DICTIONARY, no_rules) == (("V", "OY", "S", "Z"),)


def test_camel_case_is_said_in_parts() -> None:
    said = pronunciations("openai", "OpenAI", DICTIONARY, lambda _: "")
    assert said == (("OW", "P", "AH", "N", "EY", "AY"),)
    said = pronunciations("cosyvoice", "CosyVoice", DICTIONARY, lambda _: "k_ˈɑː_z_ɪ_v_ˌɔɪ_s")
    assert said == (("K", "OW", "Z", "IY", "V", "OY", "S"), ("K", "AA", "Z", "IH", "V", "OY", "S"))


def test_abbreviations_are_spelled_and_said_as_a_word_where_they_can_be() -> None:
    assert pronunciations("vllm", "vllm", DICTIONARY, no_rules) == (spelled("vllm"),)
    assert pronunciations("toml", "TOML", DICTIONARY, lambda _: "t_ˈɑː_m_əl") == (
        spelled("toml"),
        ("T", "AA", "M", "AH", "L"),
    )


def test_a_dictionary_file_survives(tmp_path: Path) -> None:
    path = tmp_path / "words.dict"
    entries = {"read": (("R", "EH", "D"), ("R", "IY", "D")), "stop": (("S", "T", "AA", "P"),)}
    write_dictionary(entries.items(), path)
    assert "read(2) R IY D" in path.read_text(encoding="utf-8").splitlines()
    assert read_dictionary(path) == entries


def test_a_missing_dictionary_says_what_mends_it(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="pip install pocketsphinx"):
        read_dictionary(tmp_path / "none")
