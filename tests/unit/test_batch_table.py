"""The table of batches: recovery takes the newest value, and what is written is handed out."""

from __future__ import annotations

from types import SimpleNamespace

import faust
import orjson
import pytest

from tables.batches import Unreadable, apply
from tables.confirmed import ConfirmedTable
from tickertape.delivery.progress import Delta, Forget
from worker import table_partition


def event(key, value):
    raw = None if value is None else b"..."
    message = SimpleNamespace(value=raw, partition=0)
    return SimpleNamespace(key=key, value=value, message=message)


@pytest.fixture
def table():
    app = faust.App("recovery", broker="kafka://localhost:1", store="memory://")
    return app.tables.add(ConfirmedTable(app, name="batches"))


def test_what_a_zombie_wrote_after_the_new_owner_is_passed_over(table):
    table.apply_changelog_batch([event("b", {"at": 5, "n": 1}), event("b", {"at": 9, "n": 2})])
    table.apply_changelog_batch([event("b", {"at": 7, "n": 3})])
    assert table.data["b"]["n"] == 2
    table.apply_changelog_batch([event("b", {"at": 12, "n": 4}), event("b", {"at": 11, "n": 5})])
    assert table.data["b"]["n"] == 4


def test_a_value_of_the_same_delta_is_taken_and_a_removal_too(table):
    table.apply_changelog_batch([event("b", {"at": 5, "n": 1}), event("b", {"at": 5, "n": 2})])
    assert table.data["b"]["n"] == 2
    table.apply_changelog_batch([event("b", None)])
    assert "b" not in table.data


def test_what_is_written_is_among_what_the_flow_confirms(table):
    """Faust sends it and waits for nobody: an offset moved, and the change was nowhere."""
    delta = Delta("b", total=2, declared=True, offset=7, timestamp_ms=5)
    with table_partition("progress", 3):
        made = apply(table, [delta], "batch-status")
    assert [(record.topic, record.partition) for record in made] == [
        ("recovery-batches-changelog", 3),
        ("batch-status", None),
    ]
    assert orjson.loads(made[0].key) == "b"
    assert orjson.loads(made[0].value) == table.data["b"]
    with table_partition("progress", 3):
        again = apply(table, [Delta("b", forget=Forget(1000), offset=8)], "batch-status")
    assert (again[0].key, again[0].value) == (made[0].key, None)


def test_a_table_that_cannot_be_read_is_no_deltas_fault() -> None:
    class Broken:
        class data:  # noqa: N801
            @staticmethod
            def get(key: str) -> None:
                raise OSError("disk")

    with pytest.raises(Unreadable, match="disk"):
        apply(Broken(), [Delta("b", total=1, declared=True)], "batch-status")
