"""From text to speech ids: text front end, tokenizer, language model, sampling, streamed text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch

from talkover.engines import EngineFailed
from talkover.tts.cosyvoice2.bistream import BistreamDecoding
from talkover.tts.cosyvoice2.configuration import LlmConfig
from talkover.tts.cosyvoice2.decoding import Symbols, UtteranceDecoding
from talkover.tts.cosyvoice2.parity_check import Check, Pack
from talkover.tts.cosyvoice2.sampling import draw_as_released, final_probabilities, nucleus
from talkover.tts.cosyvoice2.text_frontend import TracedText, normalized, only_punctuation, pieces, spelled_out
from talkover.tts.cosyvoice2.tokenizer import load_tokenizer

HIDDEN, LOG_PROB, PROBABILITY = 2e-5, 1e-4, 1e-6
_SEEDS = 24


def language_model(pack: Pack) -> Iterator[Check]:
    lm, document = pack.lm, pack.document("lm_cases")
    for name, case in document["cases"].items():
        yield from _hidden_states(pack, name, case["feeds"])
        decoding = UtteranceDecoding(
            lm.config, case["text"], case["prompt_text"], case["prompt_speech"], as_released=True
        )
        feeds: list[tuple[int, ...]] = []
        masked: list[bool] = []
        for number in case["forced_tokens"] + [lm.config.eos] * case["ends_with_eos"]:
            feeds.append(decoding.feed)
            masked.append(lm.config.eos in decoding.banned)
            decoding.advance(number)
        yield Check.equal("what is fed", feeds, [_symbols(names, lm.config) for names in case["feeds"]])
        yield Check.equal("when the end is masked", masked, case["eos_masked_at_step"])
    for run in document["sampled"]:
        case = document["cases"][run["inputs"]]
        decoding = UtteranceDecoding(
            lm.config, case["text"], case["prompt_text"], case["prompt_speech"], as_released=True
        )
        request = lm.open(decoding, released_generator=torch.Generator().manual_seed(run["manual_seed"]))
        ids: list[int] = []
        while not request.finished:
            ids += [number for number in lm.step([request]) if number is not None]
        lm.close(request)
        yield Check.equal("seeded generations", ids, run["tokens"])


def bistream(pack: Pack) -> Iterator[Check]:
    config = pack.lm.config
    for name, case in pack.document("lm_cases")["bistream"].items():
        yield from _hidden_states(pack, f"bi.{name}", case["feeds"])
        try:
            feeds, masked, emitted = _bistream_run(case, config)
        except EngineFailed as error:
            yield Check.equal("errors", case["error"] is not None and case["error"] in str(error), True)
            continue
        yield Check.equal("errors", case["error"], None)
        yield Check.equal("what is fed", feeds, [_symbols(names, config) for names in case["feeds"]])
        yield Check.equal("when the end is masked", masked, case["eos_masked_at_sampler_call"])
        yield Check.equal("ids", emitted, case["emitted"])


def sampling(pack: Pack) -> Iterator[Check]:
    g, rule = pack.tensors("ras_cases"), pack.config.sampling
    for name, case in pack.document("ras_cases")["cases"].items():
        log_probs, wanted = g[f"{name}.logp"], g[f"{name}.nucleus_prob"]
        probs, ids = nucleus(log_probs[None], rule)
        kept = probs[0] > 0
        yield Check.equal("nucleus", ids[0][kept].tolist(), case["nucleus_ids"])
        shares = probs[0][kept] * (wanted.sum() / probs[0][kept].sum())
        yield Check.near("nucleus probabilities", shares, wanted, PROBABILITY)
        final = final_probabilities(log_probs, case["history"], rule)
        yield Check.near("final probabilities", final, g[f"{name}.final_prob"], PROBABILITY)
        draws = [
            draw_as_released(log_probs, case["history"], rule, torch.Generator().manual_seed(seed))
            for seed in range(_SEEDS)
        ]
        yield Check.equal("seeded draws", draws, case["draws_for_manual_seed_0_to_23"])


def text(pack: Pack) -> Iterator[Check]:
    document = pack.document("text_frontend")
    for case in document["cases"]:
        split = [piece.text for piece in pieces(case["text"], _words_and_signs)]
        yield Check.equal("pieces", split, case["split"])
        yield Check.equal("normalised", normalized(case["text"]).text, case["joined"])
    for digits, wanted in document["spell_out_number"].items():
        yield Check.equal("numbers", TracedText.of(digits).sub(r"\d+", spelled_out).text, wanted)
    for signs, wanted in document["is_only_punctuation"].items():
        yield Check.equal("punctuation", only_punctuation(signs), wanted)
    tokenizer = load_tokenizer(pack.folder / "model_dir", pack.config.llm.qwen.vocab_size)
    cases = pack.document("frontend_cases")
    for written, ids in [*cases["tokenizer"]["encode"].items(), *cases["tokenizer"]["specials"].items()]:
        yield Check.equal("tokenizer", tokenizer.encode(written), ids)
    stream = cases["text_stream_chunks"]
    ids = [[number] for written in stream["input"] for number in tokenizer.encode(written)]
    yield Check.equal("streamed text", ids, stream["pieces"])


def _hidden_states(pack: Pack, prefix: str, feeds: list[list[str]]) -> Iterator[Check]:
    """Of every forward of a case: the last position's, the first forward's all."""
    lm, g = pack.lm, pack.tensors("lm_cases")
    slot = lm.cache.take()
    steps = [lm.hidden_states([_symbols(names, lm.config)], [slot])[0] for names in feeds]
    lm.cache.give_back(slot)
    last = torch.stack([hidden[-1] for hidden in steps])
    yield Check.near("hidden states", last, g[f"{prefix}.step_hidden"], HIDDEN)
    if f"{prefix}.prefill_hidden" in g:
        yield Check.near("hidden states", steps[0], g[f"{prefix}.prefill_hidden"], HIDDEN)
    if f"{prefix}.step_logp" in g:
        yield Check.near("log-probabilities", lm.model.log_probs(last), g[f"{prefix}.step_logp"], LOG_PROB)


def _symbols(names: list[str], config: LlmConfig) -> tuple[int, ...]:
    """Symbols of recorded names: sos, task, text:ID, speech:ID."""
    symbols = Symbols.of(config)
    offsets = {"sos": symbols.sos, "task": symbols.task, "text": 0, "speech": symbols.n_text}
    return tuple(offsets[kind] + int(number or 0) for kind, _, number in (name.partition(":") for name in names))


def _bistream_run(case: Any, config: LlmConfig) -> tuple[list[tuple[int, ...]], list[bool], list[int]]:
    """What is fed, whether the end is masked at each draw, and what comes out, with the draws recorded."""
    decoding = BistreamDecoding(config, case["prompt_text"], case["prompt_speech"], as_released=True)
    arriving, draws = iter(case["text_chunks"]), iter(case["sampler_returns"])
    feeds: list[tuple[int, ...]] = []
    masked: list[bool] = []
    emitted: list[int] = []
    while not decoding.finished:
        if not decoding.feed:
            piece = next(arriving, None)
            if piece is None:
                decoding.end_text()
            else:
                decoding.add_text(piece)
            continue
        feeds.append(decoding.feed)
        drawn = decoding.forced
        if drawn is None:
            masked.append(config.eos in decoding.banned)
            drawn = next(draws)
        if (number := decoding.advance(drawn)) is not None:
            emitted.append(number)
    return feeds, masked, emitted


def _words_and_signs(text: str) -> int:
    """The length of a text as it was counted for the recorded pieces."""
    return len(re.findall(r"\w+|[^\w\s]", text))
