"""Which takes there are. Deterministic: the same speech gives the same takes in the same order."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np

from talkover.bench.duplex import sounds
from talkover.bench.duplex.phrases import (
    USER_DBFS,
    Phrase,
    Track,
    in_a_row,
    in_noise,
    louder,
    shortened,
    spoken,
    with_pauses,
)
from talkover.bench.duplex.takes import FAMILIES, AgentState, Echo, Family, Take
from talkover.client.recordings import Span

PAUSES_MS = (300.0, 500.0, 700.0, 1000.0, 1500.0)
PAUSE_KINDS = ("hesitation", "digits", "email", "list", "clause", "order")
NOISE_SNR_DB = 15.0
QUIET_DB = -12.0
"""a user far from the microphone"""
SIDE_TALK_DB = (-10.0, -15.0, -20.0)
ECHO_DB = (-20.0, -12.0, -6.0, 0.0)
ECHO_DELAYS_MS = (20.0, 120.0, 300.0)
LONG_ECHO_DB, LONG_ECHO_DELAY_MS = -6.0, 120.0
MONOLOGUE_PAUSE_MS = 600.0
MAX_MONOLOGUE_MS = 25_000.0
MAX_INTERRUPTION_MS = 4500.0
SILENCE_S = 15.0
ECHO_S = 20.0

EXPECTED = {
    "but_what_time": r"(?i)\b(o'clock|it is|past|minutes?|[ap]\.? ?m\.?)\b",
    "sorry_who": r"(?i)talkover",
    "and_mandarin": r"(?i)mandarin|chinese",
    "and_free": r"(?i)free|licen[cs]e|apache|cost",
    "i_mean_voice": r"(?i)voice",
}
"""what the new answer to an interrupting question is about"""


class Scenarios:
    """Makes takes from phrases."""

    def __init__(self, phrases: Sequence[Phrase], quick: bool, echo_minutes: float | None = None) -> None:
        """`echo_minutes`: so long a run at -6 dB, in place of the short ones at several levels."""
        self._phrases = phrases
        self._quick = quick
        self._echo_minutes = echo_minutes
        self._rng = np.random.default_rng(0)

    def takes(self, families: Collection[Family] = FAMILIES) -> list[Take]:
        makers: dict[Family, Callable[[], list[Take]]] = {
            "answering": self.answering,
            "yes_no": self.yes_no,
            "pause": self.pause,
            "monologue": self.monologue,
            "two_utterances": self.two_utterances,
            "goes_on": self.goes_on,
            "interruption": self.interruption,
            "backchannel": self.backchannel,
            "noise": self.noise,
            "side_talk": self.side_talk,
            "echo": self.echo,
            "silence": self.silence,
        }
        return [take for family in FAMILIES if family in families for take in makers[family]()]

    def openings(self) -> list[Take]:
        """A question of every speaker, with which a call begins; not scored."""
        return [
            replace(_take(phrase, "answering", "opening", spoken(phrase)), listen_s=5.0)
            for phrase in self._all(("question", "order"))
        ]

    # ------------------------------------------------------------------------------------------- the user's turns

    def answering(self) -> list[Take]:
        """Finished utterances: clean, from afar, in noise."""
        chosen = self._some(("question",), 24, 6) + self._some(("order",), 12, 2)
        takes: list[Take] = []
        for phrase, how in zip(chosen, cycle(("clean", "clean", "quiet", "noise")), strict=False):
            track = spoken(phrase)
            if how == "quiet":
                track = louder(track, QUIET_DB)
            elif how == "noise":
                track = in_noise(track, self._pink(), USER_DBFS - NOISE_SNR_DB, 1000, 1500)
            takes.append(_take(phrase, "answering", how, track, listen_s=6.0))
        return takes

    def yes_no(self) -> list[Take]:
        return [
            _take(phrase, "yes_no", phrase.id, spoken(phrase), state="asked", into_agent_s=0.6, listen_s=5.0)
            for phrase in self._some(("yes_no",), 14, 4)
        ]

    def pause(self) -> list[Take]:
        """Unfinished utterances: the user stops to think, and goes on."""
        takes: list[Take] = []
        lengths = cycle(PAUSES_MS)
        rounds = 1 if self._quick else 2
        phrases = _spread([phrase for phrase in self._all(PAUSE_KINDS) if phrase.pauses], 16 if self._quick else 48)
        for _ in range(rounds):
            for phrase in phrases:
                length_ms = next(lengths)
                pauses = phrase.pauses
                if phrase.source == "people":  # natural gaps; the longest is where they really thought
                    pauses = (max(pauses, key=lambda gap: gap.end_ms - gap.start_ms),)
                track = with_pauses(phrase, length_ms, pauses)
                takes.append(_take(phrase, "pause", phrase.kind, track, f"{length_ms:.0f}", listen_s=5.0))
            next(lengths)  # other lengths the second time
        return takes

    def monologue(self) -> list[Take]:
        takes: list[Take] = []
        for phrase in self._some(("monologue",), 7, 1):
            if phrase.source == "people":
                whole = with_pauses(phrase, MONOLOGUE_PAUSE_MS, ())
                track = shortened(_split(whole, phrase), MAX_MONOLOGUE_MS)
            else:
                track = with_pauses(phrase, MONOLOGUE_PAUSE_MS)
            takes.append(_take(phrase, "monologue", phrase.source, track, listen_s=6.0))
        return takes

    def two_utterances(self) -> list[Take]:
        """Two questions in a row: the second begins while the first is about to be answered, or is being answered."""
        questions = [phrase for phrase in self._some(("question",), 12, 4) if phrase.source == "generated"]
        by_speaker: dict[str, list[Phrase]] = {}
        for phrase in questions:
            by_speaker.setdefault(phrase.speaker, []).append(phrase)
        takes: list[Take] = []
        gaps_ms = cycle((700.0, 1000.0, 1500.0))
        for first, second in [(group[0], group[-1]) for group in by_speaker.values() if len(group) > 1]:
            for gap_ms in (next(gaps_ms), next(gaps_ms)) if not self._quick else (next(gaps_ms),):
                track = in_a_row((spoken(first), spoken(second)), gap_ms)
                take = _take(
                    second, "two_utterances", f"{gap_ms:.0f} ms", track, f"{first.id}, {gap_ms:.0f}", listen_s=6.0
                )
                takes.append(replace(take, text=f"{first.text} {second.text}"))
        return takes

    def goes_on(self) -> list[Take]:
        """The user goes on once the answer has begun."""
        takes: list[Take] = []
        for phrase in self._some(("goes_on",), 6, 2):
            question = next(p for p in self._all(("question",)) if p.speaker == phrase.speaker)
            first, second = spoken(question), spoken(phrase)
            take = _take(question, "goes_on", phrase.id, first, phrase.id, into_agent_s=0.4, listen_s=6.0)
            takes.append(
                replace(
                    take,
                    then=second.samples,
                    then_sounds=second.sounds,
                    text=f"{question.text} {phrase.text}",
                    expects=EXPECTED.get(phrase.id, ""),
                )
            )
        return takes

    # -------------------------------------------------------------------------------------- over the agent's speech

    def interruption(self) -> list[Take]:
        kinds = ("command", "correction", "interrupting_question")
        takes: list[Take] = []
        for phrase in self._some(kinds, 30, 8):
            if phrase.voiced.end_ms - phrase.voiced.start_ms > MAX_INTERRUPTION_MS:
                continue
            take = _take(
                phrase,
                "interruption",
                phrase.kind,
                spoken(phrase),
                state="speaking",
                into_agent_s=self._moment_s(),
                listen_s=5.0,
            )
            takes.append(replace(take, expects=EXPECTED.get(phrase.id, "")))
        return takes

    def backchannel(self) -> list[Take]:
        return [
            _take(
                phrase,
                "backchannel",
                phrase.language,
                spoken(phrase),
                state="speaking",
                into_agent_s=self._moment_s(),
                listen_s=3.5,
            )
            for phrase in self._some(("backchannel",), 41, 10)
        ]

    def noise(self) -> list[Take]:
        """Coughs, laughter, bangs, music: over the agent, and while it is silent."""
        takes: list[Take] = []
        n_each = 1 if self._quick else 3
        for name, make in (sounds.VOCAL | sounds.OTHER).items():
            for index in range(n_each):
                samples = sounds.at_level(make(self._rng), USER_DBFS)
                track = _sounding(samples)
                kind = "vocal" if name in sounds.VOCAL else "other"
                for state in ("speaking", "silent") if index == 0 else ("speaking",):
                    takes.append(self._sound(f"{name} {index}", "noise", kind, track, state))
        return takes

    def side_talk(self) -> list[Take]:
        """Others in the room, and television; all quieter than the user."""
        takes: list[Take] = []
        levels = cycle(SIDE_TALK_DB)
        for index, phrase in enumerate(self._some(("side_talk", "television"), 16, 5)):
            level_db = next(levels)
            track = louder(spoken(phrase), level_db)
            state: AgentState = "silent" if index % 3 == 2 else "speaking"
            take = self._sound(f"{phrase.id}, {phrase.speaker}", "side_talk", phrase.kind, track, state)
            speaker = next(p.speaker for p in self._all(("question",)) if p.speaker != phrase.speaker)
            takes.append(replace(take, text=phrase.text, speaker=speaker, source=phrase.source, level_db=level_db))
        return takes

    def echo(self) -> list[Take]:
        """Nobody speaks but the agent, and it hears itself."""
        takes: list[Take] = []
        levels_db: Sequence[float] = ECHO_DB if not self._quick else (-12.0, -6.0)
        if self._echo_minutes is not None:
            levels_db = (LONG_ECHO_DB,) * math.ceil(self._echo_minutes * 60 / ECHO_S)
        delays_ms = cycle(ECHO_DELAYS_MS if self._echo_minutes is None else (LONG_ECHO_DELAY_MS,))
        for index, level_db in enumerate(levels_db):
            delay_ms = next(delays_ms)
            take = self._sound(
                f"{level_db:.0f} dB, {delay_ms:.0f} ms, {index}",
                "echo",
                f"{level_db:.0f} dB",
                Track(sounds.silence(ECHO_S * 1000), ()),
                "speaking",
            )
            takes.append(replace(take, echo=Echo(level_db, delay_ms), into_agent_s=0.0, listen_s=0.5))
        return takes

    def silence(self) -> list[Take]:
        """Nobody speaks at all."""
        track = Track(sounds.silence(SILENCE_S * 1000), ())
        return [self._sound("room", "silence", "room", track, "silent")]

    # --------------------------------------------------------------------------------------------------- inside

    def _all(self, kinds: Collection[str]) -> list[Phrase]:
        return [phrase for phrase in self._phrases if phrase.kind in kinds]

    def _some(self, kinds: Collection[str], full: int, quick: int) -> list[Phrase]:
        """At most so many, spread over all there are."""
        return _spread(self._all(kinds), quick if self._quick else full)

    def _moment_s(self) -> float:
        """How far into the agent's passage something happens."""
        return float(self._rng.uniform(1.5, 4.0))

    def _pink(self) -> sounds.Samples:
        spectrum = np.fft.rfft(self._rng.standard_normal(1 << 17))
        spectrum /= np.sqrt(np.maximum(np.arange(spectrum.size), 1))
        return np.fft.irfft(spectrum).astype(np.float32)

    def _sound(self, name: str, family: Family, kind: str, track: Track, state: AgentState) -> Take:
        speaker = next(phrase.speaker for phrase in self._all(("question",)))
        return Take(
            name=f"{family}: {name}, {state}",
            family=family,
            kind=kind,
            track=track.samples,
            sounds=track.sounds,
            text="",
            state=state,
            speaker=speaker,
            into_agent_s=self._moment_s(),
            listen_s=3.5,
        )


def _spread(phrases: Sequence[Phrase], n: int) -> list[Phrase]:
    """At most `n` of them, evenly from first to last."""
    if not phrases:
        return []
    indices = np.unique(np.linspace(0, len(phrases) - 1, min(n, len(phrases))).round().astype(int))
    return [phrases[int(index)] for index in indices]


def _take(
    phrase: Phrase,
    family: Family,
    kind: str,
    track: Track,
    label: str = "",
    *,
    state: AgentState = "silent",
    into_agent_s: float = 0.0,
    listen_s: float = 3.0,
) -> Take:
    details = f", {label}" if label else ""
    return Take(
        name=f"{family}: {phrase.id}, {phrase.speaker}{details}",
        family=family,
        kind=kind,
        track=track.samples,
        sounds=track.sounds,
        text=phrase.text,
        state=state,
        language=phrase.language,
        source=phrase.source,
        speaker=phrase.speaker,
        into_agent_s=into_agent_s,
        listen_s=listen_s,
    )


def _sounding(samples: sounds.Samples) -> Track:
    """A sound without its quiet end."""
    loud = np.flatnonzero(np.abs(samples) >= np.max(np.abs(samples)) * 10 ** (-30 / 20))
    return Track(samples, (Span(int(loud[0]) / 24, int(loud[-1]) / 24),))


def _split(track: Track, phrase: Phrase) -> Track:
    """The natural gaps of a recording told as pauses."""
    edges = [phrase.voiced.start_ms, *(t for gap in phrase.pauses for t in (gap.start_ms, gap.end_ms))]
    edges.append(phrase.voiced.end_ms)
    return Track(track.samples, tuple(Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)))
