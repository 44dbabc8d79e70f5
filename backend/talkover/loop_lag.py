"""How late an event loop is: what a busy socket side adds to every frame."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

EVERY_S = 0.25


async def watch_loop_lag(observe: Callable[[float], None]) -> None:
    """Tell `observe` again and again by how many seconds a timer fired late, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        observe(max(0.0, loop.time() - due_s))
