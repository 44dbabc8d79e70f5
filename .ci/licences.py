"""Writes docs/LICENCES.md from what is installed, or checks it: `python .ci/licences.py [--check]`.

A licence is what the package's metadata says: `License-Expression` (PEP 639), else its classifiers, else its `License`
line; else, or where that is only "BSD", what `.ci/licences.toml` says was read in its LICENSE file. One that is not
allowed there needs a reason there. Exit status 1 with one line per problem.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "LICENCES.md"
FACTS: dict[str, Any] = tomllib.loads((ROOT / ".ci" / "licences.toml").read_text(encoding="utf-8"))
LIGHT: tuple[str, ...] = ()
FULL = ("full", "whisper", "bench", "echo", "turn", "mcp", "web", "qdrant", "lancedb", "knowledge", "models")
DEVELOPMENT = ("dev", "fuzz")
NEEDS = (("light", LIGHT), ("extras", FULL), ("development", DEVELOPMENT))
"""smallest first: a package is listed with the first that brings it"""
NAMES = {
    "OSI Approved :: Apache Software License": "Apache-2.0",
    "OSI Approved :: ISC License (ISCL)": "ISC",
    "OSI Approved :: MIT License": "MIT",
    "OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause",
    "MIT License": "MIT",
    "The MIT License": "MIT",
    "The MIT License (MIT)": "MIT",
    "http://www.apache.org/licenses/LICENSE-2.0": "Apache-2.0",
}
"""how packages write licences -> SPDX"""
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Package:
    """One that is installed because Talkover asks for it, or something that it asks for."""

    name: str
    licence: str
    """SPDX expression, or `UNKNOWN`"""
    needed_by: str


def installed(roots: tuple[tuple[str, tuple[str, ...]], ...] = NEEDS) -> list[Package]:
    """Every package that Talkover brings here, by name."""
    found: dict[str, Package] = {}
    for needed_by, extras in roots:
        for name in _closure("talkover", extras):
            if name not in found and name != "talkover":
                found[name] = Package(name, licence_of(importlib.metadata.metadata(name), FACTS["read"]), needed_by)
    return sorted(found.values(), key=lambda package: package.name)


def licence_of(metadata: Any, read: Mapping[str, str]) -> str:
    """By its metadata; `read` goes first for packages that name none, or not exactly."""
    if expression := metadata.get("License-Expression"):
        return expression
    if (known := read.get(canonicalize_name(metadata["Name"]))) is not None:
        return known
    said = [line.removeprefix("License :: ") for line in metadata.get_all("Classifier") or [] if "License ::" in line]
    names = sorted({NAMES[line] for line in said if line in NAMES})
    line = (metadata.get("License") or "").strip()
    if names and len(names) == len(said):
        return " AND ".join(names)
    return NAMES.get(line, line if _is_expression(line) else UNKNOWN)


def is_allowed(expression: str, allowed: frozenset[str]) -> bool:
    """Whether one of the alternatives consists of allowed licences alone."""
    return any(
        all(part.strip(" ()") in allowed for part in re.split(r"\s+AND\s+", alternative))
        for alternative in re.split(r"\s+OR\s+", expression)
    )


def problems(packages: list[Package], page: str, facts: Mapping[str, Any] = FACTS) -> list[str]:
    """What is wrong: a licence nobody gave a reason for, a package that the page does not have."""
    allowed = frozenset(facts["allowed"])
    found: list[str] = []
    for package in packages:
        if not is_allowed(package.licence, allowed) and package.name not in facts["reasons"]:
            found.append(f"{package.name}: {package.licence} is not allowed: give a reason in .ci/licences.toml")
        if _row(package) not in page:
            found.append(f"{package.name}: {package.licence} is not in docs/LICENCES.md: make licences")
    return found


def page_of(packages: list[Package]) -> str:
    """The page, in Markdown."""
    from talkover.models.catalogue import CATALOGUE

    allowed = frozenset(FACTS["allowed"])
    lines = ["# Licences", "", "Made by `make licences` from what is installed; do not edit."]
    lines += ["Talkover itself is Apache-2.0."]
    lines += ["", "This page tells what packages and model cards say. It is no legal advice."]
    lines += ["", "## Mind these", "", "| package | licence | what that means |", "|---|---|---|"]
    for package in packages:
        if not is_allowed(package.licence, allowed):
            reason = FACTS["reasons"].get(package.name, "not looked at yet")
            lines.append(f"| {package.name} | {package.licence} | {reason} |")
    lines += ["", "## Libraries and data inside packages", "", "| what | licence | package | what that means |"]
    lines += ["|---|---|---|---|"]
    lines += [f"| {one['what']} | {one['licence']} | {one['wheel']} | {one['meaning']} |" for one in FACTS["inside"]]
    lines += [
        "",
        "## Weights",
        "",
        "Downloaded by `talkover models pull`, never shipped. By the model card of each hub.",
    ]
    lines += ["", "| model | from | licence |", "|---|---|---|"]
    for model in CATALOGUE:
        for source in model.sources:
            lines.append(f"| {model.name} | {source.hub}: {source.repo} | {source.licence or UNKNOWN} |")
    lines += ["", "## Shipped with Talkover", "", "| what | licence | origin |", "|---|---|---|"]
    lines += [f"| {one['what']} | {one['licence']} | {one['origin']} |" for one in FACTS["shipped"]]
    lines += ["", "## Python packages", "", "Needed by: the light install, an extra, or the development of Talkover."]
    lines += ["", "| package | licence | needed by |", "|---|---|---|", *map(_row, packages)]
    return "\n".join(lines) + "\n"


def _row(package: Package) -> str:
    return f"| {package.name} | {package.licence} | {package.needed_by} |"


def _closure(name: str, extras: tuple[str, ...]) -> set[str]:
    """Canonical names of what a package with its extras needs and is installed, itself included."""
    seen: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(name), extra) for extra in ("", *extras)]
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        try:
            requires = importlib.metadata.requires(at[0]) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, requires):
            if requirement.marker is None or requirement.marker.evaluate({"extra": at[1]}):
                wanted = canonicalize_name(requirement.name)
                waiting += [(wanted, extra) for extra in ("", *requirement.extras)]
    return {name for name, _ in seen if _is_installed(name)}


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _is_expression(text: str) -> bool:
    """Whether it may be SPDX: words and operators, and not only `BSD`."""
    return bool(re.fullmatch(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*", text)) and text not in (
        "BSD",
        "PSFL",
    )


def main() -> int:
    packages = installed()
    if "--check" not in sys.argv:
        PAGE.write_text(page_of(packages), encoding="utf-8")
    found = problems(packages, PAGE.read_text(encoding="utf-8"))
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
