"""What one measurement is made of: a sound the user makes, and what the agent is doing meanwhile. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from talkover.audio import OUTPUT_RATE_HZ
from talkover.client.recordings import Span
from talkover.messages import Samples

Family = Literal[
    "answering",
    "yes_no",
    "pause",
    "monologue",
    "two_utterances",
    "goes_on",
    "interruption",
    "backchannel",
    "noise",
    "side_talk",
    "echo",
    "silence",
]
FAMILIES: tuple[Family, ...] = get_args(Family)

AgentState = Literal["silent", "speaking", "asked"]
"""what the agent does when the track begins: nothing, speak a long passage, or wait after a yes/no question"""
Source = Literal["people", "generated"]


@dataclass(frozen=True, slots=True)
class Echo:
    """How the agent's own voice comes back through the microphone."""

    level_db: float
    """against the loudspeaker's signal; 0: as loud"""
    delay_ms: float


@dataclass(frozen=True, slots=True)
class Take:
    """One measurement."""

    name: str
    family: Family
    kind: str
    """what of the family: digits, command, cough, ..."""
    track: Samples
    """(n,) float32 at 24 kHz: what reaches the microphone beside the room's noise"""
    sounds: tuple[Span, ...]
    """where in the track something sounds; more than one where the user pauses, or speaks again"""
    text: str
    """what is said; "" for what is no speech"""
    state: AgentState = "silent"
    language: str = "en"
    source: Source = "generated"
    speaker: str = ""
    """takes of one speaker make one call"""
    level_db: float = 0.0
    """against the level at which the user speaks"""
    into_agent_s: float = 0.0
    """speaking: how far into the passage the track begins; asked: how long after the question; then-tracks: after the
    answer became audible"""
    then: Samples | None = None
    """goes_on: a second track, which begins `into_agent_s` after the agent's answer became audible"""
    then_sounds: tuple[Span, ...] = ()
    expects: str = ""
    """a pattern that the text of a right new answer contains; "" where any answer will do"""
    echo: Echo | None = None
    listen_s: float = 3.0
    """how long after the end of the track is listened at most"""

    @property
    def duration_s(self) -> float:
        return self.track.size / OUTPUT_RATE_HZ

    @property
    def onset_ms(self) -> float:
        """Of the first sound in the track; 0 for silence."""
        return self.sounds[0].start_ms if self.sounds else 0.0

    @property
    def end_ms(self) -> float:
        """Of the last sound in the track; its length for silence."""
        return self.sounds[-1].end_ms if self.sounds else self.duration_s * 1000

    @property
    def pauses(self) -> tuple[Span, ...]:
        """Between the sounds."""
        return tuple(
            Span(before.end_ms, after.start_ms) for before, after in zip(self.sounds, self.sounds[1:], strict=False)
        )
