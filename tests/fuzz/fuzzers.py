"""All fuzzers by name, each imported only when it is asked for: some need torch."""

from __future__ import annotations

from importlib import import_module

from fuzz.harness import Fuzzer

MODULES = {
    "fuzz.wire": ("wire_events", "session_updates", "metered_audio"),
    "fuzz.sound": ("audio_containers", "wire_audio"),
    "fuzz.speech_answers": ("speech_stream",),
    "fuzz.settings": ("configuration", "persona", "voice_folder"),
    "fuzz.documents": ("markdown", "plain_text", "html", "tables", "pdf", "docx"),
    "fuzz.tools": ("tool_arguments", "openapi", "mcp", "search_answers"),
    "fuzz.models": ("chat_stream", "token_text", "embedded_answers"),
    "fuzz.speech_text": ("speech_text", "segments", "spoken_consent"),
    "fuzz.logs": ("decision_log", "event_log"),
    "fuzz.recordings": ("kept_session", "recording_transcript", "redaction"),
    "fuzz.door": ("requests", "client_secrets"),
    "fuzz.connections": ("connection_bytes",),
    "fuzz.processes": ("worker_frames", "fault_plan", "sessions_top"),
    "fuzz.weights": ("cosyvoice_yaml", "checkpoints", "voice_features", "onnx"),
}
"""module -> names of its fuzzers"""
NAMES = tuple(name for names in MODULES.values() for name in names)


def fuzzer(name: str) -> Fuzzer:
    """Raises KeyError for an unknown name, ImportError where an extra is missing."""
    module = next((module for module, names in MODULES.items() if name in names), None)
    if module is None:
        raise KeyError(name)
    found: dict[str, Fuzzer] = {one.name: one for one in import_module(module).FUZZERS}
    return found[name]
