"""Typed values out of a parsed file, with all that is missing or wrong noted instead of stopping at the first."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any


class ValueReader:
    """One section of the file; `problems` is shared by all sections of it."""

    def __init__(self, tree: Mapping[str, Any], prefix: str = "", problems: list[str] | None = None) -> None:
        self.tree = tree
        self.problems: list[str] = [] if problems is None else problems
        self._prefix = prefix

    def section(self, key: str, *, optional: bool = False) -> ValueReader:
        value = self.tree.get(key)
        if not isinstance(value, dict):
            if not (optional and value is None):
                self._wrong(key, value, "a section")
            value = {}
        return ValueReader(value, f"{self._prefix}{key}.", self.problems)

    def whole(self, key: str, default: int | None = None, *, at_least: int = 0) -> int:
        value = self.tree.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
            self._wrong(key, value, f"a whole number of at least {at_least}")
            return max(1, at_least)
        return value

    def number(self, key: str, default: float) -> float:
        value = self.tree.get(key, default)
        if isinstance(value, str):  # YAML 1.1 takes 1e-06 for a word
            with contextlib.suppress(ValueError):
                value = float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._wrong(key, value, "a number")
            return default
        return float(value)

    def one_of(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.tree.get(key, default)
        if value not in choices:
            self._wrong(key, value, " or ".join(repr(choice) for choice in choices))
            return default
        return str(value)

    def wholes(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        value = self.tree.get(key, default)
        if not isinstance(value, (list, tuple)) or not all(type(item) is int and item > 0 for item in value):
            self._wrong(key, value, "a list of whole numbers above 0")
            return default or (1,)
        return tuple(int(item) for item in value)

    def tables(self, key: str) -> tuple[tuple[int, ...], ...]:
        value = self.tree.get(key)
        if not isinstance(value, (list, tuple)):
            self._wrong(key, value, "a list of lists")
            return ()
        rows = {str(index): row for index, row in enumerate(value)}
        reader = ValueReader(rows, f"{self._prefix}{key}.", self.problems)
        return tuple(reader.wholes(index) for index in rows)

    def _wrong(self, key: str, value: object, allowed: str) -> None:
        self.problems.append(
            f"{self._prefix}{key}: " + (f"must be {allowed}, got {value!r}" if value is not None else "is missing")
        )
