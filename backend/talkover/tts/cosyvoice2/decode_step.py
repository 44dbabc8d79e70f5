"""One step of decoding for a batch: read an id, forward, draw the next one, all in tensors.

On a GPU the step is recorded once as a CUDA graph per size of batch and cache and then replayed: a forward of 24 layers
is some 400 kernels, which take longer to be launched one by one than to run. The only thing the host waits for is the
ids drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from talkover.tts.cosyvoice2.configuration import SamplingConfig
from talkover.tts.cosyvoice2.key_value_cache import KeyValueCache, StepCache
from talkover.tts.cosyvoice2.sampling import NO_ID, draw

_SMALLEST_KEYS = 256
_WARMUP_RUNS = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class StepInputs:
    """What B requests bring to a step."""

    symbols: Tensor
    """(B, 1) int64: read now"""
    rows: Tensor
    """(B,) int64: of the cache"""
    positions: Tensor
    """(B, 1) int64"""
    banned: Tensor
    """(B, 3) bool: which of the ids beyond speech must not be drawn"""
    recent: Tensor
    """(B, win_size) int64"""
    uniform: Tensor
    """(B, 2) float64"""

    def tensors(self) -> tuple[Tensor, ...]:
        return self.symbols, self.rows, self.positions, self.banned, self.recent, self.uniform


class StepModel:
    """What a step needs to know besides its inputs."""

    def __init__(
        self,
        hidden: Callable[[Tensor, Tensor, StepCache, int], Tensor],
        log_probs: Callable[[Tensor], Tensor],
        cache: KeyValueCache,
        sampling: SamplingConfig,
        n_speech: int,
    ) -> None:
        """`hidden`: (symbols, positions, cache, n_keys) -> (B, T, d); `log_probs`: (B, d) -> (B, n_outputs) float32."""
        self.hidden, self.log_probs = hidden, log_probs
        self.cache, self.sampling, self.n_speech = cache, sampling, n_speech

    def drawn(self, inputs: StepInputs, n_keys: int, span: slice | None = None) -> Tensor:
        """(B,) int64: the id that follows in each row. `n_keys`, `span`: see `StepCache`."""
        cache = StepCache(self.cache, inputs.rows, inputs.positions, n_keys, span)
        hidden = self.hidden(inputs.symbols, inputs.positions, cache, n_keys)[:, -1]  # (B, d)
        log_probs = self.log_probs(hidden)
        beyond = log_probs[:, self.n_speech :].masked_fill(inputs.banned, -torch.inf)
        log_probs = torch.cat((log_probs[:, : self.n_speech], beyond), dim=-1)
        return draw(log_probs, inputs.recent, inputs.uniform, self.sampling)


class GraphedStep:
    """`StepModel.drawn` on a CUDA device, replayed."""

    def __init__(self, step: StepModel, spare_row: int, max_rows: int) -> None:
        """`spare_row`: a row of the cache that nobody reads, for the empty places of a batch."""
        self._step = step
        self._spare_row = spare_row
        self._max_rows = max_rows
        self._graphs: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, StepInputs, Tensor]] = {}

    def drawn(self, inputs: StepInputs, n_keys: int) -> Tensor:
        """As `StepModel.drawn`. The result is overwritten by the next call."""
        n_rows = inputs.rows.shape[0]
        size = bucket(n_rows, 1, self._max_rows), bucket(n_keys, _SMALLEST_KEYS, self._step.cache.capacity)
        if size not in self._graphs:
            self._graphs[size] = self._recorded(*size, inputs)
            log.info("recorded a decoding step for %d rows of %d positions", *size)
        graph, buffers, drawn = self._graphs[size]
        for buffer, value in zip(buffers.tensors(), inputs.tensors(), strict=True):
            buffer[:n_rows].copy_(value, non_blocking=True)
        buffers.rows[n_rows:].fill_(self._spare_row)
        buffers.positions[n_rows:].zero_()
        graph.replay()
        return drawn[:n_rows]

    def _recorded(self, n_rows: int, n_keys: int, like: StepInputs) -> tuple[torch.cuda.CUDAGraph, StepInputs, Tensor]:
        buffers = StepInputs(*(value.new_zeros((n_rows, *value.shape[1:])) for value in like.tensors()))
        buffers.rows.fill_(self._spare_row)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries set themselves up in the first runs, which must not be recorded
            for _ in range(_WARMUP_RUNS):
                self._step.drawn(buffers, n_keys)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            drawn = self._step.drawn(buffers, n_keys)
        return graph, buffers, drawn


def bucket(n: int, smallest: int, largest: int) -> int:
    """The next power of two that is a multiple of `smallest`, at most `largest`."""
    size = smallest
    while size < n:
        size *= 2
    return min(size, largest)


def recent_ids(history: Sequence[int], n: int) -> list[int]:
    """The last `n` ids, filled up in front."""
    newest = list(history[-n:])
    return [NO_ID] * (n - len(newest)) + newest
