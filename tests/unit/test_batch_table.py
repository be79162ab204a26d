"""Recovery of the table of batches takes the newest value, not the last one written."""

from __future__ import annotations

from types import SimpleNamespace

import faust
import pytest

from tables.batches import BatchTable


def event(key, value):
    raw = None if value is None else b"..."
    message = SimpleNamespace(value=raw, partition=0)
    return SimpleNamespace(key=key, value=value, message=message)


@pytest.fixture
def table():
    app = faust.App("recovery", broker="kafka://localhost:1", store="memory://")
    return app.tables.add(BatchTable(app, name="batches"))


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
