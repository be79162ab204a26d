"""Sign bits against brute force."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickertape.stores.sqlite.signbits import BLOCK, CAPACITY_MIN, SignBits, pack


def vectors(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, dimension)).astype(np.float32)


def filled(rows: np.ndarray, first: int = 1) -> SignBits:
    bits = SignBits(rows.shape[1])
    bits.add(np.arange(first, first + len(rows)), pack(rows))
    return bits


def hamming(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return ((rows > 0) != (vector > 0)).sum(axis=1)


@pytest.mark.parametrize(("dimension", "bytes_each"), [(384, 48), (1, 8), (64, 8), (65, 16)])
def test_pack_takes_whole_words(dimension: int, bytes_each: int) -> None:
    assert len(pack(vectors(1, dimension))[0].tobytes()) == bytes_each


@settings(deadline=None)
@given(
    rows=st.integers(0, 300),
    dimension=st.integers(1, 200),
    count=st.integers(1, 400),
    seed=st.integers(0, 99),
)
def test_nearest_are_those_of_least_distance(
    rows: int, dimension: int, count: int, seed: int
) -> None:
    data = vectors(rows, dimension, seed)
    query = vectors(1, dimension, seed + 1)[0]
    found = filled(data).nearest(query, count)
    assert len(found) == min(count, rows)
    assert (np.diff(found) > 0).all()
    distances = hamming(data, query)
    assert sorted(distances[found - 1]) == sorted(distances)[:count]


@settings(deadline=None)
@given(
    rows=st.integers(1, 300),
    dimension=st.integers(1, 200),
    count=st.integers(1, 400),
    seed=st.integers(0, 99),
)
def test_closer_are_those_whose_signs_go_best_with_the_vector(
    rows: int, dimension: int, count: int, seed: int
) -> None:
    data = vectors(rows, dimension, seed)
    query = vectors(1, dimension, seed + 1)[0]
    some = np.flatnonzero(np.arange(rows) % 3 != 1) + 1
    found = filled(data).closer(query, some, count)
    assert len(found) == min(count, len(some))
    assert (np.diff(found) > 0).all()
    assert set(found.tolist()) <= set(some.tolist())
    products = (data > 0) @ query
    best = sorted(products[some - 1], reverse=True)[:count]
    assert sorted(products[found - 1], reverse=True) == pytest.approx(best, abs=1e-4)


def test_closer_passes_over_unknown_rows_and_takes_any_finite_number() -> None:
    data = vectors(50, 64)
    bits = filled(data)
    huge = data[7] / np.abs(data[7]).max() * np.float32(3e38)
    assert 8 in bits.closer(huge, np.array([3, 8, 900, 901]), 2)
    assert bits.closer(huge, np.array([900, 901, 902]), 1).tolist() == []
    assert len(bits.closer(huge * 0, np.arange(1, 51), 4)) == 4


def test_more_rows_than_a_block_and_than_the_first_capacity() -> None:
    data = vectors(BLOCK + 77, 70)
    found = filled(data).nearest(data[BLOCK + 5], 1)
    assert found.tolist() == [BLOCK + 6]


def test_among_restricts_and_passes_over_unknown_ids() -> None:
    data = vectors(500, 64)
    bits = filled(data, first=1000)
    among = np.array([9, 1499, 1001, 1001, 5000])
    assert bits.nearest(data[1], 1, among).tolist() == [1001]
    assert bits.nearest(data[1], 50, among).tolist() == [1001, 1499]
    assert bits.nearest(data[1], 50, np.zeros(0, np.int64)).tolist() == []


def test_removed_rows_are_never_found() -> None:
    data = vectors(3000, 64)
    bits = filled(data)
    gone = np.random.default_rng(1).permutation(np.arange(1, 3001))[:2990]
    for low in range(0, len(gone), 100):  # compacts on the way
        bits.remove(np.append(gone[low : low + 100], [gone[0], 99_999]))
    assert len(bits) == 10
    left = sorted(set(range(1, 3001)) - set(gone.tolist()))
    assert bits.nearest(data[0], 5000).tolist() == left
    assert bits.nearest(data[0], 3, np.arange(1, 3001)).tolist()[0] in left
    bits.add(np.array([4000]), pack(data[:1]))
    assert bits.nearest(data[0], 1).tolist() == [4000]


def test_removing_all_leaves_nothing() -> None:
    bits = filled(vectors(10, 8))
    bits.remove(np.arange(1, 11))
    assert len(bits) == 0
    assert bits.nearest(vectors(1, 8)[0], 3).tolist() == []


def test_flood_of_duplicates_stays_bounded() -> None:
    bits = filled(np.ones((CAPACITY_MIN * 3, 64), np.float32))
    assert len(bits.nearest(np.ones(64, np.float32), 10)) == 10


def test_searches_beside_writes_see_whole_rows() -> None:
    """Every row is its own nearest, whatever grows and is compacted meanwhile."""
    data = vectors(20_000, 128)
    bits = filled(data[:1000])
    wrong: list[int] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            for place in (3, 500, 999):
                if (found := bits.nearest(data[place], 1).tolist()) != [place + 1]:
                    wrong.extend(found)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for low in range(1000, 20_000, 500):
        bits.add(np.arange(low + 1, low + 501), pack(data[low : low + 500]))
        bits.remove(np.arange(low + 1, low + 451))
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
