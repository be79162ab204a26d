"""Whatever a producer sends comes back as it was, and is found under the same name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickertape.stores import metadata, prepare
from tickertape.stores.sqlite import values

anything = st.text(st.characters(exclude_categories=())) | st.sampled_from(("\0", "\ud800", ""))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | anything
trees = st.dictionaries(
    anything,
    st.recursive(scalars, lambda t: st.lists(t) | st.dictionaries(anything, t), max_leaves=8),
)


@given(anything)
def test_text_comes_back(text: str) -> None:
    assert values.unbind(values.bind(text)) == text


@given(anything)
def test_words_are_clean(text: str) -> None:
    assert "\0" not in prepare.plain(text)
    prepare.plain(text).encode()


@settings(max_examples=50, deadline=None)
@given(trees)
def test_tree_comes_back(tree: dict[str, Any]) -> None:
    text = metadata.dump(tree)
    assert text.isascii()
    assert metadata.load(text) == tree


@settings(max_examples=50, deadline=None)
@given(trees)
def test_deep_form_comes_back_too(tree: dict[str, Any]) -> None:
    """The form that trees get which the JSON parser's stack could not take."""
    text = metadata._node_by_node(metadata._nodes(tree))
    assert text.startswith(metadata.DEEP)
    assert metadata.load(text) == tree


def test_deep_tree_needs_no_stack() -> None:
    tree: dict[str, Any] = {"leaf": 1}
    for _ in range(20_000):
        tree = {"a": [tree]}
    levels, node = 0, metadata.load(metadata.dump(tree))
    while "a" in node:
        levels, node = levels + 1, node["a"][0]
    assert (levels, node) == (20_000, {"leaf": 1})


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(TypeError):
        metadata.dump({"a": object()})


def test_leaves_have_dotted_names() -> None:
    tree = {"a": {"b": [1, {"c": "x"}, [2]]}, "d": None, "e": {}, "f": []}
    assert sorted(metadata.leaves(tree)) == [
        ("a.b", "1"),
        ("a.b", "2"),
        ("a.b.c", "x"),
        ("d", "null"),
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (2024, "2024", True),
        (2024.0, "2024", True),
        (0.1, "0.1", True),
        (10**40, str(10**40), True),
        (True, "true", True),
        (True, 1, False),
        ("007", 7, False),
        ("AAPL", "aapl", False),
        (None, "", False),
        (-0.0, 0, True),
        ("x" * 999, "x" * 999, True),
        ("x" * 999, "x" * 998, False),
        ("a\0", "a", False),
    ],
)
def test_values_compare_as_a_reader_would(one: Any, other: Any, same: bool) -> None:
    assert (metadata.canonical(one) == metadata.canonical(other)) is same


@given(anything | st.integers(0, 999).map("x".__mul__))
def test_lookup_text_is_short_and_plain(text: str) -> None:
    found = metadata.short(text)
    assert len(found) <= metadata.LEAF_CHARACTERS_MAX
    assert json.loads(json.dumps(found)) == found
    found.encode()
    assert "\0" not in found
