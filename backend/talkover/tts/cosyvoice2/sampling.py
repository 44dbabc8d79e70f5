"""Repetition-aware sampling (VALL-E 2, arXiv 2406.05370, section 4.2): from log-probabilities to the next speech id.

An id is drawn from the nucleus; when it is among the last ones drawn, it is set aside and another is drawn from the
whole rest of the distribution. `draw` does this for a batch in tensor operations alone, so that it can be part of a
CUDA graph; `draw_as_released` makes the random calls of the released code in its order, for its seeded results.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from talkover.tts.cosyvoice2.configuration import SamplingConfig

NO_ID = -1
"""fills the window of recent ids where fewer have been drawn"""


def nucleus(log_probs: Tensor, config: SamplingConfig) -> tuple[Tensor, Tensor]:
    """The candidates of each row: probabilities and ids, most probable first, of equal ones the lowest id.

    `log_probs`: (B, V). Returns (B, k) and (B, k), k = top_k; the probabilities are those of the whole distribution and
    0 from the end of the nucleus on. The candidate that crosses top_p is part of it.
    """
    ranked, ids = log_probs.softmax(-1).sort(dim=-1, descending=True, stable=True)
    ranked, ids = ranked[..., : config.top_k], ids[..., : config.top_k]  # (B, k)
    mass_before = ranked.cumsum(-1) - ranked
    return ranked * (mass_before < config.top_p), ids


def is_repeated(ids: Tensor, recent: Tensor, config: SamplingConfig) -> Tensor:
    """(B,) bool: whether each of `ids` (B,) is too frequent among `recent` (B, win_size)."""
    return (recent == ids[:, None]).sum(-1) >= config.win_size * config.tau_r


def draw(log_probs: Tensor, recent: Tensor, uniform: Tensor, config: SamplingConfig) -> Tensor:
    """(B,) int64 ids.

    `log_probs`: (B, V), -inf for what must not be drawn. `recent`: (B, win_size) the last ids, `NO_ID` where there are
    none. `uniform`: (B, 2) float64 in [0, 1): one number for the nucleus, one for the second draw.
    """
    probs, ids = nucleus(log_probs, config)
    rank = _inverse_cdf(probs, uniform[:, 0])
    first = ids.gather(-1, rank[:, None])[:, 0]  # (B,)
    rest = log_probs.scatter(-1, first[:, None], -torch.inf).softmax(-1)  # (B, V)
    second = _inverse_cdf(rest, uniform[:, 1])
    return torch.where(is_repeated(first, recent, config), second, first)


def draw_as_released(
    log_probs: Tensor, history: Sequence[int], config: SamplingConfig, generator: torch.Generator | None = None
) -> int:
    """One id from (V,) log-probabilities, with the random calls of the released code in its order.

    `history`: all ids drawn so far. `generator`: none for torch's global one.
    """
    probs, ids = nucleus(log_probs[None], config)
    kept = probs[0] > 0
    rank = probs[0][kept].multinomial(1, replacement=True, generator=generator)
    first = int(ids[0][kept][rank])
    recent = history[-config.win_size :]
    if sum(number == first for number in recent) < config.win_size * config.tau_r:
        return first
    rest = log_probs.index_fill(0, torch.tensor([first], device=log_probs.device), -torch.inf)
    return int(rest.softmax(-1).multinomial(1, replacement=True, generator=generator))


def final_probabilities(log_probs: Tensor, history: Sequence[int], config: SamplingConfig) -> Tensor:
    """(V,) the probability of each id to come out of both draws, in closed form, for (V,) log-probabilities."""
    probs, ids = nucleus(log_probs[None], config)
    total = torch.zeros_like(log_probs)
    recent = history[-config.win_size :]
    for number, share in zip(ids[0].tolist(), (probs[0] / probs[0].sum()).tolist(), strict=True):
        if recent.count(number) < config.win_size * config.tau_r:
            total[number] += share
        elif share > 0:
            rest = log_probs.clone()
            rest[number] = -torch.inf
            total += share * rest.softmax(-1)
    return total


def _inverse_cdf(weights: Tensor, uniform: Tensor) -> Tensor:
    """(B,) indices drawn with probability proportional to `weights` (B, n), by one number in [0, 1) per row."""
    cumulative = weights.double().cumsum(-1)
    total = cumulative[:, -1]
    target = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    return (cumulative <= target[:, None]).sum(-1)
