"""From speech probabilities to turns: a pure state machine on the audio clock.

One call per frame of 32 ms is the only clock, so that audio that arrives faster than real time gives the same turns.
This module measures and keeps the state; `turn_end.py` and `interruption.py` judge. See `turn_events.py` for what comes
out of it. `finish_utterance` and `reset` end an utterance at any point without a further event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from talkover.vad.caller_pauses import CallerPauses
from talkover.vad.interruption import (
    ENDED_MS,
    GOES_ON_WITHIN_MS,
    UNDECIDED_LIMIT_MS,
    Decision,
    Dialogue,
    InterruptionFeatures,
    Reason,
    judge,
)
from talkover.vad.loudness import Distance, Loudness, distance, mean_dbfs
from talkover.vad.prosody import UNVOICED, Contour, Pitch
from talkover.vad.turn_end import (
    PATIENCE,
    Eagerness,
    EndFeatures,
    ModelOpinion,
    finished_probability,
    silence_needed_ms,
    wait_ms,
)
from talkover.vad.turn_events import (
    InterruptionConfirmed,
    LikelyEnd,
    OnsetDropped,
    SpeechEnded,
    SpeechOnset,
    SpeechResumed,
    SpeechRetracted,
    SpeechStarted,
    TurnEvent,
)

FRAME_MS = 32.0
"""512 samples at 16 kHz"""
HYSTERESIS = 0.05
"""voice goes on until the probability is this far under the onset threshold; Silero's 0.15 finds ends 20 ms later"""
LOWEST_OFFSET_THRESHOLD = 0.05
FADED_DB = 22.0
"""a sound over the agent that is so far under its own mean has ended: the detector notices two frames later"""
ONSET_MS = 64.0
"""voice after which a sound is announced: ducking begins within 100 ms of the onset"""
EARLIEST_LIKELY_END_MS = 128.0
"""silence after which recognition is finalised at the earliest; shorter pauses are mostly inside a word"""
LATEST_LIKELY_END_MS = 512.0
LIKELY_END_SHARE = 0.4
"""of the silence that would end the turn if the words so far are all: leaves time for the final text"""
SHORT_UTTERANCE_MS = 1500.0
"""recognised anew in no time when the user goes on, so that its end may be guessed early"""
MAX_EARLY_ENDS = 3
"""an utterance that went on so often is finalised late: each time costs a recognition and an answer"""


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """How turns are detected."""

    mode: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5
    """speech probability at which voice begins; it ends 0.05 below"""
    silence_duration_ms: int = 500
    """ends a turn in server_vad, whatever was said"""
    eagerness: Eagerness = "auto"
    """patience in semantic_vad"""
    patience: float = 1.0
    """scales every wait of semantic_vad"""
    min_speech_ms: int = 96
    """voiced audio that makes a sound an utterance"""
    barge_in_ms: int = 224
    """the same while the agent is audible"""
    max_utterance_ms: int = 60_000


@dataclass(slots=True)
class _Sound:
    """A sound from its first voiced frame on, which may become an utterance."""

    start_ms: float
    voiced_end_ms: float
    over_agent: bool
    """the agent was audible when it began"""
    since_own_turn_ms: float | None
    voiced: int = 0
    """bit i: whether the frame i frames ago was voiced; while it is undecided"""
    voiced_frames: int = 0
    level_dbfs: float = 0.0
    """mean power of its voiced frames"""
    brightness: float = 0.0
    frames: int = 0
    announced: bool = False
    started: bool = False
    certain: bool = False
    revision: int = 0
    likely_end: bool = False
    text: str = ""
    text_is_final: bool = False
    confidence: float | None = None
    contour: Contour = field(default_factory=Contour)
    model_probability: float | None = None
    """of the turn model, for the pause it is in"""
    voice_similarity: float | None = None
    """to the caller's voice"""
    judged_ms: float = 0.0
    """up to where the turn model has heard it"""


class Endpointer:
    """Turns of one audio stream. Not for use by several threads."""

    def __init__(self, options: TurnOptions) -> None:
        self._options = self._next_options = options
        self._now_ms = 0.0
        self._voice = False
        self._sound: _Sound | None = None
        self._loudness = Loudness()
        self._pauses = CallerPauses()
        self._dialogue = Dialogue()
        self._turn_ended_ms: float | None = None

    @property
    def in_speech(self) -> bool:
        """Between SpeechStarted and SpeechEnded or SpeechRetracted."""
        return self._sound is not None and self._sound.started

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

    def in_dialogue(self, dialogue: Dialogue) -> None:
        """What the agent is saying, or has said last."""
        self._dialogue = dialogue

    def hear(self, text: str, final: bool = False, confidence: float | None = None) -> None:
        """The newest transcript of what is open; `final`: of all of it up to the last LikelyEnd."""
        sound = self._sound
        if sound is not None:
            sound.text = text
            sound.text_is_final = final and sound.likely_end
            sound.confidence = confidence

    def consider(self, end_probability: float, revision: int) -> None:
        """A turn model's opinion on what is open, up to its LikelyEnd of this revision; too late it is ignored."""
        sound = self._sound
        if sound is not None and sound.likely_end and sound.revision == revision:
            sound.model_probability = end_probability

    def compare_voice(self, similarity: float) -> None:
        """How much what is open is the caller's voice, a cosine."""
        if self._sound is not None:
            self._sound.voice_similarity = similarity

    def finish_utterance(self) -> None:
        """The client committed the open utterance; what follows is a new one."""
        self._sound = None

    def reset(self) -> None:
        """Forget all but the clock: the audio was cleared, or turn detection was off."""
        self.finish_utterance()
        self._voice = False
        self._loudness = Loudness()
        self._turn_ended_ms = None

    def skip_to(self, now_ms: float) -> None:
        """Set the clock after audio that was not fed, e.g. while turn detection was off; drops what is open."""
        self.finish_utterance()
        self._now_ms = now_ms

    def feed(
        self, probability: float, level_dbfs: float, agent_audible: bool, pitch: Pitch = UNVOICED
    ) -> list[TurnEvent]:
        """The next 32 ms: speech probability (NaN counts as 0), RMS level, whether the agent sounds, and the pitch."""
        self._now_ms += FRAME_MS
        if self._sound is None:
            self._options = self._next_options
        self._follow_voice(probability)
        if not self._voice and not self.in_speech:
            self._loudness.hear_noise(level_dbfs)
        sound = self._sound
        if sound is None:
            if not self._voice or (agent_audible and self._distance(level_dbfs) == "too_quiet"):
                return []
            sound = self._sound = self._new_sound(agent_audible)
        self._measure(sound, level_dbfs, agent_audible, pitch)
        if sound.started:
            return self._follow_utterance(sound)
        return self._listen(sound, agent_audible)

    def _follow_voice(self, probability: float) -> None:
        threshold = self._options.threshold
        offset = max(threshold - HYSTERESIS, min(threshold, LOWEST_OFFSET_THRESHOLD))
        if math.isnan(probability):
            probability = 0.0
        self._voice = probability >= (offset if self._voice else threshold)

    def _distance(self, level_dbfs: float) -> Distance:
        loudness = self._loudness
        return distance(level_dbfs, loudness.noise_floor_dbfs, loudness.user_level_dbfs, loudness.echo_dbfs)

    def _new_sound(self, agent_audible: bool) -> _Sound:
        start_ms = self.now_ms - FRAME_MS
        since_ms = None if self._turn_ended_ms is None else start_ms - self._turn_ended_ms
        return _Sound(start_ms, start_ms, agent_audible, since_ms)

    def _measure(self, sound: _Sound, level_dbfs: float, agent_audible: bool, pitch: Pitch) -> None:
        voiced = self._voice and (sound.started or not agent_audible or self._distance(level_dbfs) != "too_quiet")
        if not sound.certain and sound.voiced_frames and level_dbfs < sound.level_dbfs - FADED_DB:
            voiced = False
        sound.frames += 1
        if not sound.certain:
            window_frames = int(max(UNDECIDED_LIMIT_MS, 2 * self._needed_ms(agent_audible)) / FRAME_MS)
            sound.voiced = (sound.voiced << 1 | int(voiced)) & ((1 << window_frames) - 1)
        if not voiced:
            return
        paused_ms = self.now_ms - FRAME_MS - sound.voiced_end_ms
        if sound.certain and paused_ms >= EARLIEST_LIKELY_END_MS:
            self._pauses.went_on_after(paused_ms)
        sound.voiced_frames += 1
        sound.voiced_end_ms = self.now_ms
        sound.text_is_final = False
        if math.isfinite(level_dbfs):
            sound.level_dbfs = mean_dbfs(sound.level_dbfs, level_dbfs, 1 / sound.voiced_frames)
        sound.brightness += (pitch.brightness - sound.brightness) / sound.voiced_frames
        sound.contour.feed(pitch, level_dbfs)

    def _needed_ms(self, agent_audible: bool) -> float:
        return float(self._options.barge_in_ms if agent_audible else self._options.min_speech_ms)

    # ------------------------------------------------------------------------------------------- before an utterance

    def _listen(self, sound: _Sound, agent_audible: bool) -> list[TurnEvent]:
        events: list[TurnEvent] = []
        # what ended over the agent is judged by its words, also when the agent has finished meanwhile
        by_words = agent_audible or (sound.over_agent and sound.likely_end)
        decision, reason = self._judge(sound) if by_words else self._decide_start(sound)
        if not sound.announced and (sound.voiced.bit_count() * FRAME_MS >= ONSET_MS or decision in ("yield", "stop")):
            sound.announced = True
            is_near = self._distance(sound.level_dbfs) == "near"
            events.append(SpeechOnset(self.now_ms, self._start_ms(sound), is_near))
        if decision in ("yield", "stop"):
            sound.start_ms = self._start_ms(sound)
            sound.started, sound.certain = True, decision == "stop"
            since_ms = sound.since_own_turn_ms
            if since_ms is not None and since_ms <= GOES_ON_WITHIN_MS:  # the turn before was ended too early
                self._pauses.went_on_after(since_ms)
            events.append(SpeechStarted(sound.start_ms, self.now_ms, sound.certain, reason))
        elif decision == "go_on":
            if sound.announced:
                events.append(OnsetDropped(self.now_ms, reason))
            self._drop(sound, reason)
        elif by_words and sound.announced:
            events += self._follow_pause(sound, EARLIEST_LIKELY_END_MS)
        return events

    def _start_ms(self, sound: _Sound) -> float:
        """Where the voice within the window begins."""
        return max(sound.start_ms, self.now_ms - sound.voiced.bit_length() * FRAME_MS)

    def _decide_start(self, sound: _Sound) -> tuple[Decision, Reason]:
        """The rule while the agent is silent: a false start costs little, so duration alone decides."""
        if self.now_ms - sound.voiced_end_ms >= ENDED_MS:
            return "go_on", "silence"
        is_enough = sound.voiced.bit_count() * FRAME_MS >= self._options.min_speech_ms
        return ("stop", "voice") if is_enough else ("wait", "undecided")

    def _judge(self, sound: _Sound) -> tuple[Decision, Reason]:
        loudness = self._loudness
        return judge(
            InterruptionFeatures(
                voiced_ms=sound.voiced.bit_count() * FRAME_MS,
                window_ms=sound.frames * FRAME_MS,
                silence_ms=self.now_ms - sound.voiced_end_ms,
                needed_ms=float(self._options.barge_in_ms),
                level_dbfs=sound.level_dbfs,
                noise_floor_dbfs=loudness.noise_floor_dbfs,
                user_level_dbfs=loudness.user_level_dbfs,
                echo_dbfs=loudness.echo_dbfs,
                brightness=sound.brightness,
                text=sound.text,
                text_is_final=sound.text_is_final,
                confidence=sound.confidence,
                since_own_turn_ms=sound.since_own_turn_ms,
                dialogue=self._dialogue,
                has_yielded=sound.started,
                voice_similarity=sound.voice_similarity,
            )
        )

    def _drop(self, sound: _Sound, reason: Reason) -> None:
        if reason == "echo":
            self._loudness.hear_echo(sound.level_dbfs)
        self._sound = None

    # ----------------------------------------------------------------------------------------------- in an utterance

    def _follow_utterance(self, sound: _Sound) -> list[TurnEvent]:
        if not sound.certain:
            decision, reason = self._judge(sound)
            if decision == "go_on":
                self._drop(sound, reason)
                return [SpeechRetracted(self.now_ms, reason)]
            if decision == "stop":
                sound.certain = True
                return [InterruptionConfirmed(self.now_ms, reason), *self._follow_turn(sound)]
            return self._follow_pause(sound, EARLIEST_LIKELY_END_MS)
        return self._follow_turn(sound)

    def _follow_turn(self, sound: _Sound) -> list[TurnEvent]:
        silence_ms = self.now_ms - sound.voiced_end_ms
        is_too_long = self.now_ms - sound.start_ms >= self._options.max_utterance_ms
        if silence_ms == 0 and not is_too_long:  # what the end sounds like is not asked while there is voice
            return self._follow_pause(sound, math.inf)
        features = EndFeatures(
            sound.text,
            sound.text_is_final,
            sound.confidence,
            sound.contour.ending() if sound.voiced_end_ms < self.now_ms else None,
            self._dialogue.expected,
            self._pauses.usual_ms,
            self._model_opinion(sound),
        )
        finished = finished_probability(features)
        needed_ms = self._silence_needed_ms(features, finished)
        reason: Literal["silence", "too_long"] | None = None
        if silence_ms >= needed_ms:
            reason = "silence"
        elif is_too_long:
            reason = "too_long"
        events = self._follow_pause(sound, 0.0 if reason else self._likely_end_ms(sound, finished, needed_ms))
        if reason:
            is_distant = not sound.over_agent and self._distance(sound.level_dbfs) != "near"
            events.append(
                SpeechEnded(self.now_ms, sound.voiced_end_ms, sound.revision, reason, finished, needed_ms, is_distant)
            )
            if not sound.over_agent:
                self._loudness.hear_user(sound.level_dbfs)
            self._sound = None
            self._turn_ended_ms = sound.voiced_end_ms
        return events

    def _model_opinion(self, sound: _Sound) -> ModelOpinion | None:
        if sound.model_probability is None:
            return None
        return ModelOpinion(sound.model_probability, self.now_ms - sound.judged_ms)

    def _follow_pause(self, sound: _Sound, likely_end_ms: float) -> list[TurnEvent]:
        """LikelyEnd after so much silence, SpeechResumed when voice comes after it."""
        events: list[TurnEvent] = []
        is_voiced = sound.voiced_end_ms == self.now_ms
        if is_voiced and sound.likely_end:
            sound.likely_end = False
            sound.model_probability = None
            sound.revision += 1
            events.append(SpeechResumed(self.now_ms, sound.revision))
        if not sound.likely_end and self.now_ms - sound.voiced_end_ms >= likely_end_ms:
            sound.likely_end = True
            sound.judged_ms = self.now_ms
            events.append(LikelyEnd(self.now_ms, sound.revision))
        return events

    def _silence_needed_ms(self, features: EndFeatures, finished: float) -> float:
        if self._options.mode == "server_vad":
            return max(FRAME_MS, self._options.silence_duration_ms)
        return self._options.patience * silence_needed_ms(features, PATIENCE[self._options.eagerness], finished)

    def _likely_end_ms(self, sound: _Sound, finished: float, needed_ms: float) -> float:
        """Silence after which the turn may be over: sooner for words that look finished, though some may be missing."""
        if sound.revision >= MAX_EARLY_ENDS:
            early_ms = LATEST_LIKELY_END_MS
        elif not sound.text or sound.voiced_frames * FRAME_MS < SHORT_UTTERANCE_MS:
            early_ms = EARLIEST_LIKELY_END_MS
        else:
            if_all_ms = wait_ms(finished, PATIENCE[self._options.eagerness])
            early_ms = min(max(LIKELY_END_SHARE * if_all_ms, EARLIEST_LIKELY_END_MS), LATEST_LIKELY_END_MS)
        return min(early_ms, needed_ms / 2)
