"""Which engines there are. Adding one is a line here and a module with a `create` function.

`create(settings)` takes the whole `Settings`, returns the engine, and is the only name the registry knows of a module.
It raises `EngineUnavailable` when something it needs is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from talkover.config import Settings
from talkover.engines import EngineUnavailable
from talkover.extras import install_command

Slot = Literal["vad", "asr", "llm", "tts"]


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """One engine of a slot."""

    module: str
    summary: str
    extra: str | None = None
    """the optional dependency group it needs"""


ENGINES: dict[Slot, dict[str, EngineEntry]] = {
    "vad": {
        "silero": EngineEntry("talkover.vad.silero", "Silero VAD, no torch"),
        "webrtc": EngineEntry("talkover.vad.webrtc", "WebRTC VAD alone: cheapest, fooled by noise"),
    },
    "asr": {
        "pocketsphinx": EngineEntry("talkover.asr.pocketsphinx", "embedded English recogniser, tuned to the documents"),
        "paraformer": EngineEntry("talkover.asr.paraformer", "Mandarin and English while they are spoken", "full"),
        "sensevoice": EngineEntry("talkover.asr.sensevoice", "five languages with emotion and events", "full"),
        "whisper": EngineEntry("talkover.asr.whisper", "Whisper through faster-whisper: many languages", "whisper"),
        "openai": EngineEntry("talkover.asr.openai_api", "any OpenAI-compatible transcription endpoint"),
    },
    "llm": {
        "embedded": EngineEntry("talkover.llm.embedded", "answers from the knowledge folder, no model"),
        "openai": EngineEntry("talkover.llm.openai_api", "any OpenAI-compatible chat endpoint"),
        "transformers": EngineEntry("talkover.llm.transformers_model", "a chat model of a local folder", "full"),
    },
    "tts": {
        "espeak": EngineEntry("talkover.tts.espeak", "espeak-ng: English, Mandarin and others, instant"),
        "cosyvoice2": EngineEntry(
            "talkover.tts.cosyvoice2.engine", "CosyVoice2: cloned voices in many languages", "full"
        ),
        "openai": EngineEntry("talkover.tts.openai_api", "any OpenAI-compatible speech endpoint"),
    },
}


PLANNED: dict[Slot, tuple[str, ...]] = {
    "vad": (),
    "asr": (),
    "llm": (),
    "tts": ("voxcpm",),
}
"""engines that configurations may already name, and that do not exist yet"""


def unknown_engine(slot: Slot, name: str) -> str | None:
    """Why `name` cannot fill `slot`, as a line for the user; None when there is such an engine."""
    if name in ENGINES[slot]:
        return None
    choices = ", ".join(ENGINES[slot])
    if name in PLANNED[slot]:
        return f"{slot}.engine: {name!r} is planned and not there yet; today there is: {choices}"
    return f"{slot}.engine must be one of {choices}, got {name!r}"


def create_engine(slot: Slot, name: str, settings: Settings) -> Any:
    """The engine called `name`. Raises EngineUnavailable for an unknown name or a missing package."""
    if (problem := unknown_engine(slot, name)) is not None:
        raise EngineUnavailable(problem)
    entry = ENGINES[slot][name]
    try:
        module = import_module(entry.module)
    except ImportError as error:
        command = install_command(entry.extra or "")
        raise EngineUnavailable(f"{slot} engine {name!r} needs the package {error.name!r}: {command}") from error
    engine = module.create(settings)
    if slot == "asr" and settings.asr.second_opinion is not None:
        return import_module("talkover.asr.second_opinion").with_second_opinion(engine, settings)
    if slot == "tts":
        return import_module("talkover.tts.pronunciation").with_pronunciation(engine, settings.tts.pronunciation)
    return engine
