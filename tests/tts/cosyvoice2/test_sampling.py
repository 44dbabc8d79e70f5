"""Repetition-aware sampling against the released code's draws and the closed form of its distribution."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import on_every_pack, read_json

pytest.importorskip("torch", reason="needs the extra 'full'")

import torch
from safetensors.torch import load_file

from talkover.tts.cosyvoice2.configuration import SamplingConfig
from talkover.tts.cosyvoice2.decode_step import recent_ids
from talkover.tts.cosyvoice2.sampling import NO_ID, draw, draw_as_released, final_probabilities, nucleus

TOLERANCE = 1e-6
RULE = SamplingConfig()


@on_every_pack
def test_the_nucleus_and_the_distribution_are_those_of_the_released_code(golden: Path) -> None:
    tensors = load_file(golden / "ras_cases.safetensors")
    for name, case in read_json(golden / "ras_cases.json")["cases"].items():
        log_probs = tensors[f"{name}.logp"]
        probs, ids = nucleus(log_probs[None], RULE)
        kept = probs[0] > 0
        assert ids[0][kept].tolist() == case["nucleus_ids"], name
        wanted = tensors[f"{name}.nucleus_prob"]
        shares = probs[0][kept] * (wanted.sum() / probs[0][kept].sum())
        assert float((shares - wanted).abs().max()) < TOLERANCE
        final = final_probabilities(log_probs, case["history"], RULE)
        assert float((final - tensors[f"{name}.final_prob"]).abs().max()) < TOLERANCE, name


@on_every_pack
def test_seeded_draws_are_those_of_the_released_code(golden: Path) -> None:
    tensors = load_file(golden / "ras_cases.safetensors")
    for name, case in read_json(golden / "ras_cases.json")["cases"].items():
        drawn = [
            draw_as_released(tensors[f"{name}.logp"], case["history"], RULE, torch.Generator().manual_seed(seed))
            for seed in range(24)
        ]
        assert drawn == case["draws_for_manual_seed_0_to_23"], name


def share_of_each(log_probs: torch.Tensor, history: list[int], n: int) -> torch.Tensor:
    """How often each id comes out over an even grid of n x n random numbers."""
    grid = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    uniform = torch.cartesian_prod(grid, grid)
    recent = torch.tensor([recent_ids(history, RULE.win_size)]).expand(n * n, -1)
    drawn = draw(log_probs.expand(n * n, -1), recent, uniform, RULE)
    return torch.bincount(drawn, minlength=log_probs.shape[-1]) / (n * n)


@settings(max_examples=30, deadline=None)
@given(
    logits=st.lists(st.floats(-6, 6), min_size=4, max_size=30),
    history=st.lists(st.integers(0, 29), max_size=14),
)
def test_the_batched_draw_follows_the_closed_form(logits: list[float], history: list[int]) -> None:
    log_probs = torch.tensor(logits).log_softmax(-1)
    history = [number % len(logits) for number in history]
    wanted = final_probabilities(log_probs, history, RULE)
    n = 120
    # each border between two ids on the grid is off by at most one of its lines, in either direction
    assert float((share_of_each(log_probs, history, n) - wanted).abs().max()) < 4 / n


@given(
    number=st.integers(0, 5), uniform=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
)
def test_what_is_banned_is_never_drawn(number: int, uniform: tuple[float, float]) -> None:
    log_probs = torch.full((6,), -torch.inf)
    log_probs[number] = 0.0
    log_probs[(number + 1) % 6] = -40.0
    recent = torch.tensor([recent_ids([number], RULE.win_size)])
    drawn = draw(log_probs[None], recent, torch.tensor([uniform], dtype=torch.float64), RULE)
    assert drawn.tolist() == [(number + 1) % 6]  # the likely one is repeated, the rest is one id
    drawn = draw(log_probs[None], torch.full((1, 10), NO_ID), torch.tensor([uniform], dtype=torch.float64), RULE)
    assert drawn.tolist() == [number]
