"""Batches: every sequence once, within the budget."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.batching import padded, plan

LENGTHS = st.lists(st.integers(1, 600), max_size=80)


@given(lengths=LENGTHS, budget=st.integers(1, 2048))
def test_every_index_once_and_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = plan(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        cost = padded([lengths[index] for index in batch])
        assert cost <= budget or len(batch) == 1


@given(lengths=LENGTHS, budget=st.integers(1, 2048))
def test_no_batch_could_take_the_first_of_the_next(lengths: list[int], budget: int) -> None:
    batches = plan(lengths, budget)
    for batch, following in pairwise(batches):
        joined = [lengths[index] for index in (*batch, following[0])]
        assert padded(joined) > budget


@given(lengths=LENGTHS, budget=st.integers(1, 2048))
def test_longest_first(lengths: list[int], budget: int) -> None:
    order = [lengths[index] for batch in plan(lengths, budget) for index in batch]
    assert order == sorted(lengths, reverse=True)


def test_padding_is_small_where_lengths_vary() -> None:
    lengths = [10, 200] * 50
    cost = sum(padded([lengths[i] for i in batch]) for batch in plan(lengths, 1000))
    assert cost <= sum(lengths) * 1.1  # unsorted pairs would cost nearly twice as much


def test_one_over_the_budget_is_alone() -> None:
    assert plan([5, 100, 5], 50) == [[1], [0, 2]]


def test_nothing_to_cut() -> None:
    assert plan([], 10) == []


def test_budget_must_be_positive() -> None:
    with pytest.raises(ValueError, match="budget"):
        plan([1], 0)
