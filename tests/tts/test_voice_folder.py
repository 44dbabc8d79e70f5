"""Voices come from files and from uploads, and leave again, without a name ever becoming a path."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from talkover.engines import NewVoice, VoiceRefused
from talkover.tts.voice_folder import MAX_OWN_VOICES, RETIRED_FOR_S, VOICE_ID, VoiceFolder

RATE_HZ = 16_000
TONE = (0.3 * np.sin(np.arange(2 * RATE_HZ) * 0.1)).astype(np.float32)


def new_voice(voice_id: str = "anna", **changes: object) -> NewVoice:
    return NewVoice(**{"id": voice_id, "samples": TONE, "rate_hz": RATE_HZ, "transcript": "Good morning."} | changes)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def refusal(action, *arguments) -> VoiceRefused:
    with pytest.raises(VoiceRefused) as refused:
        action(*arguments)
    return refused.value


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    soundfile.write(folder / "narrator.wav", TONE, RATE_HZ)
    (folder / "narrator.txt").write_text("It was a dark\nand stormy night.\n", encoding="utf-8")
    (folder / "narrator.toml").write_text(
        'name = "Narrator"\nlanguage = "en-GB"\nlicence = "CC0-1.0"\n[pronunciation]\nSQL = "sequel"\n',
        encoding="utf-8",
    )
    return folder


def test_a_voice_is_read_from_its_files(shipped: Path, tmp_path: Path) -> None:
    (voice,) = VoiceFolder(shipped, tmp_path / "own").voices()
    assert (voice.id, voice.name, voice.language) == ("narrator", "Narrator", "en-GB")
    assert voice.transcript == "It was a dark and stormy night."
    assert voice.facts.pronunciation == {"SQL": "sequel"}
    assert not voice.is_own
    assert not (tmp_path / "own").exists()


def test_a_clip_alone_is_a_voice(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", TONE, RATE_HZ)
    (voice,) = VoiceFolder(None, tmp_path).voices()
    assert (voice.name, voice.language, voice.transcript) == ("a", "und", "")


def test_the_transcript_tells_the_language(tmp_path: Path) -> None:
    folder = VoiceFolder(None, tmp_path)
    assert folder.add(new_voice("a", transcript="今天天气很好。")).language == "zh"
    assert folder.add(new_voice("b", transcript="今天天气很好。", language="yue")).language == "yue"


def test_what_cannot_be_used_is_named_and_left_out(shipped: Path, tmp_path: Path) -> None:
    soundfile.write(shipped / "Shouting Bob.wav", TONE, RATE_HZ)
    soundfile.write(shipped / "short.wav", TONE[:RATE_HZ], RATE_HZ)
    soundfile.write(shipped / "odd.wav", TONE, RATE_HZ)
    (shipped / "odd.toml").write_text('colour = "red"\n', encoding="utf-8")
    soundfile.write(shipped / "latin.wav", TONE, RATE_HZ)
    (shipped / "latin.txt").write_bytes("h\xe9".encode("latin-1"))
    folder = VoiceFolder(shipped, tmp_path / "own")
    assert [voice.id for voice in folder.voices()] == ["narrator"]
    told = dict(zip(("bob", "latin", "odd", "short"), sorted(folder.problems), strict=True))
    assert "Shouting Bob.wav: the name must be 1 to 40 of a-z" in told["bob"]
    assert "latin.txt must be UTF-8" in told["latin"]
    assert "odd.toml: colour" in told["odd"]
    assert "short.wav: the clip must be at least 1.5 s long" in told["short"]


def test_an_added_voice_is_there_at_once_and_after_a_restart(tmp_path: Path) -> None:
    folder = VoiceFolder(None, tmp_path / "own")
    added = folder.add(new_voice(name='Anna "the voice"', language="en-US", transcript="Good\n morning."))
    assert folder.voices() == (added,)
    assert VoiceFolder(None, tmp_path / "own").voices() == (added,)
    assert files(tmp_path / "own") == {"anna.wav", "anna.txt", "anna.toml"}
    assert folder.clip(added).rate_hz == RATE_HZ


def test_a_name_that_is_taken_is_refused(shipped: Path, tmp_path: Path) -> None:
    folder = VoiceFolder(shipped, tmp_path)
    folder.add(new_voice())
    assert refusal(folder.add, new_voice()).reason == "exists"
    assert refusal(folder.add, new_voice("narrator")).reason == "exists"


def test_a_file_that_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "anna.wav").write_bytes(b"not a clip, but somebody's")
    assert refusal(VoiceFolder(None, tmp_path).add, new_voice()).reason == "exists"
    assert (tmp_path / "anna.wav").read_bytes() == b"not a clip, but somebody's"


@settings(deadline=None)
@given(
    voice_id=st.one_of(
        st.text(max_size=50),
        st.sampled_from(["../up", "..", "a/b", "a\\b", "/etc/passwd", "anna\n", "anna.wav", "", "-rf", "CON\0", "Ａ"]),
    )
)
def test_no_name_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, voice_id: str) -> None:
    root = tmp_path_factory.mktemp("root")
    folder = VoiceFolder(None, root / "own")
    if VOICE_ID.fullmatch(voice_id):
        folder.add(new_voice(voice_id))
        assert files(root) == {f"own/{voice_id}{suffix}" for suffix in (".wav", ".txt", ".toml")}
    else:
        assert refusal(folder.add, new_voice(voice_id)).param == "id"
        assert files(root) == set()
    assert refusal(folder.remove, "../own/x").reason == "unknown"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"name": "x" * 61}, "name"),
        ({"name": "a\x1b[2J"}, "name"),
        ({"language": "../../en"}, "language"),
        ({"transcript": "x" * 1001}, "transcript"),
        ({"transcript": "a\x00b"}, "transcript"),
        ({"samples": np.zeros(3 * RATE_HZ, np.float32)}, "file"),
        ({"rate_hz": 8000}, "file"),
    ],
)
def test_other_fields_have_limits_too(tmp_path: Path, changes: dict[str, object], param: str) -> None:
    refused = refusal(VoiceFolder(None, tmp_path).add, new_voice(**changes))
    assert (refused.reason, refused.param) == ("invalid", param)
    assert files(tmp_path) == set()


def test_the_folder_does_not_grow_without_bound(tmp_path: Path) -> None:
    folder = VoiceFolder(None, tmp_path)
    for number in range(MAX_OWN_VOICES):
        folder.add(new_voice(f"v{number}"))
    assert refusal(folder.add, new_voice("one-more")).reason == "full"


def test_a_removed_voice_leaves_no_file_and_speaks_on_for_a_while(tmp_path: Path) -> None:
    clock = Clock()
    folder = VoiceFolder(None, tmp_path, clock)
    anna = folder.add(new_voice())
    folder.remove("anna")
    assert files(tmp_path) == set()
    assert folder.voices() == ()
    assert folder.get("anna") == anna
    clock.now_s = RETIRED_FOR_S
    assert folder.get("anna") is None
    assert refusal(folder.remove, "anna").reason == "unknown"
    assert refusal(folder.clip, anna).reason == "unknown"


def test_a_new_voice_takes_the_place_of_a_removed_one(tmp_path: Path) -> None:
    folder = VoiceFolder(None, tmp_path)
    old = folder.add(new_voice())
    folder.remove("anna")
    new = folder.add(new_voice(transcript="Good evening."))
    assert folder.get("anna") == new
    assert new.content_key != old.content_key


def test_shipped_voices_stay(shipped: Path, tmp_path: Path) -> None:
    folder = VoiceFolder(shipped, tmp_path / "own")
    before = files(shipped)
    assert refusal(folder.remove, "narrator").reason == "shipped"
    folder.set_transcript("narrator", "heard")
    assert files(shipped) == before
    assert folder.get("narrator").transcript == "heard"


def test_what_a_recogniser_heard_is_kept(tmp_path: Path) -> None:
    folder = VoiceFolder(None, tmp_path)
    before = folder.add(new_voice(transcript=""))
    after = folder.set_transcript("anna", " Good  morning. ")
    assert VoiceFolder(None, tmp_path).voices() == (after,)
    assert after.transcript == "Good morning."
    assert after.content_key != before.content_key
