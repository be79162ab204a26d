"""Batches: every sequence once, within the budget."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.batching import padded, plan, shape, share

LENGTHS = st.lists(st.integers(1, 600), max_size=80)


@given(lengths=LENGTHS, budget=st.integers(1, 2048))
def test_every_index_once_and_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = plan(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        cost = padded([lengths[index] for index in batch])
        assert cost <= budget or len(batch) == 1


@given(lengths=LENGTHS, budget=st.integers(1, 2048))
def test_the_budget_holds_for_what_is_padded(lengths: list[int], budget: int) -> None:
    for batch in plan(lengths, budget):
        rows, width = shape(len(batch), max(lengths[index] for index in batch))
        assert rows * width <= budget or len(batch) == 1


@given(lengths=LENGTHS, budget=st.integers(1, 2048))
def test_all_but_the_last_fill_most_of_the_budget(lengths: list[int], budget: int) -> None:
    for batch in plan(lengths, budget)[:-1]:
        _, width = shape(1, lengths[batch[0]])
        assert len(batch) == 1 or (len(batch) * 5 / 4 + 1) * width > budget


@given(lengths=LENGTHS, budget=st.integers(1, 2048), spare=st.integers(0, 300))
def test_padding_is_bounded_where_another_batch_is_cheap(
    lengths: list[int], budget: int, spare: int
) -> None:
    batches = plan(lengths, budget, spare)
    order = [lengths[index] for batch in batches for index in batch]
    assert order == sorted(lengths, reverse=True)
    for batch in batches:
        rows, width = shape(len(batch), lengths[batch[0]])
        assert rows * width <= budget or len(batch) == 1
        assert sum(width - shape(1, lengths[index])[1] for index in batch) <= spare
        assert len(batch).bit_count() == 1


@pytest.mark.parametrize(
    ("spare", "sizes"),
    [(None, [4]), (0, [1, 1, 2]), (95, [1, 1, 2]), (96, [2, 2]), (1000, [4])],
)
def test_padding_or_another_batch(spare: int | None, sizes: list[int]) -> None:
    assert [len(batch) for batch in plan([200, 120, 30, 28], 2048, spare)] == sizes


@given(rows=st.integers(1, 600), longest=st.integers(0, 600))
def test_a_shape_has_room_and_is_its_own_shape(rows: int, longest: int) -> None:
    more, wider = shape(rows, longest)
    assert rows <= more <= rows * 5 / 4
    assert longest <= wider <= longest * 5 / 4 + 16
    assert shape(more, wider) == (more, wider)


def test_full_batches_of_any_lengths_have_few_shapes() -> None:
    found = set()
    for longest in range(2, 257):
        (batch, *_) = plan([longest] * 600, 512, 32)
        found.add(shape(len(batch), longest))
    assert len(found) == 12


@given(lengths=LENGTHS, budget=st.integers(1, 2048))
def test_longest_first(lengths: list[int], budget: int) -> None:
    order = [lengths[index] for batch in plan(lengths, budget) for index in batch]
    assert order == sorted(lengths, reverse=True)


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([12] * 8, [4, 4]),
        ([12] * 18, [10, 8]),
        ([12] * 5, [3, 2]),
        ([200, 10, 10, 10], [1, 3]),
        ([200, 200], [1, 1]),
        ([7], [1]),
        ([], []),
    ],
)
def test_a_few_are_shared_out(lengths: list[int], sizes: list[int]) -> None:
    assert [len(batch) for batch in plan(lengths, share(lengths, 2))] == sizes


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [([12] * 8, [4, 4]), ([12] * 18, [8, 8, 2]), ([12] * 5, [2, 2, 1]), ([200, 10, 10], [1, 2])],
)
def test_a_few_are_shared_out_in_few_shapes(lengths: list[int], sizes: list[int]) -> None:
    assert [len(batch) for batch in plan(lengths, share(lengths, 2), 32)] == sizes


def test_few_and_many_of_any_lengths_have_few_shapes() -> None:
    random = Random(5)
    found = set()
    for _ in range(2000):
        lengths = [random.randint(2, 256) for _ in range(random.randint(1, 32))]
        for batch in plan(lengths, min(512, share(lengths, 2)), 32):
            found.add(shape(len(batch), lengths[batch[0]]))
    assert len(found) <= 40  # 195 with rows of any number


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
