"""Paraformer through the engine, with FunASR's real classes and small models trained on synthesised speech."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fakes import never
from live import eventually
from small_paraformer import ENGLISH_VOICES, HELD_OUT, MANDARIN_VOICES, MODELS
from talkover.asr.fusion import edit_distance, tokens_of
from talkover.audio import INPUT_RATE_HZ
from talkover.engines import EngineFailed, Hypothesis
from talkover.messages import Samples

Paraformer = Callable[..., Any]
Say = Callable[[str, str], Samples]
PIECE = INPUT_RATE_HZ // 10


def said(say: Say, count: int) -> list[tuple[dict[str, str], Samples]]:
    """`count` sentences the models never heard, in turn by all voices."""
    chosen = HELD_OUT[:: max(1, len(HELD_OUT) // count)][:count]
    found: list[tuple[dict[str, str], Samples]] = []
    for index, sentence in enumerate(chosen):
        voices = ENGLISH_VOICES if sentence["language"] == "en" else MANDARIN_VOICES
        found.append((sentence, say(sentence["text"], voices[index % len(voices)])))
    return found


def heard(engine: Any, samples: Samples, hint: str = "") -> Hypothesis:
    stream = engine.stream(hint=hint)
    for begin in range(0, samples.size, PIECE):
        stream.feed(samples[begin : begin + PIECE])
    return stream.finish(never)


def heard_live(engine: Any, samples: Samples) -> tuple[list[Hypothesis], Hypothesis]:
    """Partials and final of speech whose pieces come when the models have done with those before."""
    stream = engine.stream()
    partials: list[Hypothesis] = []
    for begin in range(0, samples.size, PIECE):
        stream.feed(samples[begin : begin + PIECE])
        assert eventually(lambda: not stream.is_behind)
        if (partial := stream.partial()) is not None:
            partials.append(partial)
    return partials, stream.finish(never)


# ------------------------------------------------------------------------------------------------------- what is said


def test_automodel_loads_the_small_models_as_it_loads_the_official_ones(say: Say, paraformer: Any) -> None:
    from funasr import AutoModel

    samples = say("Turn on the light in the kitchen.", "en-us-f1")
    model = AutoModel(model=str(MODELS / "paraformer"), disable_update=True, disable_pbar=True, device="cpu", ncpu=1)
    assert model.generate(input=samples)[0]["text"] == "turn on the light in the kitchen"


def test_sentences_never_heard_before_are_understood(say: Say, paraformer: Any) -> None:
    utterances = said(say, 30)
    texts = [heard(paraformer, samples).text for _, samples in utterances]
    wrong = [(s["text"], text) for (s, _), text in zip(utterances, texts, strict=True) if s["text"] != text]
    assert len(wrong) <= 2, wrong


def test_a_mix_of_both_languages_is_understood(say: Say, paraformer: Any) -> None:
    final = heard(paraformer, say("什么是Talkover？", "zh-cn-f1"))
    assert final.text == "什么是talkover?"
    assert final.language == "zh"


def test_finals_have_punctuation_language_and_confidence(say: Say, paraformer: Any) -> None:
    english = heard(paraformer, say("What is the date today?", "en-us-f1"))
    assert (english.text, english.language) == ("What is the date today?", "en")
    assert english.stable_chars == len(english.text)
    assert english.confidence is not None
    assert english.confidence > 0.8
    assert heard(paraformer, say("讲个故事。", "zh-cn-m1")).text == "讲个故事。"


def test_without_a_punctuation_model_there_is_none(say: Say, make_paraformer: Paraformer) -> None:
    engine = make_paraformer("punctuation_model=none")
    assert heard(engine, say("What is the date today?", "en-us-f1")).text == "what is the date today"


# ----------------------------------------------------------------------------------------------------- while it is said


def test_captions_grow_while_the_user_speaks_and_take_nothing_stable_back(say: Say, paraformer: Any) -> None:
    text = "please turn on the light in the kitchen"
    partials, final = heard_live(paraformer, say("Please, turn on the light in the kitchen.", "en-us-f1"))
    assert final.text.lower() == "please, turn on the light in the kitchen."
    assert len(partials) >= 3
    for earlier, later in itertools.pairwise(partials):
        assert later.text.startswith(earlier.text[: earlier.stable_chars])
        assert len(later.text) > len(earlier.text)
    assert text.startswith(partials[-1].text[: partials[-1].stable_chars])


def test_the_first_words_are_there_a_chunk_after_they_were_said(say: Say, paraformer: Any) -> None:
    samples = say("今天天气怎么样？", "zh-cn-f1")
    partials, _ = heard_live(paraformer, samples)
    assert "今天天气".startswith(partials[0].text)
    assert "今天天气" in partials[-1].text


@pytest.mark.parametrize(("chunk_ms", "most_percent"), [(480, 10), (600, 4)])
def test_streaming_hears_what_the_offline_model_hears(
    say: Say, make_paraformer: Paraformer, chunk_ms: int, most_percent: int
) -> None:
    """The small model was trained on chunks of 600 ms; at the edges of others it says a word twice now and then."""
    offline = make_paraformer("punctuation_model=none")
    streaming = make_paraformer("punctuation_model=none", "second_pass=never", f"chunk_ms={chunk_ms}")
    pairs = [
        (tokens_of(heard(offline, samples).text), tokens_of(heard(streaming, samples).text))
        for _, samples in said(say, 20)
    ]
    errors = sum(edit_distance(whole, streamed) for whole, streamed in pairs)
    assert 100 * errors / sum(len(whole) for whole, _ in pairs) <= most_percent, pairs


def test_streaming_does_not_depend_on_the_size_of_the_pieces(say: Say, make_paraformer: Paraformer) -> None:
    engine = make_paraformer("second_pass=never")
    samples = say("Open the door in the bedroom.", "en-us-f1")
    texts: set[str] = set()
    for size in (160, 512, 1600, 9600, samples.size):
        stream = engine.stream()
        for begin in range(0, samples.size, size):
            stream.feed(samples[begin : begin + size])
        texts.add(stream.finish(never).text)
    assert len(texts) == 1


def test_feeding_does_not_wait_for_the_models(say: Say, paraformer: Any) -> None:
    samples = say("Open the door in the bedroom.", "en-us-f1")
    stream = paraformer.stream()
    before_s = time.thread_time()
    stream.feed(np.tile(samples, 10))
    assert time.thread_time() - before_s < 0.05
    stream.close()


# ------------------------------------------------------------------------------------------------------- second pass


def test_a_confident_stream_needs_no_second_pass(say: Say, make_paraformer: Paraformer) -> None:
    """The same words either way; what the policy saves is measured by `talkover bench asr`."""
    engine = make_paraformer("second_pass=unless_confident")
    passes = 0
    finals = engine.finals
    original = finals.submit

    def counted(job: Any) -> Any:
        nonlocal passes
        passes += 1
        return original(job)

    finals.submit = counted
    try:
        utterances = said(say, 20)
        texts = [heard(engine, samples).text for _, samples in utterances]
    finally:
        finals.submit = original
    assert 0 < passes < 20
    assert sum(s["text"] != text for (s, _), text in zip(utterances, texts, strict=True)) <= 2


def test_without_an_offline_model_the_stream_is_final(say: Say, make_paraformer: Paraformer) -> None:
    engine = make_paraformer("model=none")
    assert heard(engine, say("What is the date today?", "en-us-f1")).text == "What is the date today?"


def test_without_a_streaming_model_there_are_finals_only(say: Say, make_paraformer: Paraformer) -> None:
    engine = make_paraformer("streaming_model=none")
    stream = engine.stream()
    assert stream.feed(say("What is the date today?", "en-us-f1")) is None
    assert stream.finish(never).text == "What is the date today?"


# ------------------------------------------------------------------------------------------------------ many at once


def test_eight_at_once_are_understood_as_if_alone(say: Say, make_paraformer: Paraformer) -> None:
    engine = make_paraformer("punctuation_model=none")
    utterances = said(say, 8)
    alone = [heard(engine, samples) for _, samples in utterances]
    together: list[Hypothesis | None] = [None] * len(utterances)
    streams = [engine.stream() for _ in utterances]
    longest = max(samples.size for _, samples in utterances)
    for begin in range(0, longest, PIECE):
        for stream, (_, samples) in zip(streams, utterances, strict=True):
            stream.feed(samples[begin : begin + PIECE])

    def finish(index: int) -> None:
        together[index] = streams[index].finish(never)

    threads = [threading.Thread(target=finish, args=(index,)) for index in range(len(streams))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for one, many in zip(alone, together, strict=True):
        assert many is not None
        assert many.text == one.text
        assert many.confidence == pytest.approx(one.confidence, abs=1e-3)


def test_a_batch_gives_what_each_gives_alone(say: Say, paraformer: Any) -> None:
    """Also with one that says nothing, at either end."""
    from talkover.asr.funasr_models import load_model
    from talkover.asr.offline_paraformer import OfflineParaformer

    offline = OfflineParaformer(load_model(MODELS / "paraformer", "asr.model", ("Paraformer",), "cpu"), ())
    silence = np.zeros(INPUT_RATE_HZ, np.float32)
    batch = [silence, *(samples for _, samples in said(say, 6)), silence[:100], silence]
    together = offline.recognise(batch)
    for samples, tokens in zip(batch, together, strict=True):
        (alone,) = offline.recognise([samples])
        assert [token.text for token in tokens] == [token.text for token in alone]
        assert [token.probability for token in tokens] == pytest.approx([t.probability for t in alone], abs=1e-3)


def test_streams_of_several_sessions_do_not_mix(say: Say, make_paraformer: Paraformer) -> None:
    engine = make_paraformer("second_pass=never", "punctuation_model=none")
    utterances = said(say, 4)
    alone = [heard(engine, samples).text for _, samples in utterances]
    streams = [engine.stream() for _ in utterances]
    for begin in range(0, max(samples.size for _, samples in utterances), PIECE):
        for stream, (_, samples) in zip(streams, utterances, strict=True):
            stream.feed(samples[begin : begin + PIECE])
    assert [stream.finish(never).text for stream in streams] == alone


# ------------------------------------------------------------------------------------------------ stale, closed, late


def test_what_is_stale_is_not_decoded_to_its_end(say: Say, paraformer: Any) -> None:
    stream = paraformer.stream()
    stream.feed(say("Open the door in the bedroom.", "en-us-f1"))
    assert stream.finish(lambda: True).text == ""


def test_a_stream_may_be_closed_at_any_point_and_twice(say: Say, paraformer: Any) -> None:
    stream = paraformer.stream()
    stream.feed(say("Open the door in the bedroom.", "en-us-f1"))
    stream.close()
    stream.close()
    stream.feed(np.zeros(PIECE, np.float32))
    assert stream.partial() is None


def test_a_closed_engine_says_so(make_paraformer: Paraformer) -> None:
    engine = make_paraformer("timeout_s=5")
    engine.close()
    engine.close()
    stream = engine.stream()
    stream.feed(np.zeros(INPUT_RATE_HZ, np.float32))
    with pytest.raises(EngineFailed, match="closed"):
        stream.finish(never)


# -------------------------------------------------------------------------------------------------------- side effects


def test_loading_leaves_the_process_as_it_was(make_paraformer: Paraformer, capsys: pytest.CaptureFixture[str]) -> None:
    import logging
    import random

    import torch

    from talkover.asr.funasr_models import load_model

    random.seed(7)
    torch.manual_seed(7)
    wanted = random.Random(7).random(), torch.rand(1, generator=torch.Generator().manual_seed(7))
    root = logging.getLogger()
    before = list(root.handlers), root.level
    threads = torch.get_num_threads()
    load_model(MODELS / "paraformer", "asr.model", ("Paraformer",), "cpu")
    assert (list(root.handlers), root.level) == before
    assert torch.get_num_threads() == threads
    assert (random.random(), torch.rand(1)) == wanted
    assert capsys.readouterr().out == ""
