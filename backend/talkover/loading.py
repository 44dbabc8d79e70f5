"""Which engine fills which slot, and all of them loaded and warm."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from talkover.config import Settings
from talkover.engines import Engine, Engines, EngineUnavailable, LlmEngine
from talkover.knowledge.retriever import DocumentRetriever, create_retriever
from talkover.registry import Slot, create_engine
from talkover.resources import knowledge_folder
from talkover.vad.speaker_model import load_speaker_model
from talkover.vad.turn_model import load_turn_model


def chosen_engines(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[Slot, tuple[str, str]]:
    """slot -> (engine, why it)."""
    environ = os.environ if environ is None else environ
    llm, reason = settings.llm.engine, "llm.engine"
    if llm == "auto":
        variable = next((name for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY") if environ.get(name)), None)
        if settings.llm.base_url:
            llm, reason = "openai", "llm.base_url is set"
        elif settings.llm.endpoints:
            llm, reason = "openai", "llm.endpoints is set"
        elif variable:
            llm, reason = "openai", f"{variable} is set"
        else:
            llm, reason = "embedded", "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"
    return {
        "vad": (settings.vad.engine, "vad.engine"),
        "asr": (settings.asr.engine, "asr.engine"),
        "llm": (llm, reason),
        "tts": (settings.tts.engine, "tts.engine"),
    }


def build_engines(settings: Settings) -> Engines:
    """Load and warm every engine, side by side. Raises EngineUnavailable, with a line for each one that is missing."""

    def build(slot: Slot) -> Engine:
        engine: Engine = create_engine(slot, chosen[slot][0], settings)
        engine.warmup()
        return engine

    chosen = chosen_engines(settings)
    built: dict[Slot, Engine] = {}
    problems: list[str] = []
    with ThreadPoolExecutor(len(chosen), thread_name_prefix="load") as pool:
        futures: dict[Slot, Future[Engine]] = {slot: pool.submit(build, slot) for slot in chosen}
        for slot, future in futures.items():
            try:
                built[slot] = future.result()
            except EngineUnavailable as error:
                problems.append(str(error))
    if problems:
        for engine in built.values():
            engine.close()
        raise EngineUnavailable("\n".join(problems))
    engines = Engines(**built)  # pyright: ignore[reportArgumentType]
    try:
        vad = settings.vad
        turn = None if vad.turn_model is None else load_turn_model(vad.turn_model)
        speaker = None if vad.speaker_model is None else load_speaker_model(vad.speaker_model)
        return replace(engines, retriever=build_retriever(settings, engines.llm), turn=turn, speaker=speaker)
    except EngineUnavailable:
        engines.close()
        raise


def build_retriever(settings: Settings, llm: LlmEngine) -> DocumentRetriever:
    """The documents that answers of `llm` are given from, ready to be searched. Raises EngineUnavailable.

    An engine that searches by itself does so in the shipped documents, too, and is told of every change.
    """
    use_documents = getattr(llm, "use_documents", None)
    folder = settings.knowledge.path if use_documents is None else knowledge_folder(settings.knowledge.path)
    retriever = create_retriever(settings, folder, words_only=use_documents is not None)
    try:
        retriever.warmup()
    except EngineUnavailable:
        retriever.close()
        raise
    if use_documents is not None:
        retriever.on_change(use_documents)
    return retriever
