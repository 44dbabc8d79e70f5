"""What other processes say: workers of the recogniser, a server that is looked at, and plans of what is to go wrong."""

from __future__ import annotations

import contextlib
import io

from rich.console import Console

from fuzz.harness import Fuzzer
from fuzz.mutation import mutated_json
from talkover.asr.worker_frames import DecodedWords, Frame, FrameReader, encode
from talkover.chaos.plan import decode_plan
from talkover.top import ServerSilent, drawn, plain, read_snapshot, seen


def fuzz_worker_frames(data: bytes) -> None:
    """A stream of frames: the same however it arrives, nothing lost or added; and the words in each."""
    whole, pieces = _frames([data]), _frames([data[at : at + 7] for at in range(0, len(data), 7)])
    assert whole == pieces
    assert data.startswith(b"".join(map(encode, whole)))
    for frame in whole:
        with contextlib.suppress(ValueError):
            decoded = DecodedWords.from_bytes(frame.payload)
            assert DecodedWords.from_bytes(decoded.to_bytes()) == decoded
            assert " ".join(decoded.words) is not None


def _frames(pieces: list[bytes]) -> list[Frame]:
    """Up to where the stream is broken."""
    reader, found = FrameReader(), list[Frame]()
    with contextlib.suppress(ValueError):
        for piece in pieces:
            for frame in reader.feed(piece):
                found.append(frame)
    return found


def fuzz_fault_plan(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        plan = decode_plan(data.decode("utf-8", "surrogateescape"))
        assert decode_plan(plan.encode()) == plan


def fuzz_sessions_top(data: bytes) -> None:
    """Two answers, a line each: they can be shown, or it is told why not."""
    first, _, second = data.partition(b"\n")
    try:
        before, snapshot = read_snapshot(first), read_snapshot(second)
    except ServerSilent:
        return
    for state in (seen(before, None), seen(snapshot, before)):
        assert plain(state).count("\n") == 0
        screen = Console(width=140, file=io.StringIO(), force_terminal=False)
        screen.print(drawn(state, "http://desk:8000", 20))


FUZZERS = (
    Fuzzer("worker_frames", fuzz_worker_frames),
    Fuzzer("fault_plan", fuzz_fault_plan, mutate=mutated_json),
    Fuzzer("sessions_top", fuzz_sessions_top, mutate=mutated_json),
)
