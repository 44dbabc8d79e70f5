"""The import rule: a group of modules imports only from groups left of it. Read from the source, nothing is run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "backend" / "talkover"

LEFTMOST = (
    "messages",
    "engines",
    "audio",
    "metrics",
    "config",
    "sections",
    "extras",
    "resources",
    "registry",
    "models",
    "event_loop",
    "log_format",
    "loop_lag",
    "garbage",
    "spectra",
    "openai_endpoint",
    "process_tree",
    "yaml_tree",
)
LEVELS: tuple[tuple[str, ...], ...] = (
    LEFTMOST,
    ("knowledge", "access"),
    ("vad", "asr", "llm", "tts", "memory", "tools"),
    ("agent",),
    ("pipeline",),
    ("realtime", "rest"),
    ("recording",),
    (
        "app",
        "loading",
        "serving",
        "observing",
        "tracing",
        "top",
        "cli",
        "client",
        "doctor",
        "talk",
        "bench",
        "chaos",
        "__main__",
    ),
)
LEVEL = {group: level for level, groups in enumerate(LEVELS) for group in groups}
MODULES = sorted(PACKAGE.rglob("*.py"))

HEAVY = ("torch", "torchaudio", "transformers", "funasr", "sentence_transformers", "onnxruntime")
ENGINES = ("knowledge", "vad", "asr", "llm", "tts")


def group_of(path: Path) -> str:
    """The first name below the package: `vad` of talkover/vad/silero.py, `audio` of talkover/audio.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Full names of what a module imports, also inside functions, and on which line."""
    package = ("talkover", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            prefix = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join((*prefix, *([node.module] if node.module else [])))
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno


def allowed(importer: str, group: str) -> bool:
    """Whether a module of group `importer` may import one of `group`."""
    if group == importer:
        return True
    if LEVEL[importer] in (0, len(LEVELS) - 1):  # single modules, which may use each other
        return LEVEL[group] <= LEVEL[importer]
    return LEVEL[group] < LEVEL[importer]


def test_every_module_belongs_to_a_group() -> None:
    groups = {group_of(path) for path in MODULES} - {"__init__"}
    assert groups <= set(LEVEL), f"place {groups - set(LEVEL)} in the order of groups"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_the_left(path: Path) -> None:
    importer = group_of(path)
    if importer == "__init__":
        assert not [name for name, _ in imported(path) if name.startswith("talkover.")]
        return
    for name, line in imported(path):
        parts = name.split(".")
        if parts[0] != "talkover" or len(parts) < 2 or parts[1] == "__version__":
            continue
        assert allowed(importer, parts[1]), f"{path.name}:{line}: {importer} must not import {parts[1]}"


def test_the_protocol_core_has_no_io() -> None:
    forbidden = {"asyncio", "anyio", "threading", "queue", "socket", "torch", "time", "starlette", "fastapi"}
    names = {name.split(".")[0] for name, _ in imported(PACKAGE / "realtime" / "session.py")}
    assert not names & forbidden


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_by_engines_only(path: Path) -> None:
    heavy = {name.split(".")[0] for name, _ in imported(path)} & set(HEAVY)
    assert not heavy or group_of(path) in ENGINES, f"{path.name} imports {heavy}"


def test_modules_named_after_no_subject_do_not_exist() -> None:
    assert not {path.name for path in MODULES} & {"utils.py", "helpers.py", "base.py", "manager.py", "common.py"}
