"""The plan of a chaos run: the same seed, the same records and faults, and all kinds of both."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest

from loadtest.chaos import faults
from loadtest.chaos.faults import Fault
from loadtest.chaos.workload import MARK, STATUS, TEXTS, VECTORS, Send, steps


def sends(seed: int, documents: int, count: int) -> list[Send]:
    plan = faults.plan(seed, count, 2)
    return [step for step in steps(seed, documents, plan) if isinstance(step, Send)]


def test_a_seed_is_a_plan():
    assert sends(7, 200, 30) == sends(7, 200, 30)
    assert sends(7, 200, 30) != sends(8, 200, 30)
    assert faults.plan(7, 30, 2) == faults.plan(7, 30, 2) != faults.plan(8, 30, 2)


def test_every_kind_of_fault_comes_and_all_are_spread():
    plan = faults.plan(3, 60, 2)
    assert {fault.kind for fault in plan} == set(faults.WEIGHTS)
    found = list(steps(3, 300, plan))
    assert [step for step in found if isinstance(step, Fault)] == plan
    places = [place for place, step in enumerate(found) if isinstance(step, Fault)]
    assert places[0] > 0
    assert all(b - a < len(found) / 10 for a, b in itertools.pairwise(places))


def test_a_worker_is_stopped_for_longer_than_its_session():
    stops = [f for seed in range(9) for f in faults.plan(seed, 60, 2) if f.kind == "stop"]
    assert stops
    assert all(fault.seconds > faults.SESSION_SECONDS for fault in stops)


def test_documents_are_updated_deleted_reordered_and_sent_without_a_key():
    records = [s for s in sends(5, 2000, 0) if s.topic not in {STATUS, VECTORS}]
    values = [json.loads(s.value) for s in records if s.value is not None]
    assert len({value["id"] for value in values}) == 2000
    assert any(s.value is None for s in records), "no delete"
    assert any(s.key is None for s in records), "none without a key"
    explicit: dict[str, list[int]] = {}
    for value in values:
        if "version" in value:
            explicit.setdefault(value["id"], []).append(value["version"])
    assert any(versions != sorted(versions) for versions in explicit.values())
    for value in values:
        mark = MARK.search(value["text"])
        assert mark is not None
        assert mark[0].startswith(f"{value['id']}e")


def test_parts_come_in_any_order_and_producers_clocks_jump():
    found = sends(5, 2000, 0)
    parts: dict[str, list[int]] = {}
    for send in found:
        if send.topic == VECTORS:
            value = json.loads(send.value or b"")
            parts.setdefault(value["id"], []).append(value["chunk"])
    assert len(parts) == 40
    assert any(numbers != sorted(numbers) for numbers in parts.values())
    assert {send.late_ms > 0 for send in found if send.topic == TEXTS} == {False, True}
    assert all(send.late_ms == 0 for send in found if send.topic != TEXTS)
    assert any(send.odd for send in found)
    pairs = itertools.pairwise(send for send in found if send.topic != STATUS)
    assert any(str(a.key).startswith("own-") and b.value is None for a, b in pairs)


@pytest.mark.parametrize("seed", range(5))
def test_a_declared_total_can_be_reached(seed: int):
    """Items: each record of the batch that is not another one sent again."""
    items: dict[str, set[bytes | None]] = {}
    totals: dict[str, int | None] = {}
    for send in sends(seed, 400, 60):
        if send.topic == STATUS:
            status = json.loads(send.value or b"")
            totals[status["batch_id"]] = status["total_documents"]
        elif send.batch is not None:
            items.setdefault(send.batch, set()).add(
                send.key and send.key.encode() if "poison" in str(send.key) else send.value
            )
    assert None in totals.values()
    declared = {batch: total for batch, total in totals.items() if total is not None}
    assert declared
    # A text sent again unchanged is a record of its own, and may be a repeat in its batch.
    for batch, total in declared.items():
        assert len(items[batch]) <= total <= len(items[batch]) + 5


def test_poison_is_of_every_kind():
    plan = [Fault("poison", kind) for kind in faults.POISON]
    keys = [s for s in steps(1, 100, plan) if isinstance(s, Send) and "poison" in str(s.key)]
    assert len(keys) == len(faults.POISON)
    assert Counter(send.batch is None for send in keys) == {False: len(keys) - 1, True: 1}
