"""The language model against the released code's hidden states, log-probabilities and generations."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import SELECTION, WHOLE, needs_whole_pack, on_every_pack, read_json

pytest.importorskip("torch", reason="needs the extra 'full'")

import torch
from safetensors.torch import load_file

from talkover.engines import EngineFailed
from talkover.tts.cosyvoice2.bistream import BistreamDecoding
from talkover.tts.cosyvoice2.checkpoint import CheckpointMismatch, read_state
from talkover.tts.cosyvoice2.configuration import LlmConfig, load_configuration, load_golden_configuration
from talkover.tts.cosyvoice2.decode_step import bucket
from talkover.tts.cosyvoice2.decoding import Symbols, UtteranceDecoding
from talkover.tts.cosyvoice2.language_model import LanguageModel, LmRequest, TextSpeechModel, load_text_speech_model

HIDDEN_TOLERANCE = 2e-5
LOG_PROB_TOLERANCE = 1e-4
CPU = torch.device("cpu")


def load(golden: Path, **options: int) -> LanguageModel:
    config = load_golden_configuration(golden)
    model = load_text_speech_model(read_state(golden, "llm"), config.llm, CPU, torch.float32)
    return LanguageModel(model, config.llm, config.sampling, **options)


def symbols_of(names: list[str], config: LlmConfig) -> list[int]:
    """Symbols of the pack's names: sos, task, text:ID, speech:ID."""
    symbols = Symbols.of(config)
    marks = {"sos": symbols.sos, "task": symbols.task}
    found: list[int] = []
    for name in names:
        kind, _, number = name.partition(":")
        found.append(marks[kind] if kind in marks else int(number) + (symbols.n_text if kind == "speech" else 0))
    return found


def difference(got: Any, wanted: Any) -> float:
    assert got.shape == wanted.shape
    return float((got - wanted).abs().max())


def body_of_the_selection() -> tuple[LanguageModel, dict[str, torch.Tensor]]:
    """The model with the embeddings that the cases read and no others, and the hidden states they give."""
    stored = load_file(SELECTION / "lm_beginning.safetensors")
    config = load_golden_configuration(SELECTION)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in TextSpeechModel(config.llm).state_dict().items()}
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    for name, value in state.items():
        stem = name.removesuffix("weight")
        if f"{stem}rows" in stored:
            value[stored.pop(f"{stem}rows")] = stored.pop(name)
        elif name in stored:
            value.copy_(stored.pop(name))
    model = load_text_speech_model(state, config.llm, CPU, torch.float32)
    return LanguageModel(model, config.llm, config.sampling), stored


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=needs_whole_pack)], ids=["selection", "whole"])
def test_hidden_states_equal_those_of_the_released_code(whole: bool) -> None:
    if whole:
        lm, tensors = load(WHOLE), load_file(WHOLE / "lm_cases.safetensors")
    else:
        lm, tensors = body_of_the_selection()
    document = read_json(SELECTION / "lm_cases.json")
    cases = {name: (case, name) for name, case in document["cases"].items()}
    cases |= {name: (case, f"bi.{name}") for name, case in document["bistream"].items()}
    for name, (case, prefix) in cases.items():
        slot = lm.cache.take()
        steps = [lm.hidden_states([symbols_of(names, lm.config)], [slot])[0] for names in case["feeds"]]
        last = torch.stack([hidden[-1] for hidden in steps])
        assert difference(last, tensors[f"{prefix}.step_hidden"]) < HIDDEN_TOLERANCE, name
        if f"{prefix}.prefill_hidden" in tensors:
            assert difference(steps[0], tensors[f"{prefix}.prefill_hidden"]) < HIDDEN_TOLERANCE, name
        if f"{prefix}.step_logp" in tensors:
            assert difference(lm.model.log_probs(last), tensors[f"{prefix}.step_logp"]) < LOG_PROB_TOLERANCE, name
        lm.cache.give_back(slot)


@on_every_pack
def test_an_utterance_is_fed_and_ended_as_by_the_released_code(golden: Path) -> None:
    config = load_golden_configuration(golden).llm
    for name, case in read_json(golden / "lm_cases.json")["cases"].items():
        decoding = UtteranceDecoding(config, case["text"], case["prompt_text"], case["prompt_speech"], as_released=True)
        assert (decoding.min_ids, decoding.max_ids) == (case["min_len"], case["max_len"])
        forced = case["forced_tokens"] + [config.eos] * case["ends_with_eos"]
        feeds: list[tuple[int, ...]] = []
        masked: list[bool] = []
        emitted: list[int | None] = []
        for number in forced:
            feeds.append(decoding.feed)
            masked.append(config.eos in decoding.banned)
            emitted.append(decoding.advance(number))
        assert feeds == [tuple(symbols_of(names, config)) for names in case["feeds"]], name
        assert masked == case["eos_masked_at_step"], name
        assert [number for number in emitted if number is not None] == case["emitted"], name
        assert decoding.finished is case["ends_with_eos"]


def released_bistream(case: dict[str, Any], config: LlmConfig) -> tuple[list[tuple[int, ...]], list[bool], list[int]]:
    """Feeds, whether the end was banned at each draw, and what came out, with the draws the pack gives."""
    decoding = BistreamDecoding(config, case["prompt_text"], case["prompt_speech"], as_released=True)
    pieces, draws = iter(case["text_chunks"]), iter(case["sampler_returns"])
    feeds: list[tuple[int, ...]] = []
    masked: list[bool] = []
    emitted: list[int] = []
    text_ended = False
    while not decoding.finished:
        if not decoding.feed:
            piece = next(pieces, None)
            if piece is not None:
                decoding.add_text(piece)
            else:
                assert not text_ended
                text_ended = True
                decoding.end_text()
            continue
        feeds.append(decoding.feed)
        drawn = decoding.forced
        if drawn is None:
            masked.append(config.eos in decoding.banned)
            drawn = next(draws)
        if (number := decoding.advance(drawn)) is not None:
            emitted.append(number)
    assert next(draws, None) is None
    return feeds, masked, emitted


@on_every_pack
def test_streamed_text_is_fed_as_by_the_released_code(golden: Path) -> None:
    config = load_golden_configuration(golden).llm
    for name, case in read_json(golden / "lm_cases.json")["bistream"].items():
        if case["error"]:
            with pytest.raises(EngineFailed, match=case["error"]):
                released_bistream(case, config)
            continue
        feeds, masked, emitted = released_bistream(case, config)
        assert feeds == [tuple(symbols_of(names, config)) for names in case["feeds"]], name
        assert masked == case["eos_masked_at_sampler_call"], name
        assert emitted == case["emitted"], name


@needs_whole_pack
def test_seeded_generations_equal_those_of_the_released_code() -> None:
    lm = load(WHOLE)
    document = read_json(WHOLE / "lm_cases.json")
    for run in document["sampled"]:
        case = document["cases"][run["inputs"]]
        decoding = UtteranceDecoding(
            lm.config, case["text"], case["prompt_text"], case["prompt_speech"], as_released=True
        )
        request = lm.open(decoding, released_generator=torch.Generator().manual_seed(run["manual_seed"]))
        assert generated(lm, [request]) == [run["tokens"]]


def generated(lm: LanguageModel, requests: list[LmRequest]) -> list[list[int]]:
    """What each request gives when all go on together."""
    ids: list[list[int]] = [[] for _ in requests]
    while going := [index for index, request in enumerate(requests) if not request.finished]:
        for index, number in zip(going, lm.step([requests[index] for index in going]), strict=True):
            if number is not None:
                ids[index].append(number)
    for request in requests:
        lm.close(request)
    return ids


TEXTS = st.lists(st.lists(st.integers(0, 500), min_size=1, max_size=4), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def small() -> LanguageModel:
    """Of the small dimensions with weights of our own, so that no file is needed."""
    config = load_configuration(SELECTION / "model_dir")
    torch.manual_seed(3)
    model = TextSpeechModel(config.llm).eval().requires_grad_(False)
    model.llm_decoder.weight.mul_(4)  # far from equal probabilities
    return LanguageModel(model, config.llm, config.sampling, max_requests=6, capacity=160)


@settings(max_examples=12, deadline=None)
@given(texts=TEXTS, prompt=st.lists(st.integers(0, 500), max_size=40))
def test_requests_in_a_batch_give_what_each_gives_alone(
    small: LanguageModel, texts: list[list[int]], prompt: list[int]
) -> None:
    def opened(index: int) -> LmRequest:
        text, speech = texts[index], prompt[: 9 * index]
        decoding = UtteranceDecoding(small.config, text, prompt, speech, n_ids=(0, 6 + 3 * index))
        return small.open(decoding, seed=index)

    alone = [generated(small, [opened(index)])[0] for index in range(len(texts))]
    together = generated(small, [opened(index) for index in range(len(texts))])
    assert together == alone
    assert small.cache.n_free == 6


@settings(max_examples=20, deadline=None)
@given(pieces=st.lists(st.integers(1, 4), min_size=1, max_size=4), others=st.integers(0, 3))
def test_positions_read_in_pieces_give_what_they_give_at_once(
    small: LanguageModel, pieces: list[int], others: int
) -> None:
    symbols = [(7 * n) % 500 for n in range(sum(pieces))]
    taken = [small.cache.take() for _ in range(others + 2)]
    whole = small.hidden_states([symbols], [taken[-2]])[0]
    at, parts = 0, []
    for size in pieces:
        parts.append(small.hidden_states([symbols[at : at + size]], [taken[-1]])[0])
        at += size
    assert float((torch.cat(parts) - whole).abs().max()) < HIDDEN_TOLERANCE
    for slot in taken:
        small.cache.give_back(slot)


def test_a_closed_request_leaves_its_slot_to_the_next(small: LanguageModel) -> None:
    decoding = UtteranceDecoding(small.config, [1, 2, 3])
    requests = [small.open(decoding) for _ in range(6)]
    with pytest.raises(EngineFailed, match="as many texts are being spoken"):
        small.open(decoding)
    small.step(requests[:1])
    small.close(requests[0])
    assert small.cache.n_free == 1
    again = small.open(UtteranceDecoding(small.config, [1, 2, 3], n_ids=(1, 9)), seed=5)
    fresh = generated(small, [again])
    for request in requests[1:]:
        small.close(request)
    same = small.open(UtteranceDecoding(small.config, [1, 2, 3], n_ids=(1, 9)), seed=5)
    assert generated(small, [same]) == fresh
    with pytest.raises(ValueError, match="free already"):
        small.close(same)


def test_an_utterance_is_no_shorter_and_no_longer_than_it_may_be(small: LanguageModel) -> None:
    eos = small.config.eos
    decoding = UtteranceDecoding(small.config, [1, 2])
    assert decoding.banned == (eos, eos + 1, eos + 2)
    for number in range(4):
        assert decoding.advance(number) == number
    assert decoding.banned == ()
    for number in range(36):
        assert not decoding.finished
        decoding.advance(number)
    assert decoding.finished
    assert decoding.feed == ()
    assert UtteranceDecoding(small.config, []).finished  # no text, no audio
    released = UtteranceDecoding(small.config, [1, 2], as_released=True)
    assert released.banned == (eos,)
    assert released.advance(eos + 2) is None
    assert released.finished


@settings(deadline=None)
@given(
    pieces=st.lists(st.lists(st.integers(0, 500), min_size=1, max_size=7), max_size=8),
    prompt=st.tuples(st.integers(0, 30), st.integers(0, 70)),
    draws=st.lists(st.integers(0, 6563), max_size=400),
)
def test_streamed_text_is_read_once_in_order_and_ends(
    small: LanguageModel, pieces: list[list[int]], prompt: tuple[int, int], draws: list[int]
) -> None:
    """Whatever is drawn: all text and all prompt speech is read, nothing twice, and there is an end."""
    config, symbols = small.config, Symbols.of(small.config)
    prompt_text, prompt_speech = list(range(500, 500 + prompt[0])), list(range(6000, 6000 + prompt[1]))
    decoding = BistreamDecoding(config, prompt_text, prompt_speech)
    read: list[int] = []
    emitted: list[int] = []
    numbers = iter(draws)

    def decode() -> None:
        while decoding.feed:
            read.extend(decoding.feed)
            drawn = decoding.forced
            while drawn is None:
                drawn = next(numbers, len(emitted) % 6000 if not decoding.finished else config.eos)
                drawn = None if drawn in decoding.banned else drawn
            if (number := decoding.advance(drawn)) is not None:
                emitted.append(number)

    for piece in pieces:
        decoding.add_text(piece)
        decode()
    assert not decoding.finished
    decoding.end_text()
    decode()
    assert decoding.finished
    text = [number for piece in pieces for number in piece]
    if not text:
        assert emitted == []
        return
    assert [symbol for symbol in read if symbol < symbols.n_text] == prompt_text + text
    assert read.count(symbols.sos) == read.count(symbols.task) == 1
    speech = [symbol - symbols.n_text for symbol in read if symbols.n_text <= symbol < symbols.sos]
    rest = [number for number in speech if number not in prompt_speech or number in emitted]
    assert [number for number in speech if number in set(prompt_speech) - set(emitted)] == [
        number for number in prompt_speech if number not in emitted
    ]
    assert len(rest) >= len(emitted) - 1  # the last one is not read
    assert len(emitted) <= 20 * len(text) + 15
    assert all(number < config.eos for number in emitted)


def test_weights_that_do_not_fit_are_named(small: LanguageModel) -> None:
    state = dict(small.model.state_dict())
    state["llm_decoder.bias"] = torch.zeros(3)
    state["extra"] = state.pop("llm_embedding.weight")
    wanted = (
        r"weights of llm do not fit the configuration: missing: llm_embedding\.weight; unexpected: extra; "
        r"wrong shape: llm_decoder\.bias has \[3\] instead of \[6564\]"
    )
    with pytest.raises(CheckpointMismatch, match=wanted):
        load_text_speech_model(state, small.config, CPU, torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(small: LanguageModel, dtype: torch.dtype) -> None:
    config = load_configuration(SELECTION / "model_dir")
    model = load_text_speech_model(small.model.state_dict(), config.llm, CPU, dtype)
    half = LanguageModel(model, config.llm, config.sampling, max_requests=1, capacity=64)
    symbols = [list(range(40))]
    slot = small.cache.take()
    whole = small.hidden_states(symbols, [slot])
    small.cache.give_back(slot)
    near = half.hidden_states(symbols, [half.cache.take()])
    assert near.dtype is dtype
    assert float((near.float() - whole).abs().max()) < 0.1
    assert model.log_probs(near[:, -1]).dtype is torch.float32


def test_sizes_of_recorded_steps_are_few() -> None:
    assert [bucket(n, 1, 12) for n in (1, 2, 3, 5, 9, 12)] == [1, 2, 4, 8, 12, 12]
    assert [bucket(n, 256, 2048) for n in (1, 256, 257, 1500, 2048)] == [256, 256, 512, 2048, 2048]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_recorded_steps_give_what_single_kernels_give(small: LanguageModel) -> None:
    device = torch.device("cuda")
    model = load_text_speech_model(small.model.state_dict(), small.config, device, torch.float32)
    recorded = LanguageModel(model, small.config, small.sampling, max_requests=6, capacity=160)

    def generations(lm: LanguageModel) -> list[list[int]]:
        texts = [[1, 2, 3], [4, 5], [6, 7, 8, 9]]
        decodings = [UtteranceDecoding(lm.config, text, n_ids=(5, 10 + len(text))) for text in texts]
        return generated(lm, [lm.open(decoding, seed=index) for index, decoding in enumerate(decodings)])

    assert generations(recorded) == generations(small)
