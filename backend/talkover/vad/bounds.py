"""Keeping numbers within bounds."""

from __future__ import annotations

import math


def clamped(value: float, low: float, high: float) -> float:
    """`value`, or the bound it is beyond; NaN, as of a broken microphone, is the lower one."""
    return low if math.isnan(value) else min(max(value, low), high)
