"""What the agents make of a record, and what they say that they need."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from agents import summarize
from agents.write import read_update
from tickertape.decode import Limits
from tickertape.delivery.record import Record
from tickertape.pipeline import Removal
from tickertape.settings import Settings


@pytest.mark.parametrize("named", [{"table_name": "users"}, {"metadata": {"table_name": "users"}}])
def test_a_delete_is_of_the_table_that_an_insert_would_write_to(named: dict[str, Any]) -> None:
    value = orjson.dumps({"operation": "delete", "document_id": "1", **named})
    record = Record("vector-updates", 0, 0, b"1", value, (), 1)
    found = read_update(record, Limits())
    assert isinstance(found, Removal)
    assert found.collection == "users"


@pytest.mark.parametrize("url", [None, "http://localhost:8000/v1"])
def test_summaries_are_held_while_their_ledger_is_down(url: str | None) -> None:
    settings = Settings().model_copy(update={"llm_url": url})
    (spec,) = summarize.specs(settings, lambda: pytest.fail("not opened"))
    assert "store:sqlite" in spec.dependencies
    assert ("llm" in spec.dependencies) == (url is not None)
