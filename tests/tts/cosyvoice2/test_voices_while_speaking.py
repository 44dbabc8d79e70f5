"""Voices come and go while the engine speaks with them; instructions and marks reach the models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from fakes import never
from recordings import SPEECH
from talkover.engines import NewVoice, SpeechChunk, VoiceRefused
from talkover.messages import VoiceSettings

pytest.importorskip("torch", reason="needs the extra 'full'")

from talkover.tts.cosyvoice2.engine import CosyVoice2Engine

TEXT = "Removed while it is speaking."


@pytest.fixture
def anna(engine: CosyVoice2Engine) -> Iterator[VoiceSettings]:
    """A voice made of a recording while the engine runs."""
    samples, rate_hz = soundfile.read(SPEECH / "recipe_rms.flac", dtype="float32")
    text = "Add two eggs and a spoon of butter to the flour."
    engine.voice_library.add_voice(NewVoice("anna", samples, rate_hz, text, "Anna"))
    yield VoiceSettings("anna")
    if "anna" in engine.voice_library.removable():
        engine.voice_library.remove_voice("anna")


def samples_of(chunks: Iterator[SpeechChunk]) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks])


def test_an_added_voice_is_listed_and_sounds_like_no_other(engine: CosyVoice2Engine, anna: VoiceSettings) -> None:
    assert [voice.id for voice in engine.voices()] == ["emma", "xiaoyun", "anna"]
    hers = samples_of(engine.speak("Hello.", anna, never))
    emmas = samples_of(engine.speak("Hello.", VoiceSettings("emma"), never))
    n_samples = min(hers.size, emmas.size)
    assert np.abs(hers[:n_samples] - emmas[:n_samples]).max() > 0.01


def test_removing_a_voice_changes_nothing_of_what_it_is_saying(engine: CosyVoice2Engine, anna: VoiceSettings) -> None:
    whole = samples_of(engine.speak(TEXT, anna, never))
    speaking = engine.speak(TEXT, anna, never)
    first = next(speaking)
    engine.voice_library.remove_voice("anna")
    assert "anna" not in [voice.id for voice in engine.voices()]
    rest = samples_of(speaking)
    np.testing.assert_allclose(np.concatenate([first.samples, rest]), whole, atol=2e-3)
    # what is left of the answer is spoken with it too
    np.testing.assert_allclose(samples_of(engine.synthesize(TEXT, anna, never)), whole, atol=2e-3)


def test_shipped_voices_cannot_be_removed(engine: CosyVoice2Engine) -> None:
    with pytest.raises(VoiceRefused, match="ships with Talkover"):
        engine.voice_library.remove_voice("emma")


def test_an_instruction_is_another_way_to_say_it(engine: CosyVoice2Engine) -> None:
    plain, slow = VoiceSettings("emma"), VoiceSettings("emma", instruction="speak slowly")
    said = [
        samples_of(engine.synthesize("Hello there.", how, never)) for how in (plain, slow, plain, slow, plain, slow)
    ]
    for same in (said[0::2], said[1::2]):
        assert all(one.size == same[0].size and np.abs(one - same[0]).max() < 2e-3 for one in same)
    assert said[0].size != said[1].size or np.abs(said[0] - said[1]).max() > 0.01


def test_marks_reach_the_language_model(engine: CosyVoice2Engine) -> None:
    assert "[laughter]" in engine.speech_marks
    emma = VoiceSettings("emma")
    plain = samples_of(engine.speak("Hello there.", emma, never))
    laughing = samples_of(engine.speak("Hello [laughter] there.", emma, never))
    n_samples = min(plain.size, laughing.size)
    assert np.abs(plain[:n_samples] - laughing[:n_samples]).max() > 0.01
