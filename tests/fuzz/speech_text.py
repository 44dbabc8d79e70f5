"""The text of an answer on its way to be spoken, cut into segments, without Markdown, figures in words; and a user's
reply to a question for consent."""

from __future__ import annotations

from fuzz.harness import Fuzzer
from talkover.realtime.consent import is_only_no, understood
from talkover.tts.markdown import MarkdownStripper
from talkover.tts.normalize import speakable
from talkover.tts.pronunciation import pronounced
from talkover.tts.segment import Segmenter
from talkover.tts.speech_marks import SPEECH_MARKS, StyleReader
from talkover.tts.spoken_text import SpokenText

_HINTS = (None, "en-US", "zh-CN", "de", "ja", "fr")
_MAX_WIDTH = 200


def fuzz_speech_text(data: bytes) -> None:
    """The first byte gives the language. Every figure and mark is spoken within bounds, and points into its text."""
    hint = _HINTS[data[0] % len(_HINTS)] if data else None
    text = data[1:].decode("utf-8", "replace")
    stripper, styles = MarkdownStripper(), StyleReader()
    segmenter = Segmenter()
    for segment in [*segmenter.feed(text), *segmenter.flush()]:
        spoken = speakable(styles.read(segment), hint, stripper, frozenset(SPEECH_MARKS))
        _check(spoken, segment)
    assert len(styles.style) <= 200
    _check(pronounced(text, {"SQL": "sequel", "a": "", "你": "wo"}), text)


def fuzz_segments(data: bytes) -> None:
    """The first byte says how the text comes: the segments are the same, short enough, and all of the text."""
    size = data[0] % 32 + 1 if data else 1
    text = data[1:].decode("utf-8", "replace")
    whole = _segments([text])
    assert _segments([text[at : at + size] for at in range(0, len(text), size)]) == whole
    assert "".join(whole).rstrip() == text.rstrip()
    # blanks lead a segment and are not spoken
    assert all(len(segment.strip()) <= _MAX_WIDTH + 10 for segment in whole), max(map(len, whole))


def fuzz_spoken_consent(data: bytes) -> None:
    """What says anything more than yes is no consent."""
    text = data.decode("utf-8", "replace")
    assert understood(text) in ("yes", "no", "stop", "other")
    assert isinstance(is_only_no(text), bool)
    for more in (" but to another address", "，但是换个地址"):
        assert understood(text + more) != "yes"


def _segments(deltas: list[str]) -> list[str]:
    segmenter = Segmenter()
    return [segment for delta in deltas for segment in segmenter.feed(delta)] + segmenter.flush()


def _check(spoken: SpokenText, segment: str) -> None:
    display = said = 0
    for change in spoken.changes:
        assert display <= change.display_start <= change.display_end <= len(spoken.display)
        assert said <= change.spoken_start <= change.spoken_end <= len(spoken.spoken)
        unchanged = spoken.display[display : change.display_start]
        assert unchanged == spoken.spoken[said : change.spoken_start]
        display, said = change.display_end, change.spoken_end
    assert spoken.display[display:] == spoken.spoken[said:]
    assert len(spoken.spoken) <= 60 * len(segment) + 100, "more is said than anybody would read"


FUZZERS = (
    Fuzzer("speech_text", fuzz_speech_text),
    Fuzzer("segments", fuzz_segments),
    Fuzzer("spoken_consent", fuzz_spoken_consent),
)
