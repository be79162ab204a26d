"""Metadata as stores keep it and look it up.

It is ASCII JSON (integers of any size, NUL and surrogates escaped). A tree deeper than the JSON
parser's stack allows is a list of its nodes instead.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

DEPTH_MAX = 200  # levels as plain JSON; deeper trees are stored node by node
DEEP = "nodes:"
LEAF_CHARACTERS_MAX = 200  # a longer name or value is looked up by its digest

NESTED = (dict, list, tuple, Mapping)
ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_DIGEST = re.compile("blake2b:[0-9a-f]{32}")
_SURROGATES = re.compile("[\ud800-\udfff]")

Node = tuple[int, Any, Any]  # index of the parent (-1: none), key in the parent, value


def dump(tree: Mapping[str, Any]) -> str:
    """Return the tree as ASCII text.

    Raises:
        TypeError: it holds something that JSON does not have.
    """
    if any(isinstance(value, NESTED) for value in tree.values()):
        nodes = _nodes(tree)
        if _depth(nodes) > DEPTH_MAX:
            return _node_by_node(nodes)
    return ENCODE(dict(tree))


def load(text: str) -> dict[str, Any]:
    """Return what `dump` was given."""
    if not text.startswith(DEEP):
        tree: dict[str, Any] = json.loads(text)
        return tree
    values: list[Any] = []
    for parent, key, value in json.loads(text[len(DEEP) :]):
        values.append(value)
        if parent < 0:
            continue
        if isinstance(values[parent], dict):
            values[parent][key] = value
        else:
            values[parent].append(value)
    root: dict[str, Any] = values[0]
    return root


def leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (dotted name, canonical value) of every leaf; a list's elements have its name."""
    if not any(isinstance(value, NESTED) for value in tree.values()):
        yield from ((short(name), canonical(value)) for name, value in tree.items())
        return
    names: list[str] = []
    for parent, key, value in _nodes(tree):
        above = names[parent] if parent >= 0 else ""
        named = isinstance(key, str)
        names.append(f"{above}.{key}" if named and above else key if named else above)
        if not isinstance(value, NESTED):
            yield short(names[-1]), canonical(value)


def canonical(value: Any) -> str:
    """Return the text by which a value is looked up: 2024, 2024.0 and "2024" are the same.

    Raises:
        TypeError: the value is no string, number, boolean or None.
    """
    if isinstance(value, str):
        return short(value)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int):
        return short(str(value))
    raise TypeError(f"expected a string, a number, a boolean or null, got {type(value).__name__}")


def short(text: str) -> str:
    """Return the text, or its digest where it is long or not plain."""
    if len(text) <= LEAF_CHARACTERS_MAX and "\0" not in text and _SURROGATES.search(text) is None:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    return f"blake2b:{digest.hexdigest()}"


def is_digest(text: str) -> bool:
    """Tell whether a value as it is looked up is the digest of another."""
    return _DIGEST.fullmatch(text) is not None


def _nodes(tree: Mapping[str, Any]) -> list[Node]:
    """The tree's nodes, a parent before its children, without recursion."""
    nodes: list[Node] = [(-1, None, tree)]
    for index, (_, _, value) in enumerate(nodes):  # grows while it is read
        if isinstance(value, Mapping):
            nodes.extend((index, key, below) for key, below in value.items())
        elif isinstance(value, list | tuple):
            nodes.extend((index, None, below) for below in value)
    return nodes


def _depth(nodes: list[Node]) -> int:
    depths: list[int] = []
    for parent, _, _ in nodes:
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
    return depths[-1]  # breadth first: the last is the deepest


def _node_by_node(nodes: list[Node]) -> str:
    empty = [(parent, key, _bare(value)) for parent, key, value in nodes]
    return DEEP + json.dumps(empty, separators=(",", ":"))


def _bare(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {}
    return [] if isinstance(value, list | tuple) else value
