"""How fast each voice speaks, learned from text to text: what the word times of its next text begin with."""

from __future__ import annotations

from collections import OrderedDict

from talkover.tts.word_alignment import DEFAULT_PACE

MAX_VOICES = 256
_LEARNING = 0.5
"""weight of the newest text"""


class VoicePaces:
    """Seconds of sound per expected second, by voice, at speed 1. Threads may share it: a lost text is no harm."""

    def __init__(self) -> None:
        self._paces: OrderedDict[str, float] = OrderedDict()

    def of(self, voice: str) -> float:
        return self._paces.get(voice, DEFAULT_PACE)

    def learn(self, voice: str, heard: float) -> None:
        """`heard`: the pace of a text that has been spoken. Voices not heard for long are forgotten."""
        known = self._paces.pop(voice, DEFAULT_PACE)
        self._paces[voice] = known + _LEARNING * (heard - known)
        while len(self._paces) > MAX_VOICES:
            self._paces.popitem(last=False)
