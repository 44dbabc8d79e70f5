"""From speech probabilities to turns: a pure state machine on the audio clock.

One call per frame of 32 ms is the only clock, so that audio that arrives faster than real time gives the same turns.
An utterance is a regular sequence of events:

    SpeechOnset (OnsetDropped | SpeechStarted (LikelyEnd SpeechResumed)* LikelyEnd SpeechEnded)

`finish_utterance` and `reset` end it at any point without a further event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from talkover.vad.barge_in import (
    DROP_AFTER_SILENCE_MS,
    UNDECIDED_LIMIT_MS,
    BargeInFeatures,
    Loudness,
    decide_barge_in,
    is_loud_enough,
)
from talkover.vad.lexical import looks_finished

FRAME_MS = 32.0
"""512 samples at 16 kHz"""
HYSTERESIS = 0.15
"""voice goes on until the probability is this far under the onset threshold (Silero's own recommendation)"""
LOWEST_OFFSET_THRESHOLD = 0.05
ONSET_MS = 64.0
"""voice after which a sound is announced: ducking begins within 100 ms of the onset"""
LIKELY_END_MS = 192.0
"""silence after which recognition is finalised; pauses inside a phrase are mostly shorter"""

Eagerness = Literal["low", "medium", "high", "auto"]


@dataclass(frozen=True, slots=True)
class Patience:
    """Silence that ends a turn in semantic mode, by how finished the words look."""

    finished_ms: float
    unknown_ms: float
    """without text, or with text that can be either"""
    unfinished_ms: float


PATIENCE: dict[Eagerness, Patience] = {
    "low": Patience(640, 1200, 8000),
    "medium": Patience(384, 800, 4000),
    "high": Patience(256, 500, 2000),
    "auto": Patience(384, 800, 4000),
}


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """How turns are detected."""

    mode: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5
    """speech probability at which voice begins; it ends 0.15 below"""
    silence_duration_ms: int = 500
    """ends a turn in server_vad"""
    eagerness: Eagerness = "auto"
    """patience in semantic_vad"""
    min_speech_ms: int = 96
    """voiced audio that makes a sound an utterance"""
    barge_in_ms: int = 160
    """the same while the agent is audible"""
    max_utterance_ms: int = 60_000


# ---------------------------------------------------------------------------------- events; times on the audio clock


@dataclass(frozen=True, slots=True)
class SpeechOnset:
    """Possible speech: duck the agent if it is audible."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class OnsetDropped:
    """It was nothing."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """It is speech."""

    start_ms: float
    """where its first voiced frame begins"""
    at_ms: float


@dataclass(frozen=True, slots=True)
class LikelyEnd:
    """The turn may be over: finalise recognition up to `end_ms` and prepare the answer."""

    end_ms: float
    revision: int
    """0 for the first of an utterance, one more for each time the user went on"""


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The user went on after a LikelyEnd: what was prepared is stale, what follows has this revision."""

    at_ms: float
    revision: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The turn is over; its LikelyEnd had the same revision."""

    end_ms: float
    voiced_end_ms: float
    """where the last voiced frame ends"""
    revision: int
    reason: Literal["silence", "too_long"]


TurnEvent = SpeechOnset | OnsetDropped | SpeechStarted | LikelyEnd | SpeechResumed | SpeechEnded


# ------------------------------------------------------------------------------------------------------------- state


@dataclass(slots=True)
class _Sound:
    """A sound that may become an utterance."""

    voiced: int
    """bit i: whether the frame i frames ago was voiced"""
    level_dbfs: float
    """running mean over its voiced frames"""
    frames: int = 0
    silent_frames: int = 0
    announced: bool = False
    text: str = ""


@dataclass(slots=True)
class _Utterance:
    start_ms: float
    voiced_end_ms: float
    revision: int = 0
    likely_end: bool = False
    text: str = ""
    text_is_current: bool = False
    """heard since the last voiced frame: no words can be missing from it but those still being recognised"""


class Endpointer:
    """Turns of one audio stream. Not for use by several threads."""

    def __init__(self, options: TurnOptions) -> None:
        self._options = self._next_options = options
        self._now_ms = 0.0
        self._voice = False
        self._sound: _Sound | None = None
        self._utterance: _Utterance | None = None
        self._loudness = Loudness()

    @property
    def in_speech(self) -> bool:
        """Between SpeechStarted and SpeechEnded."""
        return self._utterance is not None

    @property
    def now_ms(self) -> float:
        """End of the newest frame since the session began."""
        return self._now_ms

    @property
    def noise_floor_dbfs(self) -> float:
        return self._loudness.noise_floor_dbfs

    def configure(self, options: TurnOptions) -> None:
        """Use other options; an open utterance is finished under the old ones."""
        self._next_options = options

    def hear(self, text: str) -> None:
        """The newest transcript of what is open, partial or final; ignored when nothing is."""
        if self._utterance is not None:
            self._utterance.text = text
            self._utterance.text_is_current = self._utterance.voiced_end_ms < self.now_ms
        elif self._sound is not None:
            self._sound.text = text

    def finish_utterance(self) -> None:
        """The client committed the open utterance; what follows is a new one."""
        self._sound = self._utterance = None

    def reset(self) -> None:
        """Forget all but the clock: the audio was cleared, or turn detection was off."""
        self.finish_utterance()
        self._voice = False
        self._loudness = Loudness()

    def skip_to(self, now_ms: float) -> None:
        """Set the clock after audio that was not fed, e.g. while turn detection was off; drops what is open."""
        self.finish_utterance()
        self._now_ms = now_ms

    def feed(self, probability: float, level_dbfs: float, agent_audible: bool) -> list[TurnEvent]:
        """The next 32 ms: speech probability (NaN counts as 0), RMS level, and whether the agent sounds meanwhile."""
        self._now_ms += FRAME_MS
        if self._sound is None and self._utterance is None:
            self._options = self._next_options
        self._follow_voice(probability)
        if self._utterance is not None:
            if self._voice and not agent_audible:
                self._loudness.hear_user(level_dbfs)
            return self._follow_utterance(self._utterance)
        if not self._voice:
            self._loudness.hear_noise(level_dbfs)
        return self._listen(level_dbfs, agent_audible)

    def _follow_voice(self, probability: float) -> None:
        threshold = self._options.threshold
        offset = max(threshold - HYSTERESIS, min(threshold, LOWEST_OFFSET_THRESHOLD))
        if math.isnan(probability):
            probability = 0.0
        self._voice = probability >= (offset if self._voice else threshold)

    # ------------------------------------------------------------------------------------------- before an utterance

    def _listen(self, level_dbfs: float, agent_audible: bool) -> list[TurnEvent]:
        loudness = self._loudness
        voiced = self._voice and (
            not agent_audible or is_loud_enough(level_dbfs, loudness.noise_floor_dbfs, loudness.user_level_dbfs)
        )
        sound = self._sound
        if sound is None:
            if not voiced:
                return []
            sound = self._sound = _Sound(voiced=0, level_dbfs=level_dbfs)
        needed_ms = float(self._options.barge_in_ms if agent_audible else self._options.min_speech_ms)
        window_frames = int(max(UNDECIDED_LIMIT_MS, 2 * needed_ms) / FRAME_MS)
        sound.voiced = (sound.voiced << 1 | int(voiced)) & ((1 << window_frames) - 1)
        sound.frames += 1
        sound.silent_frames = 0 if voiced else sound.silent_frames + 1
        if voiced:
            sound.level_dbfs += (level_dbfs - sound.level_dbfs) / sound.voiced.bit_count()
        return self._judge(sound, needed_ms, agent_audible)

    def _judge(self, sound: _Sound, needed_ms: float, agent_audible: bool) -> list[TurnEvent]:
        events: list[TurnEvent] = []
        voiced_ms = sound.voiced.bit_count() * FRAME_MS
        features = BargeInFeatures(
            voiced_ms=voiced_ms,
            window_ms=sound.frames * FRAME_MS,
            silence_ms=sound.silent_frames * FRAME_MS,
            needed_ms=needed_ms,
            level_dbfs=sound.level_dbfs,
            noise_floor_dbfs=self._loudness.noise_floor_dbfs,
            user_level_dbfs=self._loudness.user_level_dbfs,
            text=sound.text,
        )
        decision = decide_barge_in(features) if agent_audible else _decide_start(features)
        if not sound.announced and (voiced_ms >= ONSET_MS or decision == "yield"):
            sound.announced = True
            events.append(SpeechOnset(self.now_ms))
        if decision == "yield":
            start_ms = self.now_ms - sound.voiced.bit_length() * FRAME_MS
            events.append(SpeechStarted(start_ms, self.now_ms))
            voiced_end_ms = self.now_ms - sound.silent_frames * FRAME_MS
            self._sound, self._utterance = None, _Utterance(start_ms, voiced_end_ms, text=sound.text)
        elif decision == "go_on":
            if sound.announced:
                events.append(OnsetDropped(self.now_ms))
            self._sound = None
        return events

    # ----------------------------------------------------------------------------------------------- in an utterance

    def _follow_utterance(self, utterance: _Utterance) -> list[TurnEvent]:
        events: list[TurnEvent] = []
        now_ms = self.now_ms
        if self._voice:
            utterance.voiced_end_ms = now_ms
            utterance.text_is_current = False
            if utterance.likely_end:
                utterance.likely_end = False
                utterance.revision += 1
                events.append(SpeechResumed(now_ms, utterance.revision))
        silence_ms = now_ms - utterance.voiced_end_ms
        needed_ms = self._silence_needed_ms(utterance)
        reason: Literal["silence", "too_long"] | None = None
        if silence_ms >= needed_ms:
            reason = "silence"
        elif now_ms - utterance.start_ms >= self._options.max_utterance_ms:
            reason = "too_long"
        if not utterance.likely_end and (reason or silence_ms >= min(LIKELY_END_MS, needed_ms / 2)):
            utterance.likely_end = True
            events.append(LikelyEnd(now_ms, utterance.revision))
        if reason:
            events.append(SpeechEnded(now_ms, utterance.voiced_end_ms, utterance.revision, reason))
            self._utterance = None
        return events

    def _silence_needed_ms(self, utterance: _Utterance) -> float:
        if self._options.mode == "server_vad":
            return max(FRAME_MS, self._options.silence_duration_ms)
        return semantic_silence_ms(utterance.text, utterance.text_is_current, PATIENCE[self._options.eagerness])


def _decide_start(features: BargeInFeatures) -> Literal["wait", "yield", "go_on"]:
    """The rule while the agent is silent: a false start costs little, so duration alone decides."""
    if features.silence_ms >= DROP_AFTER_SILENCE_MS:
        return "go_on"
    return "yield" if features.voiced_ms >= features.needed_ms else "wait"


def semantic_silence_ms(text: str, text_is_current: bool, patience: Patience) -> float:
    """Silence that ends the turn after these words.

    Log-linear between the three points of `patience`. Text that may lack the last words can prolong the wait but
    never shorten it.
    """
    if not text.strip():
        return patience.unknown_ms
    finished = looks_finished(text)
    if not text_is_current:
        finished = min(finished, 0.5)
    if finished >= 0.5:
        low, high, share = patience.unknown_ms, patience.finished_ms, 2 * finished - 1
    else:
        low, high, share = patience.unfinished_ms, patience.unknown_ms, 2 * finished
    return low * (high / low) ** share
