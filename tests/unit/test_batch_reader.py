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


def taken(*values: Any) -> BatchReader:
    reader = BatchReader(SETTINGS)
    for value in values:
        raw = orjson.dumps(value)
        reader._take(SimpleNamespace(key=b"7", value=raw, headers=(), timestamp=1000))
    return reader


@pytest.mark.parametrize("status", [["queued"], {}, None, 3, "done"])
def test_a_status_of_any_type_is_passed_over(status: Any) -> None:
    assert taken({"batch_id": "7", "status": status}).get("7") is None


def test_fields_of_wrong_types_break_neither_the_list_nor_the_closing() -> None:
    value = {"batch_id": 7, "status": "processing", "seen": 1, "started": "x", "last": "y"}
    reader = taken(value)
    (batch,) = reader.recent(5)
    assert (batch["batch_id"], batch["started"]) == ("7", 1000)
    keys = {record.key for record in closings(SETTINGS, reader)}
    assert keys == {b"7"}


def test_an_older_status_after_a_newer_one_is_not_shown_and_asks_for_a_refresh() -> None:
    reader = BatchReader(SETTINGS)

    def take(at: int, status: str) -> None:
        raw = orjson.dumps({"batch_id": "b", "status": status, "seen": 1, "at": at})
        own = (("tickertape-own", b"1"),)
        now = round(time.time() * 1000)
        reader._take(SimpleNamespace(key=b"b", value=raw, headers=own, timestamp=now))

    take(9, "completed")
    take(7, "processing")  # of a worker that was taken for dead and woke
    batch = reader.get("b")
    assert batch is not None
    assert batch["status"] == "completed"
    refreshes = [orjson.loads(r.value or b"") for r in closings(SETTINGS, reader)]
    assert refreshes == [{"batch_id": "b", "refresh": True}]
    take(9, "completed")
    assert not list(closings(SETTINGS, reader))
