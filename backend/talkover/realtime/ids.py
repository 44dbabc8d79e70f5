"""Ids of the protocol's objects."""

from __future__ import annotations

import string
from random import SystemRandom
from typing import Literal

_ALPHANUMERIC = string.ascii_letters + string.digits
_random = SystemRandom()

Prefix = Literal["event_", "item_", "resp_", "call_", "sess_", "conv_"]


def new_id(prefix: Prefix) -> str:
    """The prefix and 20 random alphanumerics; 26 characters at most, where clients store up to 32."""
    return prefix + "".join(_random.choices(_ALPHANUMERIC, k=20))
