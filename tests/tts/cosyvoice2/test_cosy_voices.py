"""From clips to what reaches the models, for every way of speaking, and voices that come and go."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from golden import SELECTION, on_every_pack, read_json
from talkover.engines import EngineUnavailable, NewVoice, VoiceRefused

torch = pytest.importorskip("torch", reason="needs the extra 'full'")
safetensors = pytest.importorskip("safetensors.torch", reason="needs the extra 'full'")
pytest.importorskip("onnxruntime", reason="needs the extra 'full'")

from talkover.tts.cosyvoice2.onnx_models import SpeechTokenizer  # noqa: E402
from talkover.tts.cosyvoice2.prompt_features import MAX_STORED, FeatureStore, PromptFeatures  # noqa: E402
from talkover.tts.cosyvoice2.tokenizer import load_tokenizer  # noqa: E402
from talkover.tts.cosyvoice2.trained_speakers import load_speakers  # noqa: E402
from talkover.tts.cosyvoice2.voice_prompt import speaker_only, voice_prompt  # noqa: E402
from talkover.tts.cosyvoice2.voices import CosyVoices  # noqa: E402
from talkover.tts.voice_folder import VoiceFolder  # noqa: E402

TOLERANCE = 5e-4


def made(folder: Path, golden: Path = SELECTION, speakers=None, shipped: Path | None = None) -> CosyVoices:
    """Voices of `folder`/own, with the networks and the tokenizer of a golden pack."""
    model = golden / "model_dir"
    vocab_size = read_json(model / "CosyVoice-BlankEN" / "config.json")["vocab_size"]
    features = PromptFeatures(model, FeatureStore(folder / "features"))
    encode = load_tokenizer(model, vocab_size).encode
    return CosyVoices(VoiceFolder(shipped, folder / "own"), features, encode, speakers)


def golden_voice(golden: Path, folder: Path) -> None:
    """The clip of the pack with its transcript, as the voice `prompt`."""
    (folder / "own").mkdir(parents=True)
    shutil.copyfile(golden / "model_dir" / "prompt.wav", folder / "own" / "prompt.wav")
    text = read_json(golden / "frontend_cases.json")["texts"]["prompt_text"]
    (folder / "own" / "prompt.txt").write_text(text, encoding="utf-8")


def tone_voice(voice_id: str = "anna", **changes: object) -> NewVoice:
    tone = (0.3 * np.sin(np.arange(2 * 16_000) * 0.1)).astype(np.float32)
    return NewVoice(**{"id": voice_id, "samples": tone, "rate_hz": 16_000, "transcript": "Good morning."} | changes)


def ids(tensor) -> tuple[int, ...]:
    return tuple(int(number) for number in tensor.reshape(-1))


# ------------------------------------------------------------------------------------------- what reaches the models


@on_every_pack
def test_every_way_of_speaking_gives_the_released_inputs(golden: Path, tmp_path: Path) -> None:
    golden_voice(golden, tmp_path)
    cases = safetensors.load_file(golden / "frontend_cases.safetensors")
    instruction = read_json(golden / "frontend_cases.json")["texts"]["instruct_text"]
    voices = made(tmp_path, golden)
    prompts = {
        "zero_shot": voices.prompt("prompt", "你好。"),
        "cross_lingual": voices.prompt("prompt", "Hello there."),
        "instruct2": voices.prompt("prompt", "你好。", instruction),
    }
    for mode, prompt in prompts.items():
        wanted = {name.removeprefix(f"{mode}."): tensor for name, tensor in cases.items() if name.startswith(mode)}
        assert prompt.text_ids == ids(wanted.get("prompt_text", torch.zeros(0)))
        assert prompt.lm_speech_ids == ids(wanted.get("llm_prompt_speech_token", torch.zeros(0)))
        assert prompt.flow_speech_ids == ids(wanted["flow_prompt_speech_token"])
        assert prompt.mel.shape == wanted["prompt_speech_feat"].shape
        assert (prompt.mel - wanted["prompt_speech_feat"]).abs().max() < TOLERANCE
        assert (prompt.speaker - wanted["flow_embedding"]).abs().max() < TOLERANCE
    assert len({prompt.key for prompt in prompts.values()}) == 1


@on_every_pack
def test_trained_and_saved_speakers_give_the_released_inputs(golden: Path, tmp_path: Path) -> None:
    cases = safetensors.load_file(golden / "frontend_cases.safetensors")
    saved = {name.removeprefix("zero_shot."): t for name, t in cases.items() if name.startswith("zero_shot.")}
    entries = {"speaker": {"embedding": cases["sft.spk2info_embedding"]}, "saved": saved}
    torch.save(entries, tmp_path / "spk2info.pt")
    voices = made(tmp_path, golden, load_speakers(tmp_path / "spk2info.pt"))
    speaker = voices.prompt("speaker", "Hello.")
    assert (speaker.text_ids, speaker.flow_speech_ids, speaker.mel.shape) == ((), (), (1, 0, 80))
    torch.testing.assert_close(speaker.speaker, cases["sft.flow_embedding"])
    prompt = voices.prompt("saved", "Hello.")
    assert prompt.text_ids == ids(saved["prompt_text"])
    assert prompt.lm_speech_ids == prompt.flow_speech_ids == ids(saved["flow_prompt_speech_token"])
    torch.testing.assert_close(prompt.mel, saved["prompt_speech_feat"])
    assert [voice.id for voice in voices.voices()] == ["speaker", "saved"]


def test_every_speaker_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "spk2info.pt"
    assert load_speakers(path) == {}
    torch.save({"a": {}, "b": {"embedding": torch.zeros(1, 64)}, "c": 3, "d": {"embedding": torch.zeros(192)}}, path)
    with pytest.raises(EngineUnavailable) as refused:
        load_speakers(path)
    told = str(refused.value)
    assert "'a': the key 'embedding' is missing" in told
    assert "'b': speaker must be (1, 192), got (1, 64)" in told
    assert "'c': must be a dictionary, got int" in told
    assert "'d'" not in told


def test_speakers_cannot_run_code(tmp_path: Path) -> None:
    class Surprise:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"a": Surprise()}, tmp_path / "spk2info.pt")
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        load_speakers(tmp_path / "spk2info.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("n_ids", "n_frames", "paired"), [(10, 20, 10), (10, 23, 10), (9, 21, 9), (12, 20, 10)])
def test_ids_and_frames_are_cut_to_fit_each_other(n_ids: int, n_frames: int, paired: int) -> None:
    mel = torch.arange(n_frames * 80.0).reshape(1, n_frames, 80)
    prompt = voice_prompt([7], range(n_ids), mel, torch.zeros(1, 192))
    assert prompt.flow_speech_ids == tuple(range(paired))
    assert torch.equal(prompt.mel, mel[:, : 2 * paired])


def test_a_prompt_of_wrong_parts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mel must be \(1, 20, 80\), got \(1, 20, 64\)"):
        voice_prompt([], [1], torch.zeros(1, 20, 64), torch.zeros(1, 192))
    with pytest.raises(ValueError, match="too few for a voice"):
        voice_prompt([], [], torch.zeros(1, 20, 80), torch.zeros(1, 192))
    with pytest.raises(ValueError, match="speaker must be"):
        speaker_only(torch.zeros(192))


# --------------------------------------------------------------------------------------------------- which way


def test_a_voice_without_transcript_speaks_without_one(tmp_path: Path) -> None:
    voices = made(tmp_path)
    voices.add_voice(tone_voice(transcript=""))
    prompt = voices.prompt("anna", "Good evening.")
    assert prompt.text_ids == prompt.lm_speech_ids == ()
    assert prompt.flow_speech_ids


def test_a_voice_may_have_an_instruction_of_its_own(tmp_path: Path) -> None:
    made(tmp_path).add_voice(tone_voice())
    plain = made(tmp_path).prompt("anna", "Hello.")
    (tmp_path / "own" / "anna.toml").write_text('instruction = "whisper"\n', encoding="utf-8")
    voices = made(tmp_path)
    whispered, shouted = voices.prompt("anna", "Hello."), voices.prompt("anna", "Hello.", "shout<|endofprompt|>")
    assert plain.lm_speech_ids
    assert whispered.lm_speech_ids == shouted.lm_speech_ids == ()
    assert whispered.text_ids != shouted.text_ids
    assert whispered.text_ids[-1] == shouted.text_ids[-1] == 573
    assert 573 not in shouted.text_ids[:-1]


def test_stock_names_mean_the_first_voice(tmp_path: Path) -> None:
    voices = made(tmp_path)
    assert voices.aliases() == {}
    with pytest.raises(ValueError, match="voice must be one of default, got 'alloy'"):
        voices.prompt("alloy", "Hello.")
    voices.add_voice(tone_voice())
    assert voices.prompt("alloy", "Hello.") is voices.prompt("default", "Hello.")
    voices.add_voice(tone_voice("alloy", transcript="Other."))
    assert "alloy" not in voices.aliases()
    assert voices.content_key("alloy") != voices.content_key("default")


# ------------------------------------------------------------------------------------------------ come and go


def test_a_clip_is_heard_once_and_then_read_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(tmp_path)
    first.add_voice(tone_voice())
    prompt = first.prompt("anna", "Hello.")
    assert first.prompt("anna", "Hello.") is prompt
    monkeypatch.setattr(
        "talkover.tts.cosyvoice2.onnx_models.SpeechTokenizer.ids", lambda *_: pytest.fail("the clip was heard again")
    )
    again = made(tmp_path).prompt("anna", "Hello.")
    assert (again.key, again.flow_speech_ids) == (prompt.key, prompt.flow_speech_ids)
    assert torch.equal(again.mel, prompt.mel)


def test_who_speaks_does_not_wait_for_a_clip_being_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voices = made(tmp_path)
    voices.add_voice(tone_voice())
    known = voices.prompt("anna", "Hello.")
    begun, go_on = threading.Event(), threading.Event()
    hear = SpeechTokenizer.ids

    def slowly(tokenizer: SpeechTokenizer, samples: np.ndarray) -> tuple[int, ...]:
        begun.set()
        assert go_on.wait(10)
        return hear(tokenizer, samples)

    monkeypatch.setattr(SpeechTokenizer, "ids", slowly)
    new = tone_voice("berta", samples=0.5 * tone_voice().samples)
    adding = threading.Thread(target=voices.add_voice, args=(new,))
    adding.start()
    assert begun.wait(10)
    assert voices.prompt("anna", "Hello.") is known
    go_on.set()
    adding.join(10)
    assert [voice.id for voice in voices.voices()] == ["anna", "berta"]


def test_broken_features_on_disk_are_made_again(tmp_path: Path) -> None:
    voices = made(tmp_path)
    voices.add_voice(tone_voice())
    key = voices.prompt("anna", "Hello.").key
    (stored,) = (tmp_path / "features").glob("*.npz")
    for broken in (b"", b"PK\x03\x04 and then nothing", stored.read_bytes()[:200]):
        stored.write_bytes(broken)
        assert made(tmp_path).prompt("anna", "Hello.").key == key


def test_features_on_disk_are_bounded(tmp_path: Path) -> None:
    voices = made(tmp_path)
    voices.add_voice(tone_voice())
    folder = tmp_path / "features"
    for number in range(MAX_STORED + 5):
        (folder / f"{number}.npz").touch()
    voices.add_voice(tone_voice("berta", transcript="Other."))
    made(tmp_path).add_voice(tone_voice("clara", samples=tone_voice().samples * 0.5))
    assert len(list(folder.glob("*.npz"))) == MAX_STORED


def test_removing_a_voice_leaves_nothing_of_it_on_disk_and_breaks_nobody(tmp_path: Path) -> None:
    voices = made(tmp_path)
    voices.add_voice(tone_voice())
    prompt = voices.prompt("anna", "Hello.")
    voices.remove_voice("anna")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert voices.voices() == ()
    assert voices.prompt("anna", "Hello.") is prompt
    with pytest.raises(VoiceRefused):
        voices.remove_voice("anna")


def test_a_voice_that_cannot_be_heard_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> Iterator[int]:
        raise ValueError("the speech tokenizer gave 0 ids")

    monkeypatch.setattr("talkover.tts.cosyvoice2.onnx_models.SpeechTokenizer.ids", refuses)
    voices = made(tmp_path)
    with pytest.raises(VoiceRefused, match="gave 0 ids"):
        voices.add_voice(tone_voice())
    assert voices.voices() == ()
    assert not list((tmp_path / "own").iterdir())


def test_transcripts_are_asked_for_and_used(tmp_path: Path) -> None:
    voices = made(tmp_path)
    voices.add_voice(tone_voice(transcript=""))
    ((voice_id, (samples, rate_hz)),) = voices.without_transcript().items()
    assert (voice_id, samples.size, rate_hz) == ("anna", 32_000, 16_000)
    voices.set_transcript("anna", "Good morning.")
    assert voices.without_transcript() == {}
    assert voices.prompt("anna", "Hello.").text_ids


def test_trained_speakers_keep_their_names_and_are_not_removable(tmp_path: Path) -> None:
    voices = made(tmp_path, speakers={"anna": speaker_only(torch.ones(1, 192))})
    with pytest.raises(VoiceRefused, match="taken"):
        voices.add_voice(tone_voice())
    assert voices.removable() == frozenset()
    with pytest.raises(VoiceRefused, match="no voice"):
        voices.remove_voice("anna")


def test_a_stereo_file_in_the_folder_is_no_voice(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    soundfile.write(tmp_path / "own" / "duo.wav", np.zeros((32_000, 2), np.float32), 16_000)
    assert made(tmp_path).voices() == ()
