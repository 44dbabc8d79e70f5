"""docs/security.md names modules and tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")
PACKAGE = TESTS.parent / "backend" / "talkover"


def rows() -> list[list[str]]:
    lines = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    return [row for row in lines if row[0] != "rule"]


def test_each_rule_names_where_it_is_enforced():
    for rule, modules, _ in rows():
        named = re.findall(r"`([\w/.]+)`", modules)
        assert named, rule
        assert [name for name in named if not (PACKAGE / name).exists()] == [], rule


def test_each_rule_names_tests_that_are_there():
    """The file is named where it is another one than that of the test before in the row."""
    for rule, _, tests in rows():
        named = re.findall(r"`([^`]+)`", tests)
        assert named, rule
        file = TESTS
        for name in named:
            path, _, test = name.rpartition("::")
            file = TESTS / path if path else file
            assert file.is_file(), name
            assert f"\ndef {test}(" in file.read_text(encoding="utf-8"), f"{name} is not in {file.name}"
