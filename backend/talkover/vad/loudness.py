"""How loud the room, the user and the agent's echo are: running estimates, and whether a voice can be the user's."""

from __future__ import annotations

import math
from typing import Literal

Distance = Literal["near", "aside", "too_quiet"]

ABSOLUTE_FLOOR_DBFS = -60.0
"""below this nobody speaks to a microphone"""
ABOVE_NOISE_DB = 3.0
"""speech adds at least this to the noise it stands in"""
ABOVE_ECHO_DB = 4.0
"""double talk is louder than the echo alone"""
ASIDE_DB = 7.0
"""a voice so far under the user's is turned away, or someone else's; the user's own varies by 3 to 4 dB"""
TOO_QUIET_DB = 24.0
"""a voice so far under the user's is in another room"""


def distance(
    level_dbfs: float, noise_floor_dbfs: float, user_level_dbfs: float | None, echo_dbfs: float | None = None
) -> Distance:
    """Where a voice of this level comes from, as far as loudness tells."""
    least = max(ABSOLUTE_FLOOR_DBFS, noise_floor_dbfs + ABOVE_NOISE_DB)
    if echo_dbfs is not None:
        least = max(least, echo_dbfs + ABOVE_ECHO_DB)
    if user_level_dbfs is not None:
        least = max(least, user_level_dbfs - TOO_QUIET_DB)
    if not level_dbfs >= least:
        return "too_quiet"
    return "aside" if user_level_dbfs is not None and level_dbfs < user_level_dbfs - ASIDE_DB else "near"


class Loudness:
    """Running estimates, per frame of 32 ms."""

    QUIETEST_DBFS, LOUDEST_FLOOR_DBFS = -80.0, -30.0
    FALL, RISE = 0.2, 0.02
    """share per frame: down within 0.2 s, up within 2 s, so that pauses between words count more than the words"""
    USER_SHARE = 0.02
    """share per voiced frame: the last two seconds of speech"""
    DISTANT_SHARE = 0.002
    """the same of a voice that may be somebody else's: the user has moved away when it goes on for a quarter minute"""
    ECHO_SHARE = 0.5
    """share per sound that turned out to be the agent's own voice"""

    def __init__(self) -> None:
        self.noise_floor_dbfs = self.QUIETEST_DBFS
        self.user_level_dbfs: float | None = None
        """of speech, pauses between words hardly counting: the mean of the power"""
        self._user_frames = 0
        self.echo_dbfs: float | None = None
        """None while the client seems to cancel it"""

    def hear_noise(self, level_dbfs: float) -> None:
        """The level of a frame without voice."""
        level = _clamped(level_dbfs, self.QUIETEST_DBFS, self.LOUDEST_FLOOR_DBFS)
        share = self.FALL if level < self.noise_floor_dbfs else self.RISE
        self.noise_floor_dbfs += share * (level - self.noise_floor_dbfs)

    def hear_user(self, level_dbfs: float) -> None:
        """The level of a voiced frame of confirmed speech that is not the agent's echo."""
        level = _clamped(level_dbfs, self.QUIETEST_DBFS, 0.0)
        self._user_frames += 1
        share = 1 / self._user_frames
        if self.user_level_dbfs is None:
            self.user_level_dbfs = level
        elif share < self.USER_SHARE:
            share = self.DISTANT_SHARE if level < self.user_level_dbfs - ASIDE_DB else self.USER_SHARE
        self.user_level_dbfs = mean_dbfs(self.user_level_dbfs, level, share)

    def hear_echo(self, level_dbfs: float) -> None:
        """The mean level of a sound that said what the agent had just said."""
        level = _clamped(level_dbfs, self.QUIETEST_DBFS, 0.0)
        if self.echo_dbfs is None:
            self.echo_dbfs = level
        self.echo_dbfs += self.ECHO_SHARE * (level - self.echo_dbfs)


def mean_dbfs(mean: float, level: float, share: float) -> float:
    """The mean of power, `share` of it the newest level; levels beyond -120 and 20 dB full scale count as these."""
    before, newest = (10 ** (_clamped(each, -120.0, 20.0) / 10) for each in (mean, level))
    return 10 * math.log10((1 - share) * before + share * newest)


def _clamped(level_dbfs: float, low: float, high: float) -> float:
    return low if math.isnan(level_dbfs) else min(max(level_dbfs, low), high)
