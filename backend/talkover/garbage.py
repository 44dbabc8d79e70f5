"""Memory of ended conversations, given back while others go on.

A session that has ended is a web of objects that know each other: only a full collection of garbage frees it, and it
holds a megabyte or two. Left to itself, Python came to that once in half an hour, and then stopped every conversation
for 0.1 s, because it looked at everything that had been loaded, too. What is freed then lies in holes between what is
still used, in a heap for every few threads. Eight callers made a server grow by 20 MiB a minute in that way.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Callable

EVERY_S = 10.0


def keep_what_is_loaded() -> None:
    """All objects that are there now stay: no collection looks at them again, so that one takes milliseconds."""
    gc.collect()
    gc.freeze()


async def give_memory_back() -> None:
    """Collect garbage and give what is free to the system, again and again, until cancelled."""
    trim = _trim()
    while True:
        await asyncio.sleep(EVERY_S)
        gc.collect()
        await asyncio.to_thread(trim)


def _trim() -> Callable[[], object]:
    """malloc_trim(3) of glibc; where the C library has none, nothing."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # other libraries; Windows
        return lambda: None
    return lambda: malloc_trim(0)
