"""Memory of ended conversations, given back while others go on.

A session that has ended is a web of objects that know each other: only a full collection of garbage frees it, and it
holds a megabyte or two. Left to itself, Python came to that once in half an hour, and then stopped every conversation
for 0.1 s, because it looked at everything that had been loaded, too. What is freed then lies in holes between what is
still used, in a heap for every few threads. Eight callers made a server grow by 20 MiB a minute in that way.

The C library is asked for what only glibc offers; another one is left alone.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Callable

EVERY_S = 10.0
HEAPS = 2
"""shared by all threads; glibc makes eight for each core, and each keeps holes of its own"""
M_ARENA_MAX = -8
"""of glibc's malloc.h"""


def use_few_heaps() -> None:
    """Before threads begin."""
    _libc("mallopt")(M_ARENA_MAX, HEAPS)


def keep_what_is_loaded() -> None:
    """All objects that are there now stay: no collection looks at them again, so that one takes milliseconds."""
    gc.collect()
    gc.freeze()


async def give_memory_back() -> None:
    """Collect garbage and give what is free to the system, again and again, until cancelled."""
    trim = _libc("malloc_trim")
    while True:
        await asyncio.sleep(EVERY_S)
        gc.collect()
        await asyncio.to_thread(trim, 0)


def _libc(name: str) -> Callable[..., int]:
    """A function of the C library; one that does nothing where it has none of that name."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # other libraries; Windows
        return lambda *_: 0
