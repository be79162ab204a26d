"""Marks: what is written is what is read, and what goes of a partition is counted right."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.dlq.letter import Place
from tickertape.dlq.marks import LetterState, Marks, outgoing
from tickertape.dlq.purge import Going
from tickertape.record import Outgoing

MARKED = (LetterState.REPLAYED, LetterState.PARKED, LetterState.PURGED)
places = st.builds(
    Place, st.sampled_from(["a-dlq", "b.c_d-dlq"]), st.integers(0, 2), st.integers(0, 40)
)


def read(marks: Marks, records: list[Outgoing], first: int = 0) -> None:
    for offset, record in enumerate(records, first):
        message = {"partition": 0, "offset": offset, "key": record.key, "value": record.value}
        marks.take(SimpleNamespace(**message))


@given(st.lists(st.tuples(st.sampled_from(MARKED), st.sets(places)), max_size=6))
def test_what_was_marked_last_in_line_is_its_state(
    writes: list[tuple[LetterState, set[Place]]],
) -> None:
    marks = Marks()
    for state, found in writes:
        read(marks, outgoing("marks", state, found), marks.offsets.get(0, 0))
    for place in set().union(*(found for _, found in writes)):
        given_states = {state for state, found in writes if place in found}
        assert marks.state(place) is max(given_states, key=MARKED.index)
        after = Place(place.topic, place.partition, 99)
        assert marks.state(after) is LetterState.OPEN


@given(
    st.lists(st.tuples(st.sampled_from(MARKED), st.sets(places)), max_size=6),
    st.integers(0, 40),
    st.integers(0, 50),
)
def test_open_letters_are_counted_without_reading_one(
    writes: list[tuple[LetterState, set[Place]]], begin: int, more: int
) -> None:
    marks = Marks()
    for state, found in writes:
        read(marks, outgoing("marks", state, found), marks.offsets.get(0, 0))
    there = [Place("a-dlq", 1, offset) for offset in range(begin, begin + more)]
    expected = sum(marks.state(place) is LetterState.OPEN for place in there)
    assert marks.open_count("a-dlq", 1, begin, begin + more) == expected


@given(st.sets(st.integers(0, 60)))
def test_a_run_of_letters_is_one_record(offsets: set[int]) -> None:
    records = outgoing("marks", LetterState.REPLAYED, [Place("a-dlq", 1, n) for n in offsets])
    runs = sum(1 for n in offsets if n - 1 not in offsets)
    assert len(records) == runs == len({record.key for record in records})


def test_keys_are_places_that_people_can_read() -> None:
    offsets = [4, 6, 7, 8]
    records = outgoing("marks", LetterState.PURGED, [Place("a-dlq", 1, n) for n in offsets])
    assert [record.key for record in records] == [b"a-dlq/1/4", b"a-dlq/1/6-8"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"{}"),
        (b"a-dlq/1", b'{"state": "replayed"}'),
        (b"a-dlq/1/x", b'{"state": "replayed"}'),
        (b"\xff/1/2", b'{"state": "replayed"}'),
        (b"a-dlq/1/0", b'{"state": "lost"}'),
        (b"a-dlq/1/0", b"[]"),
        (b"a-dlq/1/0", b"not JSON"),
        (b"a-dlq/1/0", None),
    ],
)
def test_what_is_no_mark_is_passed_over(key: bytes | None, value: bytes | None) -> None:
    marks = Marks()
    marks.take(SimpleNamespace(partition=1, offset=7, key=key, value=value))
    assert marks.state(Place("a-dlq", 1, 0)) is LetterState.OPEN
    assert marks.offsets == {1: 8}


def test_a_topic_made_anew_is_read_anew() -> None:
    marks = Marks()
    read(marks, outgoing("marks", LetterState.REPLAYED, [Place("a-dlq", 0, 0)]))
    marks.forget()
    assert (marks.offsets, marks.state(Place("a-dlq", 0, 0))) == ({}, LetterState.OPEN)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_only_a_whole_beginning_is_deleted(letters: list[tuple[bool, bool]]) -> None:
    """(goes, was purged before) of each offset, against counting by hand."""
    letters = [(goes and not purged, purged) for goes, purged in letters]
    going = Going()
    for offset, (goes, purged) in enumerate(letters):
        going.see(offset, goes, purged)
    whole = next(
        (n for n, (goes, purged) in enumerate(letters) if not goes and not purged), len(letters)
    )
    deleted = [n for n in range(whole) if letters[n][0]]
    hidden = [n for n in range(whole, len(letters)) if letters[n][0]]
    assert going.deleted == len(deleted)
    assert going.delete_before == whole
    assert list(going.hidden) == hidden
