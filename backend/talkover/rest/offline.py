"""Whole texts to speech and whole recordings to text, outside a conversation: for REST and the command line."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from talkover.audio import INPUT_RATE_HZ, VAD_FRAME_SAMPLES, Chunker, samples_to_ms
from talkover.engines import AsrEngine, Hypothesis, IsStale, TtsEngine, VadEngine, speech_marks
from talkover.messages import Samples, VoiceSettings
from talkover.rest.pauses import speech_spans
from talkover.tts.markdown import MarkdownStripper
from talkover.tts.normalize import speakable
from talkover.tts.segment import Segmenter
from talkover.tts.speech_marks import StyleReader

_FEED_SAMPLES = 1600  # 100 ms: how often a departed client is noticed


def speak(text: str, tts: TtsEngine, voice: VoiceSettings, is_stale: IsStale) -> Generator[Samples, None, None]:
    """Speech for `text`, Markdown and all, segment by segment: (n,) float32 at 24 kHz at a time.

    Raises EngineFailed, and ValueError for an unknown voice.
    """
    segmenter, stripper, styles = Segmenter(), MarkdownStripper(), StyleReader()
    for segment in [*segmenter.feed(text), *segmenter.flush()]:
        spoken = speakable(styles.read(segment), None, stripper, speech_marks(tts)).spoken
        if not spoken.strip():
            continue
        how = replace(voice, instruction=styles.style) if styles.style else voice
        for chunk in tts.synthesize(spoken, how, is_stale):
            if is_stale():
                return
            yield chunk.samples


@dataclass(frozen=True, slots=True)
class TranscribedPiece:
    """One utterance of a recording."""

    start_s: float
    end_s: float
    text: str
    language: str | None


def transcribe_pieces(
    samples: Samples,
    vad: VadEngine,
    asr: AsrEngine,
    *,
    language: str | None = None,
    hint: str = "",
    is_stale: IsStale = lambda: False,
) -> Generator[TranscribedPiece, None, None]:
    """The utterances of (n,) float32 at 16 kHz, in order, those without words left out. Raises EngineFailed."""
    detector = vad.stream()
    probabilities: list[float] = []
    for frame in Chunker(VAD_FRAME_SAMPLES).feed(samples):
        if is_stale():
            return
        probabilities.append(detector.speech_probability(frame))
    for span in speech_spans(probabilities):
        start = span.start * VAD_FRAME_SAMPLES
        end = samples.size if span.end == len(probabilities) else span.end * VAD_FRAME_SAMPLES
        hypothesis = _recognise(asr, samples[start:end], language, hint, is_stale)
        if is_stale():
            return
        if hypothesis.text:
            yield TranscribedPiece(
                samples_to_ms(start, INPUT_RATE_HZ) / 1000,
                samples_to_ms(end, INPUT_RATE_HZ) / 1000,
                hypothesis.text,
                hypothesis.language,
            )


def _recognise(asr: AsrEngine, samples: Samples, language: str | None, hint: str, is_stale: IsStale) -> Hypothesis:
    stream = asr.stream(language, hint)
    try:
        for start in range(0, samples.size, _FEED_SAMPLES):
            if is_stale():
                return Hypothesis("")
            stream.feed(samples[start : start + _FEED_SAMPLES])
        return stream.finish(is_stale)
    finally:
        stream.close()


def subtitles(pieces: Sequence[TranscribedPiece], decimal_mark: str) -> str:
    """Numbered cues as SubRip and WebVTT write them; they differ in the decimal mark."""
    cues = (
        f"{number}\n{_clock(piece.start_s, decimal_mark)} --> {_clock(piece.end_s, decimal_mark)}\n{piece.text}\n"
        for number, piece in enumerate(pieces, 1)
    )
    return "\n".join(cues)


def _clock(seconds: float, decimal_mark: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{decimal_mark}{ms % 1000:03}"
