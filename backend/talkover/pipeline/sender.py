"""The sender stage: encodes audio for the wire and releases it at the pace of playback, in order with all the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from talkover.audio import OUTPUT_RATE_HZ, WireEncoder, samples_to_ms, silent_head
from talkover.engines import IsStale
from talkover.messages import AudioDelta, CallDelta, Output, ResponseEnd, ResponseRequest, Samples, WireAudio
from talkover.pipeline.pacing import Pacer

STALE_POLL_S = 0.01
COMMIT_POLL_S = 0.005


class Sender:
    """Holds audio back so that the client has at most the configured lead of it unplayed.

    So a response stays active, and can be interrupted or held at the exact sample, for about as long as it is heard.
    `hold` stops the flow while the session decides whether a sound is an interruption.
    """

    name = "sender"

    def __init__(
        self,
        lead_ms: int | None,
        hurry: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hurry`: audio need not be paced now, because something behind it must not wait (a function call)."""
        self._pacer = Pacer(None if lead_ms is None else lead_ms / 1000)
        self._hurry = hurry
        self._clock = clock
        self._flowing = threading.Event()
        self._flowing.set()
        self._request: ResponseRequest | None = None
        self._encoder: WireEncoder | None = None
        self._ended = True
        self._is_audible = False
        self._committed = 0

    def hold(self) -> None:
        """Let no audio out until `release`."""
        self._flowing.clear()

    def release(self, sent_again_ms: float = 0.0) -> None:
        """Let it flow again; `sent_again_ms` of audio the client threw away go out beside, and are played first."""
        if sent_again_ms:
            self._pacer.flush()
            self._pacer.sent(sent_again_ms / 1000, self._clock())
        self._flowing.set()

    def commit(self, generation: int) -> None:
        """What was made ahead under this generation may leave."""
        self._committed = max(self._committed, generation)

    def process(self, item: ResponseRequest | Output, is_stale: IsStale) -> Iterator[Output]:
        if isinstance(item, ResponseRequest):
            while item.ahead and self._committed < item.generation:
                if is_stale():
                    return
                time.sleep(COMMIT_POLL_S)
            if not self._ended:
                self._pacer.flush()
            self._request, self._ended = item, False
            self._encoder = None
            self._is_audible = False
            return
        if isinstance(item, AudioDelta):
            yield from self._audio(item, is_stale)
            return
        if isinstance(item, ResponseEnd | CallDelta):
            yield from self._flush(item.generation, item.response_id)
        if isinstance(item, ResponseEnd):
            self._ended = True
        yield item

    def reset(self) -> None:
        self._flowing.set()

    def _audio(self, item: AudioDelta, is_stale: IsStale) -> Iterator[WireAudio]:
        request = self._request
        if request is None:
            return
        if self._encoder is None:
            self._encoder = WireEncoder(request.audio_format)
        if not self._wait(request, is_stale):
            return
        duration_ms = samples_to_ms(item.samples.size, OUTPUT_RATE_HZ)
        self._pacer.sent(duration_ms / 1000, self._clock())
        yield WireAudio(
            item.generation,
            item.response_id,
            self._encoder.feed(item.samples),
            duration_ms,
            item.text,
            item.words,
            item.segment_end,
            item.at_s,
            self._silent_ms(item.samples),
        )

    def _silent_ms(self, samples: Samples) -> float:
        """See `WireAudio.silent_ms`."""
        if self._is_audible:
            return 0.0
        head = silent_head(samples)
        self._is_audible = head < samples.size
        return samples_to_ms(head, OUTPUT_RATE_HZ)

    def _flush(self, generation: int, response_id: str) -> Iterator[WireAudio]:
        """The last samples the resampler still holds."""
        if self._encoder is None:
            return
        payload = self._encoder.flush()
        self._encoder = None
        if payload:
            yield WireAudio(generation, response_id, payload, 0.0)

    def _wait(self, request: ResponseRequest, is_stale: IsStale) -> bool:
        """Wait until the next chunk may leave; False when it went stale meanwhile."""
        while not is_stale():
            if not self._flowing.wait(STALE_POLL_S):
                continue
            left_s = 0.0 if not request.paced or self._hurry() else self._pacer.wait_s(self._clock())
            if left_s <= 0:
                return True
            time.sleep(min(left_s, STALE_POLL_S))
        return False
