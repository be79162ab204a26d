"""A result of an older version never comes after a newer one's, whatever the store was told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agents.summarize import summarize
from models import SummaryRequest
from tickertape.delivery.outcome import Done, Work
from tickertape.documents import Delete, Document, DocumentKey, Put, Touch
from tickertape.editions import Edition
from tickertape.record import Record
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.stores.sqlite import SqliteStore
from tickertape.summaries import Summaries
from tickertape.summarize.base import Summary
from tickertape.versions import Origin, Stamp, Version

KEY = DocumentKey("financial_documents", "d1")


class Repeating:
    """Answers with the text; ``meanwhile`` happens while it thinks."""

    name = "repeating"
    meanwhile: Any = None

    async def summarize(self, request: Any) -> Summary:
        if self.meanwhile is not None:
            await self.meanwhile()
        return Summary(request.text, self.name)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    found = SqliteStore(Settings().model_copy(update={"data_dir": tmp_path}))
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
def services(store: SqliteStore) -> Services:
    return cast(Services, SimpleNamespace(stores=[store], summarizer=Repeating()))


def at(ms: int) -> Version:
    return Version((), Stamp(ms, ms, 0, "financial-documents"))


def document(version: int) -> Document:
    origin = Origin("financial-documents", 0, version)
    return Document(KEY, f"Edition {version}.", at(version), origin)


async def put(store: SqliteStore, version: int) -> None:
    await store.apply([Put(document(version), Edition(at(version)), f"hash {version}", "m", ())])


async def delete(store: SqliteStore, version: int) -> None:
    await store.apply([Delete(KEY.id, None, at(version), document(version).origin)])


async def results(services: Services, version: int) -> int:
    value = SummaryRequest.of(document(version)).encode()
    record = Record("summary-requests", 0, version, b"d1", value, (), 1, trusted=True)
    summaries = Summaries(services.summarizer, services.stores, 3)
    (outcome,) = await summarize([Work(record, document(version))], Settings(), summaries)
    assert isinstance(outcome, Done)
    return len(outcome.outputs)


async def test_the_stored_version_is_summarised(store: SqliteStore, services: Services):
    await put(store, 2)
    assert await results(services, 2) == 1


async def test_an_older_one_is_passed_over_before_the_newer_ones_summary(
    store: SqliteStore, services: Services
):
    await put(store, 2)
    assert await results(services, 1) == 0


async def test_an_older_one_is_passed_over_after_a_delete(store: SqliteStore, services: Services):
    """The delete takes the summary of version 2 along, so the ledger alone does not tell."""
    await put(store, 2)
    assert await results(services, 2) == 1
    await delete(store, 3)
    assert await results(services, 1) == 0


async def test_one_that_is_deleted_while_it_is_summarised(store: SqliteStore, services: Services):
    await put(store, 1)
    cast(Any, services.summarizer).meanwhile = lambda: delete(store, 2)
    assert await results(services, 1) == 0


async def test_an_unchanged_document_waits_for_the_request_of_its_newest_event(
    store: SqliteStore, services: Services
):
    await put(store, 1)
    await store.apply([Touch(KEY, Edition(at(2)), document(2).origin, "hash 1")])
    assert await results(services, 1) == 0
    assert await results(services, 2) == 1


@pytest.mark.parametrize("sent", [None, 1_700_000_000.0])
async def test_a_summary_has_its_documents_time_where_there_is_one(
    store: SqliteStore, services: Services, sent: float | None
) -> None:
    await put(store, 1)
    made = replace(document(1), timestamp=sent)
    summaries = Summaries(services.summarizer, [store], 3)
    for event in (made, replace(made, version=at(2))):  # the second is unchanged
        (summarized,) = await summaries.of([event])
        assert summarized.result is not None
        told = summarized.result["timestamp"]
        assert told == sent if sent else told > 1_700_000_000
