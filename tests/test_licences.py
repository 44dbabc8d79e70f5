"""The list of licences is that of what is installed, and holds none that nobody has looked at."""

from __future__ import annotations

import sys
from email.message import Message
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

from talkover.models.catalogue import CATALOGUE

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "LICENCES.md").read_text(encoding="utf-8")


def script(name: str) -> ModuleType:
    spec = util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look for their module
    spec.loader.exec_module(module)
    return module


licences = script("licences")


def metadata(**fields: str) -> Message:
    message = Message()
    message["Name"] = "x"
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


def test_everything_installed_is_listed_with_a_licence_somebody_looked_at():
    packages = licences.installed()
    assert {"numpy", "espeakng-loader", "pydantic"} <= {package.name for package in packages}
    assert licences.problems(packages, PAGE) == []


def test_a_package_that_is_not_on_the_page_is_a_problem():
    (problem,) = licences.problems([licences.Package("newcomer", "MIT", "light")], PAGE)
    assert "newcomer: MIT is not in docs/LICENCES.md" in problem


def test_a_licence_outside_of_the_list_needs_a_reason():
    package = licences.Package("newcomer", "AGPL-3.0-only", "light")
    (problem,) = licences.problems([package], PAGE + licences.page_of([package]))
    assert "AGPL-3.0-only is not allowed: give a reason" in problem


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT OR Apache-2.0", "License": "whatever"}, "MIT OR Apache-2.0"),
        ({"Classifier": "License :: OSI Approved :: Apache Software License"}, "Apache-2.0"),
        ({"Classifier": "License :: OSI Approved :: BSD License", "License": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"License": "MIT License"}, "MIT"),
        ({"License": "BSD"}, "unknown"),
        ({"License": "Free for everybody, but not on Sundays"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_the_licence_of_a_package_is_read_from_its_metadata(fields: dict[str, str], licence: str):
    assert licences.licence_of(metadata(**fields), {}) == licence


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [("MIT", True), ("MIT AND GPL-3.0-only", False), ("MIT OR GPL-3.0-only", True), ("unknown", False)],
)
def test_one_allowed_alternative_is_enough(expression: str, is_allowed: bool):
    assert licences.is_allowed(expression, frozenset(("MIT",))) is is_allowed


def test_the_page_tells_of_every_model_and_of_copyleft_inside_of_wheels():
    for model in CATALOGUE:
        assert all(f"| {model.name} | {source.hub}: {source.repo} |" in PAGE for source in model.sources)
    assert "| espeak-ng, its phoneme data and dictionaries | GPL-3.0-or-later | espeakng-loader |" in PAGE
    assert "| kaldiio | LicenseRef-NTT-evaluation |" in PAGE
