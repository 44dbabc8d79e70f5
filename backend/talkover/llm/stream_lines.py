"""Lines of a response body that may never end one: a server out of order must not fill the memory."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from talkover.engines import EngineFailed

MAX_LINE_CHARACTERS = 4_000_000
"""of one event; a whole answer in one piece has some 10 000"""

_ENDS = re.compile(r"[\r\n]")
"""of a line of an event stream (HTML standard, 9.2.5): not U+2028 and others, which JSON may hold unescaped"""


async def stream_lines(pieces: AsyncIterator[str], host: str) -> AsyncIterator[str]:
    """The lines of a text that comes in any pieces, without empty ones. Raises EngineFailed for one too long."""
    held: list[str] = []
    size = 0
    async for piece in pieces:
        *ended, rest = _ENDS.split(piece)
        for part in ended:
            line = "".join([*held, part])
            held, size = [], 0
            if line.strip():
                yield line
        held.append(rest)
        size += len(rest)
        if size > MAX_LINE_CHARACTERS:
            raise EngineFailed(f"{host}: sent a line of more than {MAX_LINE_CHARACTERS} characters")
    if last := "".join(held).strip():
        yield last
