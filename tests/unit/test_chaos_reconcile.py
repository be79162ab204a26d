"""The checker can fail: each thing that may go wrong is told, in its class, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from loadtest.chaos.evidence import Evidence, Head, Input, Letter, Vector, Version
from loadtest.chaos.reconcile import CLASSES, Sent, reconcile

FILINGS, TEXTS = "filings", "texts"
TEXT = {e: f"Note d1e{e} is about cash. Debt fell by {e} percent." for e in (1, 2)}


def at(offset: int, topic: str = FILINGS) -> Version:
    return (), (1000 + offset, offset, 0, topic)


def record(
    edition: int | None, offset: int, topic: str = FILINGS, poison: bool = False, **more: Any
) -> Input:
    text = TEXT[edition] if edition is not None else None
    value = json.dumps({"text": text, "at": offset}).encode() if edition is not None else None
    found = Input(
        origin=(topic, 0, offset),
        id=None if poison else "d1",
        version=at(offset, topic),
        mark=f"d1e{edition}" if edition is not None else None,
        text=text,
        batch=None if value is None else "b",
        value=value,
        key=b"d1",
    )
    return replace(found, **more)


def head(edition: int, offset: int, **more: Any) -> Head:
    text = TEXT[edition]
    cut = text.index(" Debt")
    chunks = ((0, 0, cut, text[:cut]), (1, cut + 1, len(text), text[cut + 1 :]))
    version = at(offset)
    found = Head(FILINGS, "d1", version, version, 2, False, (FILINGS, 0, offset), chunks)
    return replace(found, **more)


def vectors(*offsets: int) -> list[Vector]:
    return [Vector("d1", f"{1000 + o}.{o}", chunk, 2) for o in offsets for chunk in (0, 1)]


def batch(done: int, dead: int = 0, **more: Any) -> dict[str, Mapping[str, Any]]:
    status = {
        "status": "failed" if dead else "completed",
        "seen": done + dead,
        "done": done,
        "dead": dead,
        "repeats": 0,
        "retrying": 0,
        "processed_documents": done + dead,
        "total_documents": done + dead,
    }
    return {"b": {**status, **more}}


# Two editions, the second one is the newest: all is well.
GOOD = Evidence(
    inputs=[record(1, 0), record(2, 1)],
    heads=[head(2, 1)],
    vectors=vectors(0, 1),
    summaries=[("d1", "d1e1"), ("d1", "d1e2")],
    batches=batch(2),
    declared={"b": 2},
    summarised=FILINGS,
)
POISON = record(1, 2, poison=True, mark=None, text=None, key=b"poison-1")
LETTER = Letter(f"{FILINGS}-dlq", POISON.origin, "InvalidRecord: text")
DELETE = record(None, 2)
DELETED = head(2, 2, deleted=True, chunks=(), chunk_count=0)


def classes(evidence: Evidence, sent: list[Sent] | None = None) -> set[str]:
    found = reconcile(evidence, sent or [])
    assert set(found) == set(CLASSES)
    return {name for name, lines in found.items() if lines}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"vectors": vectors(0, 0, 1, 1)},  # at least once
        {"vectors": vectors(1), "summaries": [("d1", "d1e2")]},  # the older one was passed over
        {"inputs": [*GOOD.inputs, POISON], "letters": [LETTER], "batches": batch(2, 1)}
        | {"declared": {"b": 3}},
        {"inputs": [*GOOD.inputs, DELETE], "heads": [DELETED]},
        {"declared": {}},
    ],
)
def test_nothing_is_wrong(more: dict[str, Any]):
    assert classes(replace(GOOD, **more)) == set()


@pytest.mark.parametrize(
    ("wrong", "more"),
    [
        ({"lost"}, {"heads": []}),
        ({"lost"}, {"heads": [replace(head(2, 1), deleted=True, chunks=())]}),
        ({"lost"}, {"vectors": vectors(0)}),
        ({"lost"}, {"vectors": vectors(0, 1)[:-1]}),
        ({"lost"}, {"summaries": [("d1", "d1e1")]}),
        ({"lost"}, {"summaries": []}),
        ({"lost"}, {"inputs": [*GOOD.inputs, replace(POISON, batch=None)]}),
        ({"stale"}, {"heads": [head(1, 0)]}),
        ({"stale"}, {"heads": [replace(head(1, 0), version=at(1))]}),
        ({"stale"}, {"inputs": [*GOOD.inputs, DELETE]}),
        ({"stale"}, {"inputs": [*GOOD.inputs, DELETE]} | {"heads": [replace(head(2, 2))]}),
        ({"doubled"}, {"heads": [head(2, 1), replace(head(2, 1), collection="other")]}),
        ({"doubled"}, {"heads": [head(2, 1), replace(head(2, 1), id="d9")]}),
        ({"doubled"}, {"heads": [replace(head(2, 1), chunks=head(2, 1).chunks * 2)]}),
        ({"doubled"}, {"heads": [replace(head(2, 1), chunks=head(2, 1).chunks[:1])]}),
        ({"doubled"}, {"loose": 1}),
        ({"misordered"}, {"vectors": vectors(0, 1, 0)}),
        ({"misordered"}, {"summaries": [("d1", "d1e1"), ("d1", "d1e2"), ("d1", "d1e1")]}),
        ({"miscounted"}, {"batches": {}}),
        ({"miscounted"}, {"batches": batch(1)}),
        ({"miscounted"}, {"batches": batch(2, seen=3)}),
        ({"miscounted"}, {"batches": batch(2, retrying=1)}),
        ({"miscounted"}, {"batches": batch(1, repeats=1)}),
        ({"miscounted"}, {"batches": batch(2, status="processing")}),
        ({"miscounted"}, {"batches": batch(1, 1)}),
        ({"miscounted"}, {"declared": {"b": 3}}),
    ],
)
def test_what_is_wrong_is_told(wrong: set[str], more: dict[str, Any]):
    assert classes(replace(GOOD, **more)) == wrong


def test_a_record_is_not_both_stored_and_a_dead_letter():
    letter = replace(LETTER, origin=(FILINGS, 0, 1))
    found = classes(replace(GOOD, letters=[letter], batches=batch(1, 1)))
    assert "doubled" in found


def test_what_the_broker_acknowledged_is_on_its_topic():
    sent = [(i.origin[0], i.key, i.value) for i in GOOD.inputs]
    assert classes(GOOD, sent) == set()
    assert classes(GOOD, [*sent, (FILINGS, b"d2", b"{}")]) == {"lost"}


def test_a_record_that_was_sent_again_is_a_repeat_and_a_newest_version_of_its_own():
    again = replace(record(2, 2), value=GOOD.inputs[1].value)
    inputs = [*GOOD.inputs, again]
    moved = replace(head(2, 1), version=at(2))
    assert (
        classes(replace(GOOD, inputs=inputs, heads=[moved], batches=batch(2, repeats=1))) == set()
    )


def test_parts_are_each_the_newest():
    def part(number: int, offset: int, text: str) -> Input:
        found = record(1, offset, "vectors", part=number, text=text, id="p1", batch=None)
        return replace(found, value=None)

    parts = [part(1, 0, "old"), part(0, 1, "first"), part(1, 2, "new")]
    stored = replace(head(1, 2), id="p1", chunks=((0, 0, 5, "first"), (1, 0, 3, "new")))
    only = Evidence(inputs=parts, heads=[stored])
    assert classes(only) == set()
    wrong = {
        "lost": stored.chunks[:1],
        "stale": (stored.chunks[0], (1, 0, 3, "old")),
        "doubled": (*stored.chunks, (2, 0, 1, "x")),
    }
    for name, chunks in wrong.items():
        assert classes(replace(only, heads=[replace(stored, chunks=chunks)])) == {name}
    assert classes(replace(only, heads=[])) == {"lost"}


def test_a_delete_lets_versions_begin_anew():
    """Version 2, a delete, version 1: the last one counts, and what goes out goes down."""

    def numbered(offset: int, number: int) -> Version:
        return (number,), at(offset)[1]

    first = replace(record(1, 0), version=numbered(0, 2))
    last = replace(record(2, 2), version=numbered(2, 1))
    inputs = [first, replace(DELETE, origin=(FILINGS, 0, 1), version=at(1)), last]
    told = [Vector("d1", label, chunk, 2) for label in ("2.0", "1.2") for chunk in (0, 1)]
    right = replace(
        GOOD, inputs=inputs, heads=[replace(head(2, 2), version=last.version)], vectors=told
    )
    assert classes(right) == set()
    assert classes(replace(right, inputs=[first, last])) == {"stale", "misordered"}


def test_an_older_one_may_come_between_two_newer_ones():
    told = [("d1", "d1e1"), ("d1", "d1e2"), ("d1", "d1e1"), ("d1", "d1e2")]
    assert classes(replace(GOOD, vectors=vectors(0, 1, 0, 1), summaries=told)) == set()
    half = vectors(0, 1, 0, 1)[:-1]
    assert classes(replace(GOOD, vectors=half)) == {"misordered"}


def test_a_summary_that_died_once_and_was_made_once_counts_as_it_was_told():
    letter = Letter("summary-requests-dlq", (FILINGS, 0, 1), "TransientError")
    for told in (batch(2), batch(1, 1)):
        assert classes(replace(GOOD, letters=[letter], batches=told)) == set()
    only = replace(GOOD, letters=[letter], summaries=[("d1", "d1e1")])
    assert classes(replace(only, batches=batch(1, 1))) == set()
    assert classes(replace(only, batches=batch(2))) == {"miscounted"}


def test_a_summary_that_died_once_and_was_of_no_use_any_more_counts_as_it_was_told():
    letter = Letter("summary-requests-dlq", (FILINGS, 0, 0), "TransientError")
    newer = replace(GOOD, letters=[letter], summaries=[("d1", "d1e2")])
    for told in (batch(2), batch(1, 1)):
        assert classes(replace(newer, batches=told)) == set()
