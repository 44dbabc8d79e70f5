"""What SenseVoice writes in front of and between the words: language, emotion, events, and how numbers are written."""

from __future__ import annotations

import re

from talkover.engines import Hypothesis

LANGUAGES = {"zh": "zh", "en": "en", "yue": "yue", "ja": "ja", "ko": "ko"}
NO_SPEECH = "nospeech"
EMOTIONS = {
    "HAPPY": "happy",
    "SAD": "sad",
    "ANGRY": "angry",
    "NEUTRAL": "neutral",
    "FEARFUL": "fearful",
    "DISGUSTED": "disgusted",
    "SURPRISED": "surprised",
}
EVENTS = {
    "BGM": "music",
    "Applause": "applause",
    "Laughter": "laughter",
    "Cry": "crying",
    "Cough": "cough",
    "Sneeze": "sneeze",
    "Breath": "breath",
}
"""`Speech` says nothing new, and the unknown ones say nothing"""

_TAG = re.compile(r"<\|([^|<>]*)\|>")


def hypothesis_of(tagged: str, confidence: float | None) -> Hypothesis:
    """`<|en|><|HAPPY|><|Laughter|><|withitn|>Good morning.` taken apart.

    Of several languages and emotions the first counts; each event counts once. What is tagged as no speech has no
    text, though it may have events.
    """
    tags = _TAG.findall(tagged)
    text = "" if NO_SPEECH in tags else " ".join(_TAG.sub(" ", tagged).split())
    return Hypothesis(
        text,
        len(text),
        confidence if text else None,
        language=next((LANGUAGES[tag] for tag in tags if tag in LANGUAGES), None),
        emotion=next((EMOTIONS[tag] for tag in tags if tag in EMOTIONS), None),
        events=tuple(dict.fromkeys(EVENTS[tag] for tag in tags if tag in EVENTS)),
    )


def spoken_language(asked: str | None) -> str:
    """SenseVoice's name for a BCP 47 tag: zh, en, yue, ja, ko; `auto` for none and for every other."""
    if not asked:
        return "auto"
    language, _, region = asked.lower().replace("_", "-").partition("-")
    if language == "zh" and region in ("hk", "mo", "yue"):
        return "yue"
    return language if language in LANGUAGES else "auto"
