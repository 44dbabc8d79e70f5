"""When each word sounds, while the speech is still being made.

CosyVoice2 says nothing about this, so it is estimated from what there is: how long each word should take by its
letters and syllables, where the audio pauses (which is where the text has punctuation), and, as soon as the language
model has come to its end, how long the whole will be.
"""

from __future__ import annotations

import bisect
import itertools
import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkover.audio import OUTPUT_RATE_HZ
from talkover.messages import Samples, Word

FRAME_S = 0.01
_FRAME = round(OUTPUT_RATE_HZ * FRAME_S)
PAUSE_S = 0.12
"""a shorter gap is a stop consonant"""
_QUIET_DB = 26.0
"""below the loudest stretch so far: a pause"""
_USUAL_PEAK_DB = -20.0
"""of speech; what is far below is silence, also before the first word"""
_NEAR_S, _NEAR_SHARE = 0.5, 0.35
"""a pause belongs to the punctuation that is expected at most this long, or this share of the speech since the last
pause, before or after it"""
_SKIPPING = 1.2
"""how unlikely it is that a rest is left out, in seconds of deviation per second of rest"""
_WAIT_S = 0.15
"""how long the word behind a mark waits for the pause there, before it is taken to be spoken without one"""
_LEARNED_FROM_S, _LEARNED_SHARE = 0.8, 0.5
"""how much speech between two rests tells something, and how much it counts"""
_MOST_OFF = 1.8
"""how much faster or slower than the voice's pace the rest of a text may be taken to be"""
DEFAULT_PACE = 1.0
"""seconds of speech per second that the words should take"""

_SPOKEN = re.compile(
    r"<\|?[^<>]{1,20}\|?>|\[[a-z_-]{1,20}\]"  # marks: laughter, emphasis; not words
    r"|(?P<cjk>[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff])"
    r"|(?P<word>[^\W_\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff]+(?:['’.-]?[^\W_\u3041-\uffff]+)*)"
)
_VOWELS = re.compile(r"[aeiouyàáâäãåæèéêëìíîïòóôöõøœùúûüýÿ]+", re.IGNORECASE)
_FINAL_S = 0.08
"""words before a rest are drawn out"""
_PAUSES_S = (("，,、;；:：—–-", 0.22), ("。．.！!？?…\n", 0.40))
"""how long a voice rests at a mark"""


@dataclass(frozen=True, slots=True)
class Expected:
    """A word of the text and how long it and the rest behind it should take, in seconds at an average pace."""

    start: int
    end: int
    speech_s: float
    pause_s: float


def expected_words(text: str) -> list[Expected]:
    """The words of `text`, a CJK character being one each."""
    matches = [match for match in _SPOKEN.finditer(text) if match["cjk"] or match["word"]]
    words: list[Expected] = []
    for index, match in enumerate(matches):
        following = matches[index + 1].start() if index + 1 < len(matches) else len(text)
        between = text[match.end() : following]
        pause_s = max((rest_s for marks, rest_s in _PAUSES_S if any(mark in between for mark in marks)), default=0.0)
        speech_s = _speech_s(match) + (_FINAL_S if pause_s else 0.0)
        words.append(Expected(match.start(), match.end(), speech_s, pause_s))
    return words


def _speech_s(match: re.Match[str]) -> float:
    if match["cjk"]:
        return 0.21
    word = match["word"]
    if word.isdigit():
        return 0.30 * len(word)
    syllables = max(1, len(_VOWELS.findall(word)) - (len(word) > 3 and word.lower().endswith("e")))
    return 0.04 + 0.08 * syllables + 0.032 * len(word)


class WordAligner:
    """Word times of one piece of text, from its samples as they are made."""

    def __init__(self, text: str, pace: float = DEFAULT_PACE) -> None:
        """`pace`: seconds the voice takes for an expected second, until the audio tells."""
        self._words = expected_words(text)
        self._starts_s = np.cumsum([0.0, *(word.speech_s for word in self._words)])
        """(n + 1,) where each word begins in expected speech, and where the last one ends"""
        pauses_s = [word.pause_s for word in self._words]
        self._pauses_left_s = np.cumsum(pauses_s[::-1])[::-1] if pauses_s else np.zeros(0)
        """(n,) expected rests behind each word, the one at its own end included"""
        ends_s = [float(end_s) for end_s in self._starts_s[1:]]
        self._borders = [(0.0, 0.0), *((end_s, s) for end_s, s in zip(ends_s, pauses_s, strict=True) if s > 0)]
        """where rests are expected, and how long ones; those heard and those passed over are taken out"""
        self._anchor_s = 0.0
        """where the last rest was heard, in expected speech"""
        self._sound_since_s = self._sound_s = 0.0
        """sound since then, and in all"""
        self._rate = 1.0 / pace
        self._position_s = 0.0
        """how far the speech has come, in expected speech"""
        self._n_given = 0
        self._last_start_s = 0.0
        self._now_s = 0.0
        """audio taken, in whole frames"""
        self._rest = np.zeros(0, np.float32)
        """less than a frame"""
        self._peak_db = _USUAL_PEAK_DB
        self._waited_at_s = self._waited_s = 0.0
        """the last rest that was waited for in vain, and how long the next one has been"""
        self._quiet_s = 0.0
        """silence that the audio taken ends with"""

    def feed(self, samples: Samples, total_s: float | None, *, last: bool = False) -> list[Word]:
        """Take the next samples; the words that begin in them: offsets into the text, times from its first sample.

        `total_s`: duration of the whole, when it is known. With `last`, all words left are given out.
        """
        if not self._words:
            return []
        rate = self._rate_for(total_s)
        path = [(self._now_s, self._position_s)]  # (time, position), the way through this stretch
        for is_loud, n_frames in _runs(self._loud_frames(samples)):
            run_s = n_frames * FRAME_S
            was_pause = self._quiet_s >= PAUSE_S
            self._quiet_s = 0.0 if is_loud else self._quiet_s + run_s
            if self._quiet_s < PAUSE_S:  # speech, with the closures of its consonants
                self._go_on(path, run_s, rate)
                continue
            if not was_pause and (border_s := self._border_near(path[-1][1])) is not None:
                path = _ending_at(path, border_s)
                self._rested_at(border_s)
            path.append((path[-1][0] + run_s, path[-1][1]))
        end_s = float(self._starts_s[-1])
        if last:  # what is left has sounded by now
            path = _ending_at(path, max(end_s, path[-1][1]))
        self._now_s = path[-1][0]
        self._position_s = min(path[-1][1], end_s)
        return self._given_out(path, rate, last)

    def _go_on(self, path: list[tuple[float, float]], sound_s: float, rate: float) -> None:
        """Speech for `sound_s`. Where a rest is due it waits for the pause a little, which may be late."""
        self._sound_s += sound_s
        self._sound_since_s += sound_s
        at_s, place_s = path[-1]
        end_s = at_s + sound_s
        for border_s, _ in self._borders:
            if border_s < place_s or border_s <= self._waited_at_s:
                continue
            reached_s = at_s + (border_s - place_s) / rate
            if reached_s >= end_s:
                break
            wait_s = min(end_s - reached_s, _WAIT_S - self._waited_s)
            path += [(reached_s, border_s), (reached_s + wait_s, border_s)]
            at_s, place_s = path[-1]
            self._waited_s += wait_s
            if self._waited_s < _WAIT_S:
                return
            self._waited_at_s, self._waited_s = border_s, 0.0
        path.append((end_s, place_s + rate * (end_s - at_s)))

    def _rate_for(self, total_s: float | None) -> float:
        """Expected speech per second of sound."""
        if total_s is None:
            return self._rate
        word = min(int(np.searchsorted(self._starts_s, self._position_s, side="right")) - 1, len(self._words) - 1)
        left_s = float(self._starts_s[-1]) - self._position_s
        sound_s = total_s - self._now_s - float(self._pauses_left_s[word]) / self._rate
        rate = left_s / max(sound_s, 0.2 * left_s, 1e-3)
        return min(max(rate, self._rate / _MOST_OFF), self._rate * _MOST_OFF)

    def _border_near(self, position_s: float) -> float | None:
        """The place of the rest that a pause at `position_s` is; none when it is an unexpected one.

        Near rests are likely, and rests that would be passed over for a later one are not.
        """
        near_s = max(_NEAR_S, _NEAR_SHARE * (position_s - self._anchor_s))
        best_s, least = None, math.inf
        passed_over = 0.0
        for border_s, pause_s in self._borders:
            cost = abs(border_s - position_s) + passed_over
            if abs(border_s - position_s) <= near_s and cost < least:
                best_s, least = border_s, cost
            passed_over += _SKIPPING * pause_s
        return best_s

    def _rested_at(self, border_s: float) -> None:
        """The way from one rest to the next tells how fast the voice is."""
        passed_s = border_s - self._anchor_s
        if passed_s >= _LEARNED_FROM_S and self._sound_since_s > 0:
            heard = min(max(passed_s / self._sound_since_s, self._rate / _MOST_OFF), self._rate * _MOST_OFF)
            self._rate += _LEARNED_SHARE * (heard - self._rate)
        self._anchor_s, self._sound_since_s, self._waited_s = border_s, 0.0, 0.0
        self._borders = [border for border in self._borders if border[0] > border_s]

    @property
    def pace(self) -> float:
        """Sound per expected second of what was taken; of use once all of it was."""
        return self._sound_s / float(self._starts_s[-1]) if self._words else DEFAULT_PACE

    def _given_out(self, path: list[tuple[float, float]], rate: float, last: bool) -> list[Word]:
        words: list[Word] = []
        while self._n_given < len(self._words):
            start_s = float(self._starts_s[self._n_given])
            if start_s >= self._position_s and not last:
                break
            word = self._words[self._n_given]
            at_s = max(self._last_start_s, _time_at(start_s, path))
            self._last_start_s = at_s
            words.append(Word(word.start, word.end, 1000 * at_s, 1000 * (at_s + word.speech_s / rate)))
            self._n_given += 1
        return words

    def _loud_frames(self, samples: Samples) -> NDArray[np.bool_]:
        """(n,) whether each whole frame, with what was left of the last call, is speech."""
        joined = np.concatenate([self._rest, samples])
        n_frames = joined.size // _FRAME
        self._rest = joined[n_frames * _FRAME :]
        power = np.square(joined[: n_frames * _FRAME].reshape(n_frames, _FRAME)).mean(axis=1)
        level_db = 10 * np.log10(power + 1e-12)
        if n_frames:
            self._peak_db = max(self._peak_db, float(level_db.max()))
        return level_db > self._peak_db - _QUIET_DB


def _runs(flags: NDArray[np.bool_]) -> list[tuple[bool, int]]:
    """Consecutive equal flags, and how many."""
    borders = np.flatnonzero(np.diff(flags)) + 1
    edges = [0, *borders.tolist(), flags.size] if flags.size else []
    return [(bool(flags[start]), end - start) for start, end in itertools.pairwise(edges)]


def _time_at(place_s: float, path: list[tuple[float, float]]) -> float:
    """When `path` leaves `place_s`, or the nearest place it comes to."""
    index = bisect.bisect_right([place for _, place in path], place_s) - 1
    if index < 0:
        return path[0][0]
    (at_s, place), (next_s, next_place) = path[index], path[min(index + 1, len(path) - 1)]
    return at_s + (next_s - at_s) * (place_s - place) / (next_place - place) if next_place > place else at_s


def _ending_at(path: list[tuple[float, float]], position_s: float) -> list[tuple[float, float]]:
    """`path` stretched so that it ends at `position_s`, its beginning kept."""
    begin, end = path[0][1], path[-1][1]
    if end <= begin or position_s <= begin:
        return [(at_s, min(place, position_s)) for at_s, place in path[:-1]] + [(path[-1][0], position_s)]
    factor = (position_s - begin) / (end - begin)
    return [(at_s, begin + (place - begin) * factor) for at_s, place in path]
