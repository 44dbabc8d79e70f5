"""One utterance in a pocketsphinx decoder: channel normalisation, partial words, final words and confidence.

Runs in the worker processes. pocketsphinx normalises each utterance by its cepstral mean, which live decoding does not
know at the start: it begins with a typical one, and when enough has been heard to see that this channel is different,
the utterance is decoded again from its start with the measured mean (20 times faster than real time). On synthesised
voices this halves the word errors of the library's fixed initial mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from talkover.asr.language_model import LanguageModelFiles
from talkover.asr.worker_frames import DecodedWords
from talkover.audio import INPUT_RATE_HZ

Mean = NDArray[np.float64]

BYTES_PER_SAMPLE = 2
BYTES_PER_MS = INPUT_RATE_HZ * BYTES_PER_SAMPLE // 1000

TYPICAL_MEAN: Mean = np.array([49.4, 4.4, 6.6, 22.3, -0.7, 0.2, 4.5, -5.5, -2.2, -3.6, 6.1, 1.6, 1.6])
"""(13,) cepstral mean over 180 utterances of four synthesised voices"""
MEAN_SPREAD: Mean = np.array([3.6, 5.3, 7.7, 9.6, 6.3, 3.0, 5.0, 5.9, 4.2, 6.5, 4.1, 4.0, 4.5])
"""(13,) their standard deviation"""
MEASURE_AT_MS = (1500, 3000, 6000)
"""how much audio makes the mean worth measuring: before 1.5 s measured means made results worse than the typical one"""
MEASURE_AT_END_MS = 1000
"""a shorter utterance keeps the typical mean"""
MAX_DISTANCE = 0.5
"""mean squared distance, in units of spread, up to which the mean in use is good enough"""
PRIOR_WEIGHT_FRAMES = 500
"""pocketsphinx gives the initial mean the weight of this many frames (CMN_WIN of its cmn.c)"""

MAX_WORD_FRAMES = 150
"""at 100 a second; a longer word is noise that was forced into one"""
LANGUAGE_WEIGHT = 8.0
CONFIDENCE_BIAS, CONFIDENCE_PER_POSTERIOR, CONFIDENCE_PER_LANGUAGE = 0.6, 3.5, 0.05
"""logistic regression of word accuracy on questions in and out of the domain"""
_SCORE_SCALE = 1024
"""segment scores come shifted right by 10 bits (SENSCR_SHIFT of pocketsphinx)"""


def make_decoder(files: LanguageModelFiles) -> Any:
    """A decoder for the language model; about 0.05 s and 19 MB. Raises RuntimeError.

    The second pass over the utterance is left out: it takes 60 to 160 ms after the end of speech. The search is kept to
    1500 hypotheses a frame: 0.15 of a core instead of 0.26, at the same word errors.
    """
    return cast(Any, pocketsphinx).Decoder(
        lm=str(files.language_model),
        dict=str(files.dictionary),
        lw=LANGUAGE_WEIGHT,
        maxhmmpf=1500,
        fwdflat=False,
        bestpath=True,
        loglevel="FATAL",
    )


class Decoding:
    """An utterance from its first to its last sample. It owns its decoder until `finish` or `abandon`."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._audio = bytearray()
        self._decoded_bytes = 0
        self._mean = TYPICAL_MEAN
        self._measurements = list(MEASURE_AT_MS)
        self._start()

    @property
    def pending_bytes(self) -> int:
        """Audio that was fed and not decoded yet."""
        return len(self._audio) - self._decoded_bytes

    @property
    def decoded_ms(self) -> int:
        return self._decoded_bytes // BYTES_PER_MS

    def feed(self, pcm16: bytes) -> None:
        """Take whole int16 samples at 16 kHz; nothing is decoded yet."""
        self._audio += pcm16

    def step(self, max_bytes: int) -> None:
        """Decode up to so many bytes of what is pending."""
        end = min(len(self._audio), self._decoded_bytes + max_bytes)
        if end > self._decoded_bytes:
            self._decoder.process_raw(bytes(self._audio[self._decoded_bytes : end]), False, False)
            self._decoded_bytes = end
        if self._measurements and self.decoded_ms >= self._measurements[0]:
            self._measurements.pop(0)
            self._measure()

    def partial(self) -> DecodedWords:
        return DecodedWords(self._words(), self.decoded_ms)

    def finish(self) -> DecodedWords:
        """The final words; everything fed must have been decoded by `step`, else it is ignored."""
        if self.decoded_ms >= MEASURE_AT_END_MS and len(self._measurements) == len(MEASURE_AT_MS):
            self._measure()
            self.step(len(self._audio))
        self._decoder.end_utt()
        if self._decoder.hyp() is None:
            return DecodedWords((), self.decoded_ms)
        spoken = [segment for segment in self._decoder.seg() if segment.word[0] not in "<["]
        spoken = [segment for segment in spoken if segment.end_frame - segment.start_frame < MAX_WORD_FRAMES]
        if not spoken:
            return DecodedWords((), self.decoded_ms)
        words = tuple(segment.word.partition("(")[0] for segment in spoken)
        confidence = expected_accuracy([segment.prob for segment in spoken], [segment.lscore for segment in spoken])
        return DecodedWords(words, self.decoded_ms, confidence)

    def abandon(self) -> bytes:
        """Free the decoder without a result; the audio fed so far."""
        self._decoder.end_utt()
        return bytes(self._audio)

    def _start(self) -> None:
        self._decoder.set_cmn(",".join(f"{value:.3f}" for value in self._mean))
        self._decoder.start_utt()
        self._decoded_bytes = 0

    def _measure(self) -> None:
        """Start again with the mean of the audio so far, when it is far from the one in use."""
        n_frames = self._decoder.n_frames()
        mixed = np.array([float(value) for value in self._decoder.get_cmn(True).split(",")])
        measured = mixed + (mixed - self._mean) * PRIOR_WEIGHT_FRAMES / max(1, n_frames)
        if float(np.mean(np.square((measured - self._mean) / MEAN_SPREAD))) > MAX_DISTANCE:
            self._decoder.end_utt()
            self._mean = measured
            self._start()

    def _words(self) -> tuple[str, ...]:
        hypothesis = self._decoder.hyp()
        return tuple(hypothesis.hypstr.split()) if hypothesis is not None else ()


def expected_accuracy(posteriors: Sequence[float], language_scores: Sequence[float]) -> float:
    """Confidence in [0, 1]: how sure the search was of each word, and how usual the words are in a row.

    `posteriors` are in [0, 1], `language_scores` are pocketsphinx's scaled-down probabilities; one of each per word.
    """
    posterior = sum(posteriors) / len(posteriors)
    language = sum(math.log(max(score, 1e-300)) for score in language_scores) * _SCORE_SCALE / len(language_scores)
    evidence = CONFIDENCE_BIAS + CONFIDENCE_PER_POSTERIOR * posterior + CONFIDENCE_PER_LANGUAGE * language
    return 1 / (1 + math.exp(-evidence))
