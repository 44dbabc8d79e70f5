"""The lag of an event loop is what it was kept from."""

from __future__ import annotations

import asyncio
import time

from talkover.loop_lag import EVERY_S, watch_loop_lag


def test_a_loop_that_is_kept_busy_is_late_by_as_much() -> None:
    lags_s: list[float] = []

    async def busy() -> None:
        watching = asyncio.create_task(watch_loop_lag(lags_s.append))
        await asyncio.sleep(EVERY_S / 2)
        time.sleep(EVERY_S)  # what nobody may do on a loop
        while not lags_s:
            await asyncio.sleep(0)
        watching.cancel()

    asyncio.run(busy())
    assert EVERY_S / 2 - 0.02 <= lags_s[0] < 5
