"""One way from a request to the wire: responder, synthesizer and sender, a thread each, joined by bounded queues."""

from __future__ import annotations

from typing import Any

from talkover.engines import Engines, IsStale
from talkover.messages import CallDelta, Output, ResponseRequest
from talkover.pipeline.calls_ahead import CallsAhead
from talkover.pipeline.cancel import Generations
from talkover.pipeline.passages import PassageFinder
from talkover.pipeline.responder import Responder
from talkover.pipeline.sender import Sender
from talkover.pipeline.stage import Emit, StageThread
from talkover.pipeline.synthesizer import Synthesizer
from talkover.pipeline.text_ahead import TellsTextAhead

REQUESTS = 4
"""requests waiting for the responder; the session has one active response a lane, the rest is stale"""
TEXT_ITEMS = 1024
"""text is small: an LLM stream is never throttled by playback"""
AUDIO_ITEMS = 64
"""at least 2.5 s of audio: synthesis runs ahead of the paced sender by no more"""


class Lane:
    """Runs one response at a time. The session has one for the conversation and one for out-of-band responses."""

    def __init__(
        self,
        engines: Engines,
        generations: Generations,
        report: Emit,
        lead_ms: int | None,
        label: str,
        passages: PassageFinder | None = None,
        tells_text: bool = False,
    ) -> None:
        """`passages`: what answers are given from, closed by whoever made it. `tells_text`: spoken text is reported as
        soon as it is known (`TextAhead`)."""
        self.generations = generations
        self.sender = Sender(lead_ms, self._call_waits)
        self._sending: StageThread[Any, Output] = StageThread(
            self.sender, report, self._stale_check, AUDIO_ITEMS, label
        )
        self._synthesizing: StageThread[Any, Any] = StageThread(
            Synthesizer(engines.tts), self._sending.put, self._stale_check, TEXT_ITEMS, label
        )
        onward = TellsTextAhead(self._synthesizing.put, report) if tells_text else self._synthesizing.put
        self._responding: StageThread[ResponseRequest, Any] = StageThread(
            Responder(engines.llm, passages),
            CallsAhead(onward, report),
            self._stale_check,
            REQUESTS,
            label,
        )

    def submit(self, request: ResponseRequest) -> bool:
        """Start a response; False when the responder is stuck in older ones."""
        return self._responding.queue.try_put(request)

    def queue_depths(self) -> dict[str, int]:
        return {
            "responder": len(self._responding.queue),
            "synthesizer": len(self._synthesizing.queue),
            "sender": len(self._sending.queue),
        }

    def close(self) -> None:
        """Stop all work; does not wait."""
        for thread in self._threads:
            thread.close()

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads; False when one is stuck in its engine."""
        return all(tuple(thread.join(timeout_s) for thread in self._threads))

    @property
    def _threads(self) -> tuple[StageThread[Any, Any], ...]:
        return (self._responding, self._synthesizing, self._sending)

    def _call_waits(self) -> bool:
        """A function call queues behind audio: the tool should start now, not when all of it has been played."""
        queues = (self._sending.queue, self._synthesizing.queue)
        return any(queue.any(lambda item: isinstance(item, CallDelta)) for queue in queues)

    def _stale_check(self, item: Any) -> IsStale:
        generation: int | None = getattr(item, "generation", None)
        return _never if generation is None else self.generations.checker(generation)


def _never() -> bool:
    return False
