"""What any producer may put on batch-status leaves the reader, and who asks it, alive."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from agents.progress import closings
from tickertape.batches import BatchReader
from tickertape.settings import Settings

SETTINGS = Settings()


OWN = (("tickertape-own", b"1"),)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(key: str, value: Any, *, own: bool = True, at: int | None = None) -> Any:
    """``at`` is the broker's time (ms); absent: now."""
    raw = None if value is None else orjson.dumps(value)
    stamp = round(time.time() * 1000) if at is None else at
    return SimpleNamespace(key=key.encode(), value=raw, headers=OWN if own else (), timestamp=stamp)


def reader_of(*records: Any, clock: Clock | None = None) -> BatchReader:
    reader = BatchReader(SETTINGS, clock or Clock())
    for each in records:
        reader._take(each)
    return reader


def status(batch_id: str, state: str = "processing", **more: Any) -> dict[str, Any]:
    return {"batch_id": batch_id, "status": state, "seen": 1, **more}


def deltas(reader: BatchReader) -> list[dict[str, Any]]:
    return [orjson.loads(sent.value or b"") for sent in closings(SETTINGS, reader)]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("state", [["queued"], {}, None, 3, "done"])
def test_a_status_of_any_type_is_passed_over(state: Any, own: bool) -> None:
    assert reader_of(record("7", {"batch_id": "7", "status": state}, own=own)).get("7") is None


def test_fields_of_wrong_types_break_neither_the_list_nor_the_closing() -> None:
    clock = Clock()
    value = {"batch_id": 7, "status": "processing", "seen": 1, "started": "x", "last": "y"}
    reader = reader_of(record("7", value, at=1000), clock=clock)
    (batch,) = reader.recent(5)
    assert (batch["batch_id"], batch["started"]) == ("7", 1000)
    clock.now = SETTINGS.batch_idle_seconds + 1
    assert {"batch_id": "7", "close": 1000} in deltas(reader)


def test_an_older_status_after_a_newer_one_is_not_shown_and_asks_for_a_refresh() -> None:
    reader = reader_of(
        record("b", status("b", "completed", at=9)),
        record("b", status("b", "processing", at=7)),  # of a worker taken for dead, that woke
    )
    batch = reader.get("b")
    assert batch is not None
    assert batch["status"] == "completed"
    assert deltas(reader) == [{"batch_id": "b", "refresh": True}]
    reader._take(record("b", status("b", "completed", at=9)))
    assert deltas(reader) == []


def test_a_batch_that_is_forgotten_asks_for_nothing_more() -> None:
    reader = reader_of(record("b", status("b", "completed", at=9)), record("b", status("b", at=7)))
    reader._take(record("b", None))
    assert deltas(reader) == []
    assert reader.get("b") is None


@pytest.mark.parametrize("state", ["completed", "failed", "processing"])
def test_of_an_unknown_batch_a_producer_is_believed_its_declaration_alone(state: str) -> None:
    reader = reader_of(record("b", status("b", state, done=5), own=False))
    assert reader.get("b") is None
    reader._take(record("x", status("b", "queued", total_documents=7, done=5), own=False))
    batch = reader.get("b")
    assert batch is not None
    assert (batch["status"], batch["total_documents"], batch["done"]) == ("queued", 7, 0)
    assert batch["seen"] == 0


def test_idleness_is_not_measured_by_a_clock_that_jumps() -> None:
    clock = Clock()
    reader = reader_of(record("b", status("b"), at=1), clock=clock)  # in 1970, says its time
    assert not any("close" in delta for delta in deltas(reader))
    clock.now = SETTINGS.batch_idle_seconds + 1
    assert {"batch_id": "b", "close": 1} in deltas(reader)


def test_what_seems_old_is_named_to_its_owner_with_what_was_seen() -> None:
    now = round(time.time() * 1000)
    reader = reader_of(
        record("old", status("old", "completed"), at=1000),
        record("new", status("new", "completed"), at=now),
    )
    idle_ms = round(SETTINGS.batch_retention_hours * 3_600_000)
    assert deltas(reader) == [{"batch_id": "old", "forget": [1000, idle_ms]}]


def test_a_clock_that_is_days_ahead_names_nothing_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would name every batch every 5 s, for as long as the clock is wrong."""
    clock = Clock()
    reader = reader_of(record("one", status("one", "completed")), clock=clock)
    ahead = time.time() + 9 * 86_400
    monkeypatch.setattr("tickertape.batches.time.time", lambda: ahead)
    assert deltas(reader) == []
    clock.now += 8 * 86_400  # by the clock that does not jump it is old
    assert len(deltas(reader)) == 1


def test_over_the_maximum_the_oldest_that_are_finished_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tickertape.batches.BATCHES_MAX", 2)
    now = round(time.time() * 1000)
    records = [
        record(name, status(name, state), at=now)
        for name, state in (("open", "processing"), ("first", "failed"), ("next", "completed"))
    ]
    reader = reader_of(*records)
    assert deltas(reader) == [{"batch_id": "first", "forget": [now, None]}]
    assert reader.get("first") is not None  # until its owner has forgotten it
    reader._take(record("first", None))
    assert deltas(reader) == []


def test_nobody_but_its_owner_forgets_a_batch() -> None:
    reader = reader_of(record("b", status("b")), record("b", None, own=False))
    assert reader.get("b") is not None
