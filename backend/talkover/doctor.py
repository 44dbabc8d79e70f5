"""What `talkover doctor` looks at: each finding with the command that mends it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape

from talkover.access.exposure import exposure
from talkover.access.keys import load_keys
from talkover.config import ConfigError, Settings
from talkover.engines import Engine, EngineUnavailable
from talkover.extras import install_command
from talkover.loading import chosen_engines
from talkover.models.catalogue import DEFAULT_MODELS, KnownModel, model_called
from talkover.models.find import local_folder, looks_like_path
from talkover.registry import ENGINES, PLANNED, EngineEntry, Slot, create_engine
from talkover.resources import cache_folder, knowledge_folder

Status = Literal["ok", "note", "problem"]

ENDPOINT_TIMEOUT_S = 2.0
_MARKS: dict[Status, str] = {"ok": "[green]✓[/]", "note": "[yellow]![/]", "problem": "[red]✗[/]"}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    subject: str
    status: Status
    detail: str
    remedy: str = ""
    """the command or change that mends it"""
    fatal: bool = False
    """the server cannot start with this configuration"""


def examine(settings: Settings, environ: Mapping[str, str] | None = None) -> list[Check]:
    """Every finding, in the order in which they are read."""
    environ = os.environ if environ is None else environ
    return [
        _python(),
        *_packages(settings, environ),
        *_models(settings, environ),
        *_engines(settings, environ),
        _language_model(settings, environ),
        _port(settings),
        _access(settings, environ),
        _cache(),
        _knowledge(settings),
        _sound(),
    ]


def print_report(checks: list[Check], console: Console) -> None:
    for check in checks:
        console.print(f"{_MARKS[check.status]} [bold]{check.subject:<15}[/] {escape(check.detail)}", soft_wrap=True)
        if check.remedy:  # unwrapped, to be copied
            console.print(f"{'':17} [cyan]→[/] {escape(check.remedy)}", soft_wrap=True, highlight=False)
    problems = sum(check.status == "problem" for check in checks)
    if any(check.fatal for check in checks):
        console.print("\n[red]The configured engines cannot start.[/]")
    else:
        rest = f" {problems} problem{'s' * (problems != 1)} above." if problems else ""
        console.print(f"\n[green]The configured engines start.[/]{rest} Run: talkover serve")


def _python() -> Check:
    return Check("Python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


# ------------------------------------------------------------------------------------------------------- packages


def _packages(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Whether each group of dependencies is complete, by what the installed package says it needs."""
    version = importlib.metadata.version("talkover")
    if missing := _missing(""):
        yield Check("talkover", "problem", f"{version}, without {', '.join(missing)}", install_command(), fatal=True)
    else:
        yield Check("talkover", "ok", f"{version} with all {len(_needed(''))} packages it needs")
    if missing := _missing("full"):
        chosen = chosen_engines(settings, environ).items()
        users = [name for slot, (name, _) in chosen if name in ENGINES[slot] and ENGINES[slot][name].extra == "full"]
        use = f"{' and '.join(users)} is of it" if users else "nothing configured so far needs it"
        detail = f"not complete: without {', '.join(missing)}; {use}"
        yield Check("full stack", "problem" if users else "note", detail, install_command("full"))
    else:
        yield Check("full stack", "ok", "installed")


def _needed(group: str) -> list[str]:
    """Packages of a dependency group and of those it names; "" is what is always needed."""
    names: list[str] = []
    for requirement in importlib.metadata.requires("talkover") or []:
        name = re.match(r"([A-Za-z0-9_.-]+)(?:\[([\w,-]+)\])?", requirement)
        extra = re.search(r"extra\s*==\s*['\"](\w+)['\"]", requirement)
        if name is None or (extra[1] if extra else "") != group:
            continue
        if name[1] == "talkover":
            names += [inner for other in (name[2] or "").split(",") if other != group for inner in _needed(other)]
        else:
            names.append(name[1])
    return names


def _missing(group: str) -> list[str]:
    return [name for name in _needed(group) if not _installed(name)]


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


# --------------------------------------------------------------------------------------------------------- models


def _models(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """The model files that the configured engines need, and the one command that fetches what is missing."""
    missing: list[KnownModel] = []
    for name in _configured_models(settings):
        model = None if looks_like_path(name) else model_called(name)
        if model is None:
            continue  # a folder, or a name that the engine itself will refuse
        folder = local_folder(model, settings.models, model.files, environ)
        if folder is not None:
            yield Check("model", "ok", f"{model.name} in {folder}")
        else:
            missing.append(model)
    if missing:
        names = " ".join(model.name for model in missing)
        size = f"{sum(model.size_mb for model in missing) / 1000:.1f} GB"
        licence = "" if all(model.sources[0].is_free for model in missing) else " --accept-licence"
        detail = f"not here yet: {names.replace(' ', ', ')} (about {size})"
        yield Check("model", "problem", detail, f"talkover models pull {names}{licence}")


def _configured_models(settings: Settings) -> list[str]:
    asr = settings.asr
    names: list[str | None] = []
    if asr.engine == "paraformer":
        names += [asr.streaming_model, asr.model, asr.punctuation_model]
    elif asr.engine in DEFAULT_MODELS:
        names.append(asr.model or DEFAULT_MODELS[asr.engine])
    if asr.second_opinion in DEFAULT_MODELS:
        names.append(asr.second_opinion_model or DEFAULT_MODELS[asr.second_opinion])
    if settings.tts.engine in DEFAULT_MODELS:
        names.append(settings.tts.model or DEFAULT_MODELS[settings.tts.engine])
    return list(dict.fromkeys(name for name in names if name))


# -------------------------------------------------------------------------------------------------------- engines


def _engines(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """The configured engine of each slot, really started, and what else there would be."""
    # looking at what is there must not fetch what is not
    offline = settings.model_copy(update={"models": settings.models.model_copy(update={"download": False})})
    for slot, (name, reason) in chosen_engines(settings, environ).items():
        yield _started(slot, name, reason, offline)
        for other, entry in ENGINES[slot].items():
            if other != name:
                yield _available(slot, other, entry)
        if PLANNED[slot]:
            yield Check(slot, "note", f"planned, not there yet: {', '.join(PLANNED[slot])}")


def _started(slot: Slot, name: str, reason: str, settings: Settings) -> Check:
    started_s = time.monotonic()
    try:
        engine: Engine = create_engine(slot, name, settings)
        try:
            engine.warmup()
        finally:
            engine.close()
    except EngineUnavailable as error:
        return Check(slot, "problem", f"{name} cannot start ({reason})", str(error), fatal=True)
    return Check(slot, "ok", f"{name} starts in {time.monotonic() - started_s:.1f} s ({reason})")


def _available(slot: Slot, name: str, entry: EngineEntry) -> Check:
    if entry.extra is None or not _missing(entry.extra):
        return Check(slot, "ok", f"{name} can be used: {entry.summary}", f"--set {slot}.engine={name}")
    return Check(slot, "note", f"{name}: {entry.summary}", install_command(entry.extra))


# ------------------------------------------------------------------------------------------------- the surroundings


def _language_model(settings: Settings, environ: Mapping[str, str]) -> Check:
    """Whether the OpenAI-compatible endpoint answers, when one is configured."""
    subject = "language model"
    key = environ.get(settings.llm.api_key_env) or ""
    base_url = settings.llm.base_url or environ.get("OPENAI_BASE_URL") or ("https://api.openai.com/v1" if key else "")
    if not base_url:
        remedy = "export OPENAI_API_KEY=..., or OPENAI_BASE_URL=http://127.0.0.1:11434/v1 for a local one"
        return Check(subject, "note", "none configured: the embedded responder answers from the documents", remedy)
    url = base_url.rstrip("/") + "/models"
    try:
        models = _fetch_models(url, key)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            remedy = f"export {settings.llm.api_key_env}=... with a key of that service"
            return Check(subject, "problem", f"{base_url} refuses the key (HTTP {error.code})", remedy)
        return Check(subject, "note", f"{base_url} answers, without a list of models (HTTP {error.code})")
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        remedy = "start that server, or correct llm.base_url / OPENAI_BASE_URL"
        return Check(subject, "problem", f"{base_url} does not answer: {why}", remedy)
    wanted = settings.llm.model or environ.get("OPENAI_MODEL")
    if wanted and models and wanted not in models:
        remedy = f"--set llm.model=... with one of: {', '.join(models[:8])}"
        return Check(subject, "problem", f"{base_url} does not offer the model {wanted!r}", remedy)
    return Check(subject, "ok", f"{base_url} answers: {wanted or (models[0] if models else 'no models listed')}")


def _fetch_models(url: str, key: str) -> list[str]:
    """Ids of the models at `url`. Raises OSError and ValueError."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("the address must begin with http:// or https://")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=ENDPOINT_TIMEOUT_S) as answer:
        document: Any = json.load(answer)
    data: Any = document.get("data") if isinstance(document, dict) else None
    return [str(model["id"]) for model in data if isinstance(model, dict) and "id" in model] if data else []


def _port(settings: Settings) -> Check:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            remedy = f"talkover serve --port {port + 1}, or end the program that holds it (ss -ltnp)"
            return Check("port", "problem", f"{host}:{port} cannot be used: {error.strerror}", remedy)
    return Check("port", "ok", f"{host}:{port} is free")


def _access(settings: Settings, environ: Mapping[str, str]) -> Check:
    """Whether the keys can be loaded, and whether somebody needs one."""
    server = settings.server
    try:
        keys = load_keys(environ.get(server.api_key_env), settings.access, environ)
    except ConfigError as error:
        return Check("access", "problem", "; ".join(error.problems), "talkover key NAME", fatal=True)
    if (warning := exposure(settings, bool(keys))) is not None:
        return Check("access", "problem", warning, f"export {server.api_key_env}=..., with what `talkover key` prints")
    who = f"{len(keys)} keys" if keys else "no key is needed, and other machines do not reach it"
    return Check("access", "ok", f"{who}; {'TLS' if server.tls_certificate else 'no TLS'}")


def _cache() -> Check:
    try:
        folder = cache_folder()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        remedy = "export XDG_CACHE_HOME=... with a folder you may write to"
        return Check("cache", "problem", f"{error.filename} cannot be written: {error.strerror}", remedy)
    if not os.access(folder, os.W_OK):
        return Check("cache", "problem", f"{folder} cannot be written", f"chown -R $USER {folder}")
    return Check("cache", "ok", f"{folder}, {size / 2**20:.1f} MiB")


def _knowledge(settings: Settings) -> Check:
    folder = knowledge_folder(settings.knowledge.path)
    documents = len(list(folder.rglob("*.md"))) if folder.is_dir() else 0
    if documents == 0:
        remedy = "put Markdown files there, or set knowledge.path"
        return Check("knowledge", "problem", f"{folder} holds no Markdown documents", remedy)
    return Check("knowledge", "ok", f"{documents} documents in {folder}")


def _sound() -> Check:
    """Devices for `talkover talk` and `talkover say`; the page uses those of the browser."""
    subject = "sound"
    try:
        import sounddevice
    except OSError:
        remedy = "sudo apt-get install libportaudio2" if sys.platform == "linux" else "install PortAudio"
        return Check(subject, "note", "no PortAudio: talk and say need it, the page does not", remedy)
    devices: Any = sounddevice.query_devices()
    inputs = sum(device["max_input_channels"] > 0 for device in devices)
    outputs = sum(device["max_output_channels"] > 0 for device in devices)
    if not inputs or not outputs:
        detail = f"{inputs} microphones, {outputs} loudspeakers: talk and say need them, the page does not"
        return Check(subject, "note", detail, "talkover talk --input question.wav --output reply.wav")
    return Check(subject, "ok", f"{inputs} microphones, {outputs} loudspeakers")
