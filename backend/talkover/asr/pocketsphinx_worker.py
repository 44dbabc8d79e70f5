"""The process in which utterances are decoded: pocketsphinx holds the GIL while it works.

`python -m talkover.asr.pocketsphinx_worker FOLDER` loads the language model of a folder, reports READY on stdout
and then serves the frames that come on stdin (see worker_frames.py). It decodes several utterances side by side in
short slices, those that are to be finished first. It ends when stdin closes, which also happens when its parent is
killed, and is ended by a watchdog that needs no GIL when one step hangs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talkover.asr.decoding import BYTES_PER_MS, Decoding, make_decoder
from talkover.asr.language_model import LanguageModelFiles, cached
from talkover.asr.worker_frames import Frame, FrameReader, Kind, encode

DECODERS = 4
"""utterances decoded side by side: as many conversations as a core carries. Further ones wait with their audio and
catch up at 10 times real time. All are made before READY: each takes 19 MB that no allocator gives back, and 50 ms in
which nothing is decoded, so that decoders made on demand would let a server grow and stutter for hours."""
SLICE_BYTES = 160 * BYTES_PER_MS
"""decoded in one go: about 16 ms of work"""
PARTIAL_EVERY_MS = 100
HANG_S = 20.0
READ_BYTES = 1 << 16


@dataclass(slots=True)
class _Utterance:
    waiting: bytearray = field(default_factory=bytearray)
    """audio that came before there was a decoder for it"""
    decoding: Decoding | None = None
    decoder: Any = None
    finishing: bool = False
    shown_ms: int = 0
    """the audio position of the newest partial that was sent"""


def next_up(left_bytes: Mapping[int, int | None]) -> list[int]:
    """Who gets a slice: of those whose final words were asked for, the one with least left to decode; else everybody.

    Slices shared among several would make all of them late, and a caller must not wait for a long file.
    `left_bytes`: utterance -> audio to decode before its final words, None while it goes on.
    """
    finishing = [(left, number) for number, left in left_bytes.items() if left is not None]
    return [min(finishing)[1]] if finishing else list(left_bytes)


class Decoders:
    """Utterances, decoders, and whose turn it is. Frames in, frames out through `reply`; no I/O of its own."""

    def __init__(self, make: Callable[[], Any], reply: Callable[[Frame], None]) -> None:
        self._reply = reply
        self._free = [make() for _ in range(DECODERS)]
        self._utterances: dict[int, _Utterance] = {}

    def handle(self, frame: Frame) -> None:
        """Take a request; only PING is answered at once."""
        if frame.kind == Kind.PING:
            self._reply(Frame(Kind.PONG))
        elif frame.kind == Kind.DROP:
            self._forget(frame.utterance)
        elif frame.kind in (Kind.AUDIO, Kind.FINISH):
            utterance = self._utterances.setdefault(frame.utterance, _Utterance())
            if utterance.decoding is not None:
                utterance.decoding.feed(frame.payload)
            else:
                utterance.waiting += frame.payload
            utterance.finishing |= frame.kind == Kind.FINISH

    def step(self) -> bool:
        """Decode a slice of whoever is next; whether there is more to do."""
        self._assign()
        left_bytes = {
            number: item.decoding.pending_bytes if item.finishing else None
            for number, item in self._utterances.items()
            if item.decoding is not None
        }
        for number in next_up(left_bytes):
            self._advance(number, self._utterances[number])
        return any(
            utterance.finishing or (utterance.decoding is not None and utterance.decoding.pending_bytes)
            for utterance in self._utterances.values()
        )

    def _advance(self, number: int, utterance: _Utterance) -> None:
        decoding = utterance.decoding
        assert decoding is not None
        decoding.step(SLICE_BYTES)
        if utterance.finishing and not decoding.pending_bytes:
            self._reply(Frame(Kind.FINAL, number, decoding.finish().to_bytes()))
            self._release(utterance)
            del self._utterances[number]
        elif decoding.decoded_ms >= utterance.shown_ms + PARTIAL_EVERY_MS:
            utterance.shown_ms = decoding.decoded_ms
            self._reply(Frame(Kind.PARTIAL, number, decoding.partial().to_bytes()))

    def _assign(self) -> None:
        """Give decoders to waiting utterances, first to those to be finished: they may take one from a live one."""
        waiting = [utterance for utterance in self._utterances.values() if utterance.decoding is None]
        for utterance in sorted(waiting, key=lambda utterance: not utterance.finishing):
            if not self._free and utterance.finishing:
                self._take_back()
            if not self._free:
                return
            utterance.decoder = self._free.pop()
            utterance.decoding = Decoding(utterance.decoder)
            utterance.decoding.feed(bytes(utterance.waiting))
            utterance.waiting.clear()

    def _take_back(self) -> None:
        """Free the decoder that has done least for an utterance still going on, which then waits with its audio."""
        live = [item for item in self._utterances.values() if item.decoding is not None and not item.finishing]
        if live:
            victim = min(live, key=lambda item: item.decoding.decoded_ms if item.decoding is not None else 0)
            assert victim.decoding is not None
            victim.waiting += victim.decoding.abandon()
            self._release(victim)

    def _forget(self, number: int) -> None:
        utterance = self._utterances.pop(number, None)
        if utterance is not None and utterance.decoding is not None:
            utterance.decoding.abandon()
            self._release(utterance)

    def _release(self, utterance: _Utterance) -> None:
        self._free.append(utterance.decoder)
        utterance.decoding = utterance.decoder = None


def _serve(files: LanguageModelFiles, requests: int, replies: int) -> None:
    """Serve until `requests` (a file descriptor) reaches its end or `replies` is closed by the other side."""

    def reply(frame: Frame) -> None:
        data = encode(frame)
        while data:
            data = data[os.write(replies, data) :]

    decoders = Decoders(lambda: make_decoder(files), reply)
    reply(Frame(Kind.READY))
    reader = FrameReader()
    busy = False
    while True:
        faulthandler.cancel_dump_traceback_later()
        readable, _, _ = select.select([requests], [], [], 0 if busy else None)
        if readable:
            data = os.read(requests, READ_BYTES)
            if not data:
                return
            for frame in reader.feed(data):
                decoders.handle(frame)
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        busy = decoders.step()


def main(arguments: Sequence[str]) -> int:
    files = cached(Path(arguments[0]))
    if files is None:
        sys.stderr.write(f"asr: there is no language model in {arguments[0]}\n")
        return 1
    # replies own the original stdout: nothing a library prints may get between the frames
    replies = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(BrokenPipeError):
        _serve(files, sys.stdin.fileno(), replies)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
