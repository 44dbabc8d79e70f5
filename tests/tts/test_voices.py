from __future__ import annotations

from collections import Counter

from talkover.tts.voices import ESPEAK_VOICES, VOICE_ALIASES, resolve_voice, speaker_for

OPENAI_NAMES = {"alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"}


def test_every_alias_names_a_voice() -> None:
    assert set(VOICE_ALIASES) == {"default"} | OPENAI_NAMES
    assert all(resolve_voice(alias) == resolve_voice(voice_id) != None for alias, voice_id in VOICE_ALIASES.items())  # noqa: E711
    assert resolve_voice("nobody") is None
    assert len({VOICE_ALIASES[name] for name in OPENAI_NAMES}) >= 5


def test_there_are_voices_of_both_genders_for_english_and_mandarin() -> None:
    counts = Counter((entry.voice.language, entry.voice.gender) for entry in ESPEAK_VOICES.values())
    for language in ("en-US", "en-GB", "zh-CN"):
        assert counts[language, "female"] >= 1
        assert counts[language, "male"] >= 1


def test_another_script_is_spoken_by_a_counterpart_of_the_same_gender() -> None:
    english, chinese = ESPEAK_VOICES["en-gb-f1"], ESPEAK_VOICES["zh-cn-m2"]
    assert speaker_for(english, "Latn") is speaker_for(english, None) is english
    assert speaker_for(english, "Hani").espeak_name == "cmn+f3"
    assert speaker_for(chinese, "Hani") is chinese
    assert speaker_for(chinese, "Latn").espeak_name == "en-us+m7"
    assert speaker_for(ESPEAK_VOICES["de-f1"], "Latn").language == "de"
