"""How loud the room, the user and the agent's echo are: running estimates, and whether a voice can be the user's."""

from __future__ import annotations

import math
from typing import Literal

from talkover.vad.bounds import clamped

Distance = Literal["near", "aside", "too_quiet"]

ABSOLUTE_FLOOR_DBFS = -60.0
"""below this nobody speaks to a microphone"""
ABOVE_NOISE_DB = 3.0
"""speech adds at least this to the noise it stands in"""
ABOVE_ECHO_DB = 4.0
"""double talk is louder than the echo alone"""
ASIDE_DB = 6.0
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
    """Running estimates: of the room per frame of 32 ms, of voices per utterance."""

    QUIETEST_DBFS, LOUDEST_FLOOR_DBFS = -80.0, -30.0
    FALL, RISE = 0.2, 0.02
    """share per frame: down within 0.2 s, up within 2 s, so that pauses between words count more than the words"""
    LOUDER_SHARE, QUIETER_SHARE = 0.5, 0.1
    """share per utterance of the user: who was loud once is most likely to be so again"""
    DISTANT_SHARE = 0.12
    """the same of one that may be somebody else's, times how many of these there were in a row: after three of them the
    user has moved away"""
    ECHO_SHARE = 0.5
    """share per sound that turned out to be the agent's own voice"""

    def __init__(self) -> None:
        self.noise_floor_dbfs = self.QUIETEST_DBFS
        self.user_level_dbfs: float | None = None
        self._distant_in_a_row = 0
        self.echo_dbfs: float | None = None
        """None while the client seems to cancel it"""

    def hear_noise(self, level_dbfs: float) -> None:
        """The level of a frame without voice."""
        level = clamped(level_dbfs, self.QUIETEST_DBFS, self.LOUDEST_FLOOR_DBFS)
        share = self.FALL if level < self.noise_floor_dbfs else self.RISE
        self.noise_floor_dbfs += share * (level - self.noise_floor_dbfs)

    def hear_user(self, level_dbfs: float) -> None:
        """The mean level of an utterance that began while the agent was silent."""
        level = clamped(level_dbfs, self.QUIETEST_DBFS, 0.0)
        if self.user_level_dbfs is None:
            self.user_level_dbfs = level
        is_distant = level < self.user_level_dbfs - ASIDE_DB
        self._distant_in_a_row = self._distant_in_a_row + 1 if is_distant else 0
        share = self.LOUDER_SHARE if level > self.user_level_dbfs else self.QUIETER_SHARE
        if is_distant:
            share = min(self.DISTANT_SHARE * self._distant_in_a_row, self.LOUDER_SHARE)
        self.user_level_dbfs += share * (level - self.user_level_dbfs)

    def hear_echo(self, level_dbfs: float) -> None:
        """The mean level of a sound that said what the agent had just said."""
        level = clamped(level_dbfs, self.QUIETEST_DBFS, 0.0)
        if self.echo_dbfs is None:
            self.echo_dbfs = level
        self.echo_dbfs += self.ECHO_SHARE * (level - self.echo_dbfs)


def mean_dbfs(mean: float, level: float, share: float) -> float:
    """The mean of power, `share` of it the newest level; levels beyond -120 and 20 dB full scale count as these."""
    before, newest = (10 ** (clamped(each, -120.0, 20.0) / 10) for each in (mean, level))
    return 10 * math.log10((1 - share) * before + share * newest)
