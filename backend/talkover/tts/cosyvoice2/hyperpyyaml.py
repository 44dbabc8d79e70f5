"""The tag dialect of HyperPyYAML, in which `cosyvoice2.yaml` is written, read without running anything.

A tag such as `!new:package.Class` names what is to be built from the arguments below it. Nothing it names is imported
here: a tagged node is read as those plain arguments, and `!ref <name>` as the value of the top-level `name`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from talkover.engines import EngineUnavailable
from talkover.yaml_tree import yaml_tree


@dataclass(frozen=True, slots=True)
class _Reference:
    """`!ref <a>` or a product `!ref <a> * <b>`, before it is looked up."""

    expression: str


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which by itself refuses every tag of the dialect."""


def _plain(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    """A tagged node as the arguments below it; what the tag names is left alone."""
    del suffix
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return {}


def _reference(loader: _Loader, node: yaml.Node) -> _Reference:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "!ref needs a name in angle brackets", node.start_mark)
    return _Reference(str(loader.construct_scalar(node)))


for _tag in ("!new:", "!name:", "!apply:", "!module:", "!tuple", "!copy"):
    _Loader.add_multi_constructor(_tag, _plain)
_Loader.add_constructor("!ref", _reference)


def parse_hyperpyyaml(text: str, origin: str) -> dict[str, Any]:
    """The tree of a file in the tag dialect, with references to top-level names filled in.

    A reference that cannot be resolved stays as a word, so that only what is read from the tree can be found wrong.
    Raises EngineUnavailable for a text that is not YAML.
    """
    try:
        tree: Any = yaml_tree(text, _Loader)
    except ValueError as error:
        raise EngineUnavailable(f"{origin} cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise EngineUnavailable(f"{origin}: must be a mapping, got {type(tree).__name__}")
    return {key: _resolved(value, tree, ()) for key, value in tree.items()}


def _resolved(value: Any, tree: Mapping[str, Any], seen: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(item, tree, seen) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, tree, seen) for item in value]
    if not isinstance(value, _Reference):
        return value
    factors = [_factor(part.strip(), tree, seen) for part in value.expression.split("*")]
    if len(factors) == 1:
        return factors[0]
    if all(isinstance(factor, (int, float)) for factor in factors):
        return math.prod(factors)
    return value.expression


def _factor(text: str, tree: Mapping[str, Any], seen: tuple[str, ...]) -> Any:
    """What one factor of a reference stands for: a number, or a top-level name in angle brackets."""
    if text.startswith("<") and text.endswith(">"):
        name = text[1:-1]
        return _resolved(tree[name], tree, (*seen, name)) if name in tree and name not in seen else text
    try:
        return int(text)
    except ValueError:
        return text
