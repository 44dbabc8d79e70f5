"""What a fuzzer is, and the limits each of its inputs has.

A fuzzer is a function of bytes that feeds one parser. It swallows the errors which the parser documents and raises on
everything else: another exception, a result that breaks a promise of the parser's docstring, more than `CPU_LIMIT_S` of
processor time, more than `MEMORY_LIMIT_BYTES` of memory.
"""

from __future__ import annotations

import contextlib
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType, TracebackType

from fuzz.mutation import mutated

CPU_LIMIT_S = 5.0
"""of the processor's time, so that a busy machine changes nothing; what a good input takes is a thousandth of it"""
MEMORY_LIMIT_BYTES = 512 << 20
"""by which one input may raise the resident memory: the largest limits of the parsers themselves are 200 MiB"""

_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))")
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"\\": b"\\"}

CORPUS = Path(__file__).parent / "corpus"
Mutate = Callable[[bytes, Random, "tuple[bytes, ...]", int], bytes]


class LimitExceeded(BaseException):
    """An input took too long or too much. No Exception: parsers that catch every one must not hide it."""


@dataclass(frozen=True, slots=True)
class Fuzzer:
    """One parser under test."""

    name: str
    fuzz: Callable[[bytes], None]
    """raises on a defect, and on nothing else"""
    max_bytes: int = 8192
    """of an input; large enough that a parser of quadratic cost exceeds its time"""
    mutate: Mutate = mutated
    """another input from one: for formats in which blind changes break the envelope"""

    @property
    def words(self) -> tuple[bytes, ...]:
        """Of the parser's language, which mutation puts in: the lines of `words/NAME.txt`, where `\\x00` is a byte."""
        path = Path(__file__).parent / "words" / f"{self.name}.txt"
        return tuple(map(_unescaped, path.read_bytes().splitlines())) if path.is_file() else ()

    def run(self, data: bytes) -> None:
        """`fuzz` within the limits. Raises LimitExceeded, and what `fuzz` raises."""
        with cpu_limit(CPU_LIMIT_S), memory_limit(MEMORY_LIMIT_BYTES):
            self.fuzz(data)

    def corpus(self) -> list[Path]:
        return sorted(path for path in (CORPUS / self.name).iterdir() if path.is_file())


@contextlib.contextmanager
def cpu_limit(limit_s: float) -> Iterator[None]:
    """Raises LimitExceeded in the main thread; code that never returns to Python is ended by who runs the fuzzer."""

    def exceeded(_signal: int, _frame: FrameType | None) -> None:
        raise LimitExceeded(f"takes more than {limit_s:g} s of processor time")

    before = signal.signal(signal.SIGPROF, exceeded)
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def memory_limit(limit_bytes: int) -> Iterator[None]:
    """Raises LimitExceeded when the peak of the resident memory rose by more."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as peak:  # Linux: the peak begins anew
        peak.write("5")
    before = _peak_bytes()
    yield
    if (grown := _peak_bytes() - before) > limit_bytes:
        raise LimitExceeded(f"takes {grown >> 20} MiB of memory, more than {limit_bytes >> 20}")


def _unescaped(line: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()) if match[1] else _ESCAPED[match[2]], line)


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def signature(defect: BaseException) -> str:
    """The same for inputs that show the same defect: what was raised, and where.

    Of a limit the place is left to the innermost function of ours: time runs out on any line of a loop.
    """
    frames = list(_frames(defect.__traceback__))
    own = [frame for frame in frames if "/talkover/" in frame[0] or "/tests/fuzz/" in frame[0]] or frames
    is_limit = isinstance(defect, (LimitExceeded, RecursionError))
    places = [f"{Path(file).name}:{function if is_limit else line}" for file, function, line in own]
    told = dict.fromkeys(place for place in places if not place.startswith(("harness.py", "run.py")))
    return " ".join([type(defect).__name__, *list(told)[-2:]])


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, str, int]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield code.co_filename, code.co_name, trace.tb_lineno
        trace = trace.tb_next
