"""Keys and values of all requests: one slot each in tensors made once, so that a batch needs no copying around.

`StepCache` is what the attention of `transformers` sees of them during one forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from talkover.engines import EngineFailed
from talkover.tts.cosyvoice2.configuration import QwenConfig


@dataclass(slots=True)
class CacheSlot:
    """What one request has of the cache."""

    row: int
    length: int = 0
    """positions written so far"""


class KeyValueCache:
    """Room for `n_slots` requests of at most `capacity` positions.

    On the CPU memory is committed only where it is written. The released size takes 25 kB per position in float32.
    """

    def __init__(
        self,
        config: QwenConfig,
        n_slots: int,
        capacity: int,
        device: torch.device,
        dtype: torch.dtype,
        n_spare: int = 0,
    ) -> None:
        """`n_spare`: rows behind the slots that no request gets."""
        shape = (n_slots + n_spare, config.num_key_value_heads, capacity, config.head_dim)
        # zeros, not whatever was in memory: a weight of 0 does not hide a NaN
        self.keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(config.num_hidden_layers)]
        self.values = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(config.num_hidden_layers)]
        self.capacity = capacity
        self._free = list(range(n_slots))
        """rows nobody has, ascending: low rows first, so that those in use lie together"""

    @property
    def n_free(self) -> int:
        return len(self._free)

    def take(self) -> CacheSlot:
        """Raises EngineFailed when every slot is taken."""
        if not self._free:
            raise EngineFailed("as many texts are being spoken as the language model has room for")
        return CacheSlot(self._free.pop(0))

    def give_back(self, slot: CacheSlot) -> None:
        if slot.row in self._free:
            raise ValueError(f"row {slot.row} is free already")
        self._free.append(slot.row)
        self._free.sort()

    def bytes_per_position(self) -> int:
        return 2 * sum(keys[0, :, 0].nbytes for keys in self.keys)


class StepCache:
    """The cache as one forward of B rows and T new positions sees it."""

    def __init__(self, cache: KeyValueCache, rows: Tensor, positions: Tensor, n_keys: int, span: slice | None) -> None:
        """`rows`: (B,); `positions`: (B, T); `n_keys`: positions attended to, at least max(positions) + 1.

        `span`: the rows as a range, when they lie together; they are then read without being copied.
        """
        self._cache = cache
        self._rows = rows[:, None]  # (B, 1)
        self._positions = positions
        self._n_keys = n_keys
        self._read: slice | Tensor = rows if span is None else span

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_args: object, **_kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write (B, H, T, D) keys and values of a layer; all of the rows so far, (B, H, n_keys, D) each."""
        keys, values = self._cache.keys[layer_idx], self._cache.values[layer_idx]
        # rows and positions on both sides of the heads put (B, T) in front of them
        keys[self._rows, :, self._positions] = key_states.transpose(1, 2)
        values[self._rows, :, self._positions] = value_states.transpose(1, 2)
        return keys[self._read, :, : self._n_keys], values[self._read, :, : self._n_keys]


def span_of(rows: Sequence[int]) -> slice | None:
    """`rows` as a range; None when they are not consecutive."""
    first = rows[0]
    return slice(first, first + len(rows)) if list(rows) == list(range(first, first + len(rows))) else None
