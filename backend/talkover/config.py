"""Typed, frozen settings from a TOML file, environment and command line, checked once and as a whole.

Precedence, low to high: built-in defaults, the file, `TALKOVER_A__B=value`, `--set a.b=value`. TOML has no null: the
word `none` stands for it where a key may be unset. A relative path in a file counts from the folder of that file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from talkover.sections.agent import (
    AgentSettings,
    KnowledgeSettings,
    MannersSettings,
    MemorySettings,
    SearchSettings,
    SessionDefaults,
    ToolsSettings,
)
from talkover.sections.engines import AsrSettings, LlmSettings, ModelsSettings, TtsSettings, VadSettings
from talkover.sections.operation import (
    AccessSettings,
    EventLogSettings,
    RecordingSettings,
    ResumeSettings,
    ServerSettings,
    TracingSettings,
)
from talkover.sections.section import Section

ENV_PREFIX = "TALKOVER_"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds one line each, all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Settings(Section):
    server: ServerSettings = ServerSettings()
    access: AccessSettings = AccessSettings()
    session: SessionDefaults = SessionDefaults()
    vad: VadSettings = VadSettings()
    event_log: EventLogSettings = EventLogSettings()
    manners: MannersSettings = MannersSettings()
    asr: AsrSettings = AsrSettings()
    llm: LlmSettings = LlmSettings()
    tts: TtsSettings = TtsSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    models: ModelsSettings = ModelsSettings()
    agent: AgentSettings = AgentSettings()
    memory: MemorySettings = MemorySettings()
    resume: ResumeSettings = ResumeSettings()
    recording: RecordingSettings = RecordingSettings()
    tools: ToolsSettings = ToolsSettings()
    search: SearchSettings = SearchSettings()
    tracing: TracingSettings = TracingSettings()


def load_settings(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from a file, environment and `a.b=value` overrides. Raises ConfigError with every problem at once."""
    problems: list[str] = []
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = toml_tree(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
        except ValueError as error:
            raise ConfigError([f"{path}: is not valid TOML: {error}"]) from error
        _resolve_paths(tree, path.parent)
    for name, value in sorted((os.environ if environ is None else environ).items()):
        if name.startswith(ENV_PREFIX) and "__" in name:
            _assign(tree, name.removeprefix(ENV_PREFIX).lower().split("__"), value, name, problems)
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            problems.append(f"--set {override}: must look like section.key=value")
            continue
        _assign(tree, key.strip().split("."), value.strip(), f"--set {key}", problems)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        problems += [_problem(item) for item in error.errors()]
        raise ConfigError(problems) from error
    problems += _contradictions(settings)
    if problems:
        raise ConfigError(problems)
    return settings


def toml_tree(text: str) -> dict[str, Any]:
    """A TOML document. Raises ValueError, for what the parser cannot hold too: its nesting, numbers of 5000 digits."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


_PATH_KEYS = (
    ("server", "tls_certificate"),
    ("server", "tls_key"),
    ("vad", "decision_log"),
    ("event_log", "path"),
    ("vad", "turn_model"),
    ("vad", "speaker_model"),
    ("knowledge", "path"),
    ("knowledge", "uploads"),
    ("knowledge", "index"),
    ("models", "folder"),
    ("tts", "voice_folder"),
    ("memory", "path"),
    ("resume", "path"),
    ("recording", "path"),
)
_MODEL_KEYS = (
    ("asr", "model"),
    ("asr", "streaming_model"),
    ("asr", "punctuation_model"),
    ("asr", "second_opinion_model"),
    ("tts", "model"),
    ("llm", "model"),
    ("knowledge", "embeddings"),
    ("knowledge", "reranker"),
    ("session", "persona"),
)
"""names, or paths where they begin with a dot or a tilde"""


def _resolve_paths(tree: dict[str, Any], folder: Path) -> None:
    for section, key in _PATH_KEYS:
        values = tree.get(section)
        if isinstance(values, dict) and isinstance(values.get(key), str) and values[key] != "none":
            values[key] = _located(values[key], folder)
    tools = tree.get("tools")
    if isinstance(tools, dict):
        _resolve_tool_paths(tools, folder)
    for section, key in _MODEL_KEYS:
        values = tree.get(section)
        if isinstance(values, dict) and isinstance(values.get(key), str) and values[key].startswith((".", "~")):
            values[key] = _located(values[key], folder)


def _resolve_tool_paths(tools: dict[str, Any], folder: Path) -> None:
    functions = tools.get("functions")
    if isinstance(functions, list):
        tools["functions"] = [
            _located(name, folder) if isinstance(name, str) and name.endswith(".py") else name
            for name in cast("list[Any]", functions)
        ]
    services = tools.get("openapi")
    for service in cast("list[Any]", services) if isinstance(services, list) else ():
        document = service.get("document") if isinstance(service, dict) else None
        if isinstance(document, str) and not document.startswith(("http://", "https://")):
            service["document"] = _located(document, folder)


def _located(path: str, folder: Path) -> str:
    """From the folder of the file; the home of somebody who is not known stays as it is written, and is not found."""
    try:
        return str(folder / Path(path).expanduser())
    except RuntimeError:
        return str(folder / path)


def _assign(tree: dict[str, Any], keys: Sequence[str], value: str, origin: str, problems: list[str]) -> None:
    node = tree
    for key in keys[:-1]:
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            problems.append(f"{origin}: {key} is a value, not a section")
            return
        node = child
    node[keys[-1]] = _parse_value(value)


def _parse_value(text: str) -> Any:
    """A TOML value where the text is one (numbers, booleans, lists, quoted strings), else the text itself."""
    try:
        return toml_tree(f"value = {text}")["value"]
    except ValueError:
        return text


def _problem(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key}: is not a known key"
    return f"{key}: {error['msg'].removeprefix('Value error, ')}, got {error['input']!r}"


def _contradictions(settings: Settings) -> list[str]:
    problems: list[str] = []
    server = settings.server
    if (server.tls_certificate is None) != (server.tls_key is None):
        problems.append("server.tls_certificate and server.tls_key: must be set together")
    for key, path in (("server.tls_certificate", server.tls_certificate), ("server.tls_key", server.tls_key)):
        if path is not None and not os.path.isfile(path):  # which is false, too, for names no system takes
            problems.append(f"{key}: must be a readable file, got {str(path)!r}")
    if settings.knowledge.path is not None and not os.path.isdir(settings.knowledge.path):
        problems.append(f"knowledge.path: must be a folder, got {str(settings.knowledge.path)!r}")
    if settings.knowledge.vectors == "qdrant" and settings.knowledge.qdrant_url is None:
        problems.append("knowledge.qdrant_url: must be set where knowledge.vectors is 'qdrant'")
    if settings.recording.path is not None and settings.recording.consent is None:
        problems.append(
            "recording.consent: must be set where recording.path is: what the user is told, or an empty text"
        )
    return problems
