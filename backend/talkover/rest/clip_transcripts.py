"""What a voice's clip says, written down by the recogniser where nobody has: cloning needs the words of its example."""

from __future__ import annotations

import logging

from talkover.audio import INPUT_RATE_HZ, resampled
from talkover.engines import AsrEngine, EngineFailed, IsStale, VoiceLibrary, VoiceRefused
from talkover.messages import Samples

log = logging.getLogger(__name__)

SURE = 0.5
"""confidence under which no transcript is better than what was heard: a wrong one makes the voice mumble"""
_FEED_SAMPLES = 1600  # 100 ms: how often a departed client is noticed
_NOT_KNOWN = "und"


def heard_in_clip(asr: AsrEngine, samples: Samples, rate_hz: int, language: str, is_stale: IsStale) -> str:
    """The words of a clip, (n,) float32; "" when they were not understood for sure. Raises EngineFailed."""
    at_16k = resampled(samples, rate_hz, INPUT_RATE_HZ)
    stream = asr.stream(language if language and language != _NOT_KNOWN else None)
    try:
        for start in range(0, at_16k.size, _FEED_SAMPLES):
            if is_stale():
                return ""
            stream.feed(at_16k[start : start + _FEED_SAMPLES])
        heard = stream.finish(is_stale)
    finally:
        stream.close()
    return heard.text if heard.confidence is None or heard.confidence >= SURE else ""


def fill_transcripts(library: VoiceLibrary, asr: AsrEngine) -> None:
    """Write down every clip of `library` that has no transcript; one that cannot be understood stays without."""
    for voice_id, (samples, rate_hz) in library.without_transcript().items():
        try:
            text = heard_in_clip(asr, samples, rate_hz, "", lambda: False)
            if text:
                library.set_transcript(voice_id, text)
        except (EngineFailed, VoiceRefused) as error:
            log.warning("voice %s: its clip could not be written down: %s", voice_id, error)
            continue
        log.info("voice %s: %s", voice_id, "its clip was written down" if text else "its clip was not understood")
