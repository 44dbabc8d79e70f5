"""The engine with the small checkpoint: many speak side by side, each as if alone, and who is cancelled is gone."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import never
from live import eventually

pytest.importorskip("torch", reason="needs the extra 'full'")

import torch

from talkover.config import load_settings
from talkover.engines import EngineFailed, EngineUnavailable, SpeechChunk
from talkover.messages import VoiceSettings
from talkover.registry import create_engine
from talkover.tts.cosyvoice2.engine import CosyVoice2Engine

EMMA, XIAOYUN = VoiceSettings("emma"), VoiceSettings("xiaoyun")
TEXTS = ("Hello there, you.", "你好，今天天气很好。", "One moment.", "好的。")


def spoken(engine: CosyVoice2Engine, text: str, voice: VoiceSettings = EMMA) -> list[SpeechChunk]:
    return list(engine.synthesize(text, voice, never))


def samples_of(chunks: list[SpeechChunk]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)])


def is_free(engine: CosyVoice2Engine) -> bool:
    """Nothing is held: every slot of the language model is free and nobody is being spoken for."""
    return engine.lm.cache.n_free == engine.options.max_utterances and engine.scheduler.idle


def test_a_text_is_spoken_with_all_its_words_in_order(engine: CosyVoice2Engine) -> None:
    text = "Well, 3 small tests [laughter] are done; the rest is easy."
    chunks = spoken(engine, text)
    audio = samples_of(chunks)
    assert audio.dtype == np.float32
    assert 0.5 < audio.size / 24_000 < 20
    assert 0.01 < np.abs(audio).max() <= 1
    words = [word for chunk in chunks for word in chunk.words]
    assert [text[word.start : word.end] for word in words] == [
        *("Well", "3", "small", "tests", "are", "done", "the", "rest", "is", "easy"),
    ]
    assert all(0 <= word.start_ms <= audio.size / 24 for word in words)
    assert all(one.start_ms <= other.start_ms for one, other in pairwise(words))


def test_a_long_text_is_spoken_piece_by_piece(engine: CosyVoice2Engine) -> None:
    sentence = "今天天气很好，我们去公园散步，然后在湖边坐一会儿看看红叶。"
    text = sentence * 3
    chunks = spoken(engine, text, XIAOYUN)
    words = [word for chunk in chunks for word in chunk.words]
    assert "".join(text[word.start : word.end] for word in words) == re.sub("[，。]", "", text)
    assert all(one.start_ms <= other.start_ms for one, other in pairwise(words))


@pytest.mark.parametrize("text", ["", "   ", "。", "……!", "[", "\u200b"])
def test_nothing_to_say_is_no_audio(engine: CosyVoice2Engine, text: str) -> None:
    assert samples_of(spoken(engine, text)).size == 0 or text in ("[", "\u200b")
    assert eventually(lambda: is_free(engine))


def test_speed_changes_the_duration(engine: CosyVoice2Engine) -> None:
    text = "The speed of this one is changed."
    normal = samples_of(spoken(engine, text)).size
    for speed in (0.5, 0.8, 1.5):
        faster = samples_of(spoken(engine, text, VoiceSettings("emma", speed))).size
        assert faster == pytest.approx(normal / speed, abs=480)


def test_an_unknown_voice_is_refused_with_those_there_are(engine: CosyVoice2Engine) -> None:
    with pytest.raises(ValueError, match=r"voice must be one of emma, xiaoyun, default.*, got 'nobody'"):
        engine.synthesize("Hello.", VoiceSettings("nobody"), never)


def test_everybody_sounds_as_if_alone(engine: CosyVoice2Engine) -> None:
    """Two voices, several texts, all at once: the same samples as one after the other."""
    jobs = [(f"{text} {number}", voice) for number, text in enumerate(TEXTS) for voice in (EMMA, XIAOYUN)]
    alone = [samples_of(spoken(engine, text, voice)) for text, voice in jobs]
    together: dict[int, np.ndarray] = {}

    def run(index: int) -> None:
        together[index] = samples_of(list(engine.speak(*jobs[index], never)))  # past the cache of phrases

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for index, audio in enumerate(alone):
        assert together[index].size == audio.size
        assert np.abs(together[index] - audio).max() < 2e-3, jobs[index]


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(TEXTS), st.booleans(), st.integers(0, 4)), min_size=1, max_size=5))
def test_who_is_cancelled_leaves_nothing_behind(engine: CosyVoice2Engine, jobs: list[tuple[str, bool, int]]) -> None:
    """Iterators dropped after any number of chunks, others going on: all that was held is free in the end."""
    whole = samples_of(list(engine.speak(TEXTS[0], EMMA, never)))
    running = [engine.speak(text, XIAOYUN if other else EMMA, never) for text, other, _ in jobs]
    kept = engine.speak(TEXTS[0], EMMA, never)
    first = next(kept)
    for iterator, (_, _, n_chunks) in zip(running, jobs, strict=True):
        for _ in range(n_chunks):
            next(iterator, None)
        iterator.close()
    audio = samples_of([first, *kept])
    assert np.abs(audio - whole).max() < 2e-3
    assert eventually(lambda: is_free(engine))


def test_a_stale_speech_ends_without_waiting_for_the_models(engine: CosyVoice2Engine) -> None:
    asked = 0

    def is_stale() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    assert len(list(engine.synthesize("This will not be spoken to its end, whatever it is.", EMMA, is_stale))) <= 3
    assert eventually(lambda: is_free(engine))


def test_more_texts_than_the_model_has_room_for_wait_their_turn(engine: CosyVoice2Engine) -> None:
    n_texts = engine.options.max_utterances + 2
    iterators = [engine.speak(f"Number {number}.", EMMA, never) for number in range(n_texts)]
    firsts = [next(iterator) for iterator in iterators]
    assert all(chunk.samples.size for chunk in firsts)
    for iterator in iterators:
        assert all(chunk.samples.dtype == np.float32 for chunk in iterator)
    assert eventually(lambda: is_free(engine))


def test_a_failing_step_fails_its_speech_only(engine: CosyVoice2Engine) -> None:
    listening = engine.speak(TEXTS[0], EMMA, never)
    first = next(listening)

    def broken() -> None:
        raise RuntimeError("out of memory")

    from talkover.tts.cosyvoice2.scheduler import PiecePlan

    speech = engine.scheduler.submit([PiecePlan(broken, broken, 0)])  # pyright: ignore[reportArgumentType]
    with pytest.raises(EngineFailed, match="RuntimeError: out of memory"):
        list(engine.scheduler.listen(speech, never))
    assert samples_of([first, *listening]).size
    assert eventually(lambda: is_free(engine))


def test_a_phrase_that_comes_again_is_not_made_again(engine: CosyVoice2Engine) -> None:
    first, second, third = (spoken(engine, "Just a second.") for _ in range(3))
    assert np.array_equal(samples_of(first), samples_of(second))
    assert third[0].samples is second[0].samples
    assert spoken(engine, "Just a second.", XIAOYUN)[0].samples is not second[0].samples


def with_model(folder: Path) -> Callable[[], object]:
    return lambda: create_engine("tts", "cosyvoice2", load_settings(None, [f"tts.model={folder}"], {}))


def test_all_missing_files_are_named_at_once(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(model_folder, folder)
    for name in ("flow.pt", "campplus.onnx", "CosyVoice-BlankEN/merges.txt"):
        (folder / name).unlink()
    wanted = r"lacks CosyVoice-BlankEN/merges\.txt, campplus\.onnx, flow\.pt; talkover models pull cosyvoice2-0\.5b"
    with pytest.raises(EngineUnavailable, match=wanted):
        with_model(folder)()


def test_weights_that_are_no_weights_are_named(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wrong"
    shutil.copytree(model_folder, folder)
    (folder / "flow.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(EngineUnavailable, match=r"flow\.pt cannot be loaded"):
        with_model(folder)()
    torch.save({"model": [1, 2]}, folder / "flow.pt")
    with pytest.raises(EngineUnavailable, match=r"flow\.pt: must be a state dict"):
        with_model(folder)()
    shutil.copyfile(folder / "hift.pt", folder / "flow.pt")
    with pytest.raises(
        EngineUnavailable, match=r"weights of flow do not fit the configuration: missing: .* more; unex"
    ):
        with_model(folder)()


class _Harmless:
    """Leaves a file behind when it is unpickled by a loader that runs what a file says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_checkpoint_cannot_run_anything(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(model_folder, folder)
    torch.save({"weight": _Harmless(tmp_path / "ran")}, folder / "hift.pt")
    with pytest.raises(EngineUnavailable, match=r"hift\.pt cannot be loaded"):
        with_model(folder)()
    assert not (tmp_path / "ran").exists()
