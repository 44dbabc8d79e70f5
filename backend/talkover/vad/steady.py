"""A voice detector that may fail: a call in which it does goes on by loudness."""

from __future__ import annotations

import logging

from talkover.audio import level_dbfs
from talkover.engines import VadStream
from talkover.messages import Samples

log = logging.getLogger(__name__)

SPEECH_DBFS = -40.0
"""louder is taken for speech where the detector says nothing: people at a headset reach -30, a quiet room -60"""


class SteadyVad:
    """The stream of one session. What raises, or gives no probability, is logged once and asked again at each frame."""

    def __init__(self, inner: VadStream) -> None:
        self._inner = inner
        self._has_failed = False

    def speech_probability(self, frame: Samples) -> float:
        try:
            probability = self._inner.speech_probability(frame)
            if 0.0 <= probability <= 1.0:
                return probability
            self._failed(ValueError(f"a probability must be from 0 to 1, got {probability!r}"))
        except Exception as error:  # without an ear the session is over, whatever it was
            self._failed(error)
        return float(level_dbfs(frame) > SPEECH_DBFS)

    def reset(self) -> None:
        self._inner.reset()

    def close(self) -> None:
        """The call is over: the memory of the detector is free at once.

        Python's collector would free it some day only. A session lies in cycles of references, and the collector
        counts objects, not the megabytes of a library behind one of them.
        """
        del self._inner

    def _failed(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.warning("the voice detector failed, loudness decides in its place: %s", error, exc_info=error)
