"""Is a sound over the agent meant for it? Loudness of room and user, and the decision to yield, as pure functions.

Nothing here knows frames or clocks: `endpointing.py` measures, this module judges, so that a better judge (echo,
dialogue state, a model) replaces `decide_barge_in` and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from talkover.vad.lexical import is_backchannel

BargeInDecision = Literal["wait", "yield", "go_on"]

DROP_AFTER_SILENCE_MS = 192.0
"""without voice for this long a sound was no speech: longer than the closure of a plosive, too short to disturb"""
UNDECIDED_LIMIT_MS = 1500.0
"""ducked for longer than this without enough voice, the agent goes on"""
BACKCHANNEL_LIMIT_MS = 1000.0
"""voiced audio above which "yeah yeah" is no backchannel any more"""

ABSOLUTE_FLOOR_DBFS = -60.0
"""below this nobody speaks to a microphone"""
ABOVE_NOISE_DB = 3.0
"""speech adds at least this to the noise it stands in"""
BELOW_USER_DB = 30.0
"""a voice this far under the user's is in another room"""


@dataclass(frozen=True, slots=True)
class BargeInFeatures:
    """What is known of a sound while the agent is audible."""

    voiced_ms: float
    """voiced and loud enough audio within the last `window_ms`"""
    window_ms: float
    """since its first voiced frame"""
    silence_ms: float
    """since its last voiced frame"""
    needed_ms: float
    """voiced audio that makes it an interruption"""
    level_dbfs: float
    """mean over its voiced frames"""
    noise_floor_dbfs: float
    user_level_dbfs: float | None = None
    """None until the user has spoken"""
    text: str = ""
    """newest partial transcript; "" while there is none"""


def decide_barge_in(features: BargeInFeatures) -> BargeInDecision:
    """Yield to an interruption, go on over noise and backchannels, wait while it can be either."""
    if features.silence_ms >= DROP_AFTER_SILENCE_MS or features.window_ms >= UNDECIDED_LIMIT_MS:
        return "go_on"
    if features.voiced_ms < features.needed_ms:
        return "wait"
    if not is_loud_enough(features.level_dbfs, features.noise_floor_dbfs, features.user_level_dbfs):
        return "wait"
    if features.text and is_backchannel(features.text) and features.voiced_ms < BACKCHANNEL_LIMIT_MS:
        return "wait"
    return "yield"


def is_loud_enough(level_dbfs: float, noise_floor_dbfs: float, user_level_dbfs: float | None) -> bool:
    """Whether a voice of this level can be the user's."""
    least = max(ABSOLUTE_FLOOR_DBFS, noise_floor_dbfs + ABOVE_NOISE_DB)
    if user_level_dbfs is not None:
        least = max(least, user_level_dbfs - BELOW_USER_DB)
    return level_dbfs >= least


class Loudness:
    """Running estimates of the room's noise floor and the user's usual level, per frame of 32 ms."""

    QUIETEST_DBFS, LOUDEST_FLOOR_DBFS = -80.0, -30.0
    FALL, RISE = 0.2, 0.02
    """share per frame: down within 0.2 s, up within 2 s, so that pauses between words count more than the words"""
    USER_SHARE = 0.02
    """share per voiced frame: the last two seconds of speech"""

    def __init__(self) -> None:
        self.noise_floor_dbfs = self.QUIETEST_DBFS
        self.user_level_dbfs: float | None = None

    def hear_noise(self, level_dbfs: float) -> None:
        """The level of a frame without voice."""
        level = _clamped(level_dbfs, self.QUIETEST_DBFS, self.LOUDEST_FLOOR_DBFS)
        share = self.FALL if level < self.noise_floor_dbfs else self.RISE
        self.noise_floor_dbfs += share * (level - self.noise_floor_dbfs)

    def hear_user(self, level_dbfs: float) -> None:
        """The level of a voiced frame of confirmed speech that is not the agent's echo."""
        level = _clamped(level_dbfs, self.QUIETEST_DBFS, 0.0)
        if self.user_level_dbfs is None:
            self.user_level_dbfs = level
        self.user_level_dbfs += self.USER_SHARE * (level - self.user_level_dbfs)


def _clamped(level_dbfs: float, low: float, high: float) -> float:
    return low if math.isnan(level_dbfs) else min(max(level_dbfs, low), high)
