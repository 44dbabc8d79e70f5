"""The stage that knows the caller's voice, beside recognition: nothing waits for it."""

from __future__ import annotations

from collections.abc import Iterator

from talkover.engines import IsStale, SpeakerModel
from talkover.messages import VoiceOpinion, VoiceQuestion
from talkover.vad.caller_voice import CallerVoice


class VoiceJudge:
    """Learns from the caller's turns, and compares what sounds over the agent with them."""

    name = "speaker model"

    def __init__(self, model: SpeakerModel) -> None:
        self._model = model
        self._caller = CallerVoice()

    def process(self, item: VoiceQuestion, is_stale: IsStale) -> Iterator[VoiceOpinion]:
        vector = self._model.vector(item.samples)
        if item.is_caller:
            self._caller.learn(vector)
            return
        similarity = self._caller.similarity(vector)
        if similarity is not None:
            yield VoiceOpinion(item.item_id, similarity)

    def reset(self) -> None:
        self._caller = CallerVoice()
