"""The voices of the embedded engine, the names they answer to, and which of them speaks which script."""

from __future__ import annotations

from dataclasses import dataclass, replace

from talkover.engines import Voice
from talkover.tts.language import Script

ENGINE_NAME = "espeak"


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """How espeak-ng makes one voice."""

    voice: Voice
    language: str
    """espeak-ng's language name, e.g. en-us, cmn"""
    variant: str
    """espeak-ng's voice variant, e.g. f2; empty for the plain voice"""
    words_per_minute: int
    """at speed 1"""
    pitch: int = 50
    """0 to 100; 50 leaves the variant as it is"""

    @property
    def espeak_name(self) -> str:
        return f"{self.language}+{self.variant}" if self.variant else self.language


def _voice(
    voice_id: str, name: str, tag: str, gender: str, language: str, variant: str, wpm: int, pitch: int = 50
) -> EspeakVoice:
    return EspeakVoice(Voice(voice_id, name, tag, ENGINE_NAME, gender), language, variant, wpm, pitch)


# Variants were chosen by measured median pitch (female 180-210 Hz, male 93-107 Hz), periodicity and headroom of their
# speech; the whispering, clipping and robot variants are left out. A Mandarin "word" of espeak-ng is a character: 215
# of its words a minute give about 4.5 characters a second. Japanese is missing because espeak-ng spells out kanji.
_VOICES = (
    _voice("en-us-f1", "American English, female 1", "en-US", "female", "en-us", "f2", 168),
    _voice("en-us-f2", "American English, female 2", "en-US", "female", "en-us", "f4", 168),
    _voice("en-us-m1", "American English, male 1", "en-US", "male", "en-us", "", 168),
    _voice("en-us-m2", "American English, male 2", "en-US", "male", "en-us", "m3", 168, 55),
    _voice("en-gb-f1", "British English, female", "en-GB", "female", "en-gb-x-rp", "f3", 165),
    _voice("en-gb-m1", "British English, male", "en-GB", "male", "en-gb-x-rp", "m7", 165, 55),
    _voice("zh-cn-f1", "普通话女声一", "zh-CN", "female", "cmn", "f2", 215, 55),
    _voice("zh-cn-f2", "普通话女声二", "zh-CN", "female", "cmn", "f5", 215, 55),
    _voice("zh-cn-m1", "普通话男声一", "zh-CN", "male", "cmn", "", 215, 60),
    _voice("zh-cn-m2", "普通话男声二", "zh-CN", "male", "cmn", "m7", 215, 60),
    _voice("de-f1", "Deutsch, weiblich", "de-DE", "female", "de", "f2", 160),
    _voice("de-m1", "Deutsch, männlich", "de-DE", "male", "de", "", 160),
    _voice("fr-f1", "Français, féminine", "fr-FR", "female", "fr", "f2", 165),
    _voice("fr-m1", "Français, masculin", "fr-FR", "male", "fr", "", 165),
    _voice("es-f1", "Español, femenina", "es-ES", "female", "es", "f2", 165),
    _voice("es-m1", "Español, masculina", "es-ES", "male", "es", "", 165),
    _voice("it-f1", "Italiano, femminile", "it-IT", "female", "it", "f2", 165),
    _voice("pt-br-f1", "Português do Brasil, feminina", "pt-BR", "female", "pt-br", "f2", 165),
    _voice("nl-f1", "Nederlands, vrouw", "nl-NL", "female", "nl", "f2", 165),
    _voice("pl-f1", "Polski, żeński", "pl-PL", "female", "pl", "f2", 160),
    _voice("ru-f1", "Русский, женский", "ru-RU", "female", "ru", "f2", 160),
    _voice("ko-f1", "한국어 여성", "ko-KR", "female", "ko", "f2", 165),
)
ESPEAK_VOICES: dict[str, EspeakVoice] = {entry.voice.id: entry for entry in _VOICES}

VOICE_ALIASES: dict[str, str] = {
    "default": "en-us-f1",
    # the names of OpenAI's voices, which stock clients send
    "alloy": "en-us-f1",
    "ash": "en-us-m1",
    "ballad": "en-gb-m1",
    "coral": "en-us-f2",
    "echo": "en-us-m2",
    "sage": "en-gb-f1",
    "shimmer": "en-us-f2",
    "verse": "en-us-m1",
    "marin": "en-us-f1",
    "cedar": "en-us-m2",
}

# What speaks a script the chosen voice cannot: espeak-ng language and its speaking rate.
_SPEAKERS: dict[Script, tuple[str, int]] = {
    "Latn": ("en-us", 168),
    "Hani": ("cmn", 215),
    "Kana": ("ja", 165),
    "Hang": ("ko", 165),
    "Cyrl": ("ru", 160),
    "Grek": ("el", 165),
    "Arab": ("ar", 160),
    "Hebr": ("he", 160),
    "Deva": ("hi", 160),
    "Thai": ("th", 160),
}
_OWN_SCRIPT: dict[str, Script] = {"cmn": "Hani", "ru": "Cyrl", "ko": "Hang"}


def resolve_voice(voice_id: str) -> Voice | None:
    """The voice called `voice_id` or aliased by it, None when there is none."""
    entry = espeak_voice(voice_id)
    return entry.voice if entry is not None else None


def espeak_voice(voice_id: str) -> EspeakVoice | None:
    """How `voice_id`, a voice or an alias, is made; None when there is none."""
    return ESPEAK_VOICES.get(VOICE_ALIASES.get(voice_id, voice_id))


def speaker_for(entry: EspeakVoice, script: Script | None) -> EspeakVoice:
    """`entry` itself when it speaks `script`, else its counterpart of the same gender that does."""
    if script is None or script == _OWN_SCRIPT.get(entry.language, "Latn"):
        return entry
    language, words_per_minute = _SPEAKERS[script]
    return replace(entry, language=language, words_per_minute=words_per_minute)
