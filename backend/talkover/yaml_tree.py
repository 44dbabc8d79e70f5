"""YAML from other people's files: plain values, of bounded size, and one kind of error."""

from __future__ import annotations

from typing import Any

MAX_NODES = 200_000
"""with every alias written out: nine lines of aliases of aliases stand for a billion values"""


def yaml_tree(text: str, loader: Any = None) -> Any:
    """The value of one document. `loader`: a class derived from `yaml.SafeLoader`; None: that one.

    Raises ValueError for what is no YAML, for more than `MAX_NODES` values and for one that holds itself; ImportError
    without PyYAML.
    """
    import yaml

    try:
        reader: Any = (loader or yaml.SafeLoader)(text)
        try:
            root: Any = reader.get_single_node()
            if root is None:
                return None
            if _size(root, {}) > MAX_NODES:
                raise ValueError(f"it stands for more than {MAX_NODES} values, or for one that holds itself")
            return reader.construct_document(root)
        finally:
            reader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (LookupError, AttributeError, TypeError, ArithmeticError) as error:  # of `!!int` or `!!bool` before any word
        raise ValueError(f"a value does not fit its tag ({type(error).__name__})") from error


def _size(node: Any, known: dict[int, int]) -> int:
    """Values below a node, itself included, aliases written out; more than `MAX_NODES` for one that holds itself."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MAX_NODES + 1  # until it is counted: who meets it meanwhile is inside of it
    children = node.value if isinstance(node.value, list) else []
    parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
    known[id(node)] = min(1 + sum(_size(part, known) for part in parts), MAX_NODES + 1)
    return known[id(node)]
