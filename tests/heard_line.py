"""What somebody on the line hears: when the agent or the user sounds, as a client that plays what it gets would."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ
from talkover.messages import Samples
from wire import WireClient

WINDOW_S = 0.02
AUDIBLE = 0.01
"""root mean square of a window, -40 dBFS"""

Interval = tuple[float, float]


class HeardLine:
    """The sound of one connection. Times are those at which `client` read its events."""

    def __init__(self, client: WireClient) -> None:
        self._client = client
        self._user: list[Interval] = []
        self.interruptions = 0
        """times the user cut the agent off; counted by `agent`"""

    def say(self, samples: Samples) -> None:
        """The user speaks, in real time."""
        begun_s = time.monotonic()
        self._user += audible(samples, begun_s)
        self._client.say_live(samples)

    @property
    def user_end_s(self) -> float:
        """When the user was last heard."""
        return self._user[-1][1]

    def agent(self) -> list[Interval]:
        """When the agent sounded; what was not played yet is thrown away when the user interrupts."""
        heard: list[Interval] = []
        played_until_s = 0.0
        self.interruptions = 0
        for event, at_s in zip(self._client.events, self._client.arrived_s, strict=True):
            if event["type"] == "input_audio_buffer.speech_started":
                self.interruptions += any(end > at_s for _, end in heard)
                heard = [(begin, min(end, at_s)) for begin, end in heard if begin < at_s]
                played_until_s = at_s
            elif event["type"] == "response.output_audio.delta":
                samples = decoded(event["delta"])
                begun_s = max(at_s, played_until_s)
                heard += audible(samples, begun_s)
                played_until_s = begun_s + samples.size / OUTPUT_RATE_HZ
        return heard

    def longest_silence_s(self, from_s: float, until_s: float) -> float:
        """Longest time between the two in which neither was heard."""
        longest_s, quiet_since_s = 0.0, from_s
        for begin, end in sorted([*self.agent(), *self._user]):
            if end < from_s:
                continue
            if begin > until_s:
                break
            longest_s = max(longest_s, begin - quiet_since_s)
            quiet_since_s = max(quiet_since_s, end)
        return max(longest_s, until_s - quiet_since_s)


def decoded(delta: str) -> Samples:
    return np.frombuffer(base64.b64decode(delta), "<i2").astype(np.float32) / 32768


def audible(samples: Samples, begun_s: float) -> list[Interval]:
    """Windows of it that can be heard."""
    size = round(WINDOW_S * OUTPUT_RATE_HZ)
    pieces: Sequence[Samples] = [samples[at : at + size] for at in range(0, samples.size, size)]
    return [
        (begun_s + at * WINDOW_S, begun_s + (at + 1) * WINDOW_S)
        for at, piece in enumerate(pieces)
        if float(np.sqrt(np.mean(piece**2))) > AUDIBLE
    ]
