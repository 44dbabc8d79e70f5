"""Ids of the protocol's objects."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from itertools import count
from typing import Literal

Prefix = Literal["event_", "item_", "resp_", "call_", "sess_", "conv_"]
NextId = Callable[[Prefix], str]


def new_id(prefix: Prefix) -> str:
    """The prefix and 20 random alphanumerics (80 bits); stock clients store up to 32 characters of a call id."""
    return prefix + secrets.token_hex(10)


def seeded_ids(seed: str) -> NextId:
    """Ids as those of `new_id`, the same ones in the same order for the same seed: what a replay goes by.

    Who knows ids cannot tell the next one without the seed of at least 128 random bits.
    """
    key = hashlib.blake2b(seed.encode()).digest()
    numbers = count()

    def next_id(prefix: Prefix) -> str:
        number = next(numbers).to_bytes(8, "big")
        return prefix + hashlib.blake2b(number, key=key, digest_size=10).hexdigest()

    return next_id


def numbered_ids() -> NextId:
    """Ids that differ from each other and from nothing else: of items that nobody outside gets to see."""
    numbers = count(1)
    return lambda prefix: f"{prefix}{next(numbers)}"
