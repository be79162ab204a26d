"""Asking for an ingest over HTTP: what is put on Kafka, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from models import DataIngestion
from tests.web_parts import Client, Parts
from tickertape.decode import Limits
from tickertape.record import Record


@pytest.fixture
def web_settings() -> dict[str, Any]:
    return {
        "sources": {
            "notes": {"kind": "files", "path": "notes"},
            "broken": {"kind": "files", "path": "x", "bytes_max": 0},
        }
    }


@pytest.mark.parametrize(
    "body",
    [
        {"source_id": "notes"},
        {
            "db_type": "files",
            "connection_params": {},
            "table_or_collection": "notes",
            "columns_or_fields": [],
            "text_fields": [],
        },
    ],
)
async def test_a_request_is_declared_and_sent_with_the_sources_name_as_its_key(
    client: Client, services: Parts, body: dict[str, Any]
) -> None:
    answer = await client.post("/ingest-data-async", json={**body, "full": True})
    found = await answer.json()
    assert (answer.status, found["status"]) == (202, "queued")
    assert answer.headers["Location"] == f"/ingest-status/{found['batch_id']}"
    assert found["message"] == "the ingest of notes is queued"
    declared, sent = services.publisher.sent
    assert orjson.loads(declared.value or b"")["total_documents"] is None
    assert (sent.topic, sent.key) == ("data-ingestion", b"notes")
    record = Record(sent.topic, 0, 0, sent.key, sent.value, (), 1)
    request = DataIngestion.decode(record, Limits())
    assert (request.source_id, request.batch_id) == ("notes", found["batch_id"])
    assert request.metadata == {"full": True}
    assert orjson.loads(sent.value or b"")["timestamp"].startswith("20")
    status = await (await client.get(answer.headers["Location"])).json()
    assert status["status"] == "queued"


async def test_waiting_answers_with_the_batch_or_after_a_while_as_queued(
    client: Client, services: Parts
) -> None:
    asking = asyncio.create_task(
        client.post("/ingest-data", json={"source_id": "notes", "batch_id": "b"})
    )
    await anext(services.batches.watch("b"))
    await services.batches.put("b", "failed", total_documents=2, done=1, dead=1)
    answer = await asking
    assert (answer.status, (await answer.json())["dead"]) == (200, 1)
    answer = await client.post("/ingest-data?wait=0.05", json={"source_id": "notes"})
    assert (answer.status, (await answer.json())["status"]) == (202, "queued")
    assert "Location" in answer.headers


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"source_id": "nope"}, 422, "source_id"),
        ({}, 422, "source_id"),
        ({"db_type": "mongo", "table_or_collection": "t"}, 422, "db_type"),
        ({"source_id": "notes", "sorce": 1}, 422, "sorce"),
        ({"source_id": "notes", "full": "yes"}, 422, "full"),
        (
            {"source_id": "notes", "connection_params": {"password": "s3cret"}},
            *(422, "connection_params.password"),
        ),
        ({"source_id": "broken"}, 503, None),
        ({"source_id": "notes", "batch_id": "known"}, 409, None),
    ],
)
async def test_what_cannot_be_ingested_is_refused_at_once(
    client: Client, services: Parts, body: dict[str, Any], status: int, field: str | None
) -> None:
    await services.batches.put("known", total_documents=1)
    answer = await client.post("/ingest-data-async", json=body)
    said = await answer.json(content_type=None)
    assert answer.status == status, said
    assert field is None or said["errors"][0]["field"] == field
    assert "s3cret" not in orjson.dumps(said).decode()
    assert services.publisher.sent == []
