"""Ids of the protocol's objects."""

from __future__ import annotations

import secrets
from typing import Literal

Prefix = Literal["event_", "item_", "resp_", "call_", "sess_", "conv_"]


def new_id(prefix: Prefix) -> str:
    """The prefix and 20 random alphanumerics (80 bits); stock clients store up to 32 characters of a call id."""
    return prefix + secrets.token_hex(10)
