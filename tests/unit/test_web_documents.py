"""Documents in, out, and away."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import orjson
import pytest

from models import BatchStatus, FinancialDocument
from tests.web_parts import Client, Parts, store_text
from tickertape.decode import Limits
from tickertape.errors import OutageError, TransientError
from tickertape.record import Outgoing, Record
from tickertape.stores.base import StoredDocument


@pytest.fixture
def web_settings() -> dict[str, Any]:
    return {"text_bytes_max": 2000, "web_body_bytes_max": 20_000}


def as_read(outgoing: Outgoing) -> Record:
    headers = list(outgoing.headers)
    return Record(outgoing.topic, 0, 0, outgoing.key, outgoing.value, headers, 1)


async def problem(answer: Any) -> dict[str, Any]:
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = await answer.json(content_type=None)
    return body


async def test_one_document_is_declared_then_sent(client: Client, services: Parts) -> None:
    given = {"id": 7, "text": "Revenue rose.", "ticker": "ACME", "published": "2026-01-31"}
    answer = await client.post("/documents", json=given, headers={"traceparent": "00-a-b-01"})
    body = await answer.json()
    assert answer.status == 202
    assert body["status"] == "queued"
    assert (body["accepted"], body["ids"]) == (1, ["7"])
    assert answer.headers["Location"] == f"/ingest-status/{body['batch_id']}"

    declared, document = services.publisher.sent
    status = BatchStatus.decode(as_read(declared), Limits())
    assert declared.topic == "batch-status"
    assert declared.key == body["batch_id"].encode()
    assert (status.status, status.total_documents) == ("queued", 1)

    read = FinancialDocument.decode(as_read(document), Limits())
    assert document.topic == "financial-documents"
    assert document.key == b"7"
    assert (read.id, read.text, read.ticker) == ("7", "Revenue rose.", "ACME")
    assert read.batch_id == body["batch_id"]
    assert ("traceparent", b"00-a-b-01") in document.headers
    # And the batch is there to be asked for.
    assert (await client.get(answer.headers["Location"])).status == 200


@pytest.mark.parametrize(
    "send",
    [
        {"json": [{"text": "a"}, {"text": "b", "mood": "calm"}]},
        {"json": {"documents": [{"text": "a"}, {"text": "b", "mood": "calm"}]}},
        {
            "data": b'{"text": "a"}\n\n{"text": "b", "mood": "calm"}\n',
            "headers": {"Content-Type": "application/x-ndjson"},
        },
        {
            "data": gzip.compress(b'[{"text": "a"}, {"text": "b", "mood": "calm"}]'),
            "headers": {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        },
    ],
    ids=["list", "envelope", "lines", "gzip"],
)
async def test_many_documents_are_one_batch(
    client: Client, services: Parts, send: dict[str, Any]
) -> None:
    answer = await client.post("/documents?topic=text-messages", **send)
    body = await answer.json()
    assert answer.status == 202, body
    assert body["accepted"] == 2
    assert len(set(body["ids"])) == 2
    declared, *documents = services.publisher.sent
    assert orjson.loads(declared.value or b"")["total_documents"] == 2
    assert [d.topic for d in documents] == ["text-messages"] * 2
    values = [orjson.loads(d.value or b"") for d in documents]
    assert [v["text"] for v in values] == ["a", "b"]
    assert values[1]["mood"] == "calm"
    assert {v["batch_id"] for v in values} == {body["batch_id"]}
    assert [d.key for d in documents] == [id.encode() for id in body["ids"]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": "a"}, "documents[0].text"),
        ([{"text": "fine"}, {"text": "   "}], "documents[1].text"),
        ([{"text": "fine"}, {"text": 5}], "documents[1].text"),
        ([{"text": "fine"}, "no object"], "documents[1]"),
        ({"text": "x", "timestamp": "yesterday"}, "documents[0].timestamp"),
        ({"text": "x", "metadata": [1]}, "documents[0].metadata"),
        ({"text": "x", "id": True}, "documents[0].id"),
        ({"text": "x" * 2001}, "documents[0].text"),
        ({"text": "x", "metadata": {"more": "y" * 2001}}, "documents[0].metadata"),
        ({"text": "x", "version": -1}, "documents[0].version"),
        ({"documents": []}, "documents"),
        ({"documents": {"text": "x"}}, "documents"),
        ([], "documents"),
        ({"documents": [{"text": "x"}], "total_documents": 0}, "total_documents"),
        (
            {"documents": [{"text": "x"}, {"text": "y"}], "total_documents": 1},
            "total_documents",
        ),
        (
            [{"text": "x", "batch_id": "one"}, {"text": "y", "batch_id": "two"}],
            "documents[1].batch_id",
        ),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_sent(
    client: Client, services: Parts, body: Any, field: str
) -> None:
    answer = await client.post("/documents", json=body)
    said = await problem(answer)
    assert answer.status == 422
    assert [e["field"] for e in said["errors"]] == [field]
    assert field in said["detail"]
    assert services.publisher.sent == []


async def test_all_wrong_documents_are_named(client: Client) -> None:
    answer = await client.post("/documents", json=[{}, {"text": "fine"}, {"text": ""}])
    said = await problem(answer)
    assert [e["field"] for e in said["errors"]] == ["documents[0].text", "documents[2].text"]


@pytest.mark.parametrize(
    ("data", "media", "status"),
    [
        (b"{not json", "application/json", 400),
        (b'{"text": "a"}\n{oops\n', "application/x-ndjson", 400),
        (b"text=a", "application/x-www-form-urlencoded", 415),
        (b'"' + b"x" * 20_001 + b'"', "application/json", 413),
        (gzip.compress(b"x" * 10_000_000), "application/x-ndjson", 413),
        (b"", "application/json", 400),
    ],
)
async def test_unreadable_bodies(
    client: Client, services: Parts, data: bytes, media: str, status: int
) -> None:
    headers = {"Content-Type": media}
    if data[:2] == b"\x1f\x8b":
        headers["Content-Encoding"] = "gzip"
    answer = await client.post("/documents", data=data, headers=headers)
    assert answer.status == status
    await problem(answer)
    assert services.publisher.sent == []


async def test_an_unknown_topic_is_refused(client: Client, services: Parts) -> None:
    answer = await client.post("/documents?topic=batch-status", json={"text": "x"})
    assert answer.status == 422
    assert (await problem(answer))["errors"][0]["field"] == "topic"
    assert services.publisher.sent == []


async def test_a_chosen_batch_is_declared_once(client: Client, services: Parts) -> None:
    part = {"documents": [{"text": "x"}], "batch_id": "b", "total_documents": 2}
    assert (await client.post("/documents", json=part)).status == 202
    assert (await client.post("/documents", json=part)).status == 202
    assert [r.topic for r in services.publisher.sent].count("batch-status") == 1
    for again in ({"text": "x", "batch_id": "b"}, {**part, "total_documents": 3}):
        answer = await client.post("/documents", json=again)
        assert answer.status == 409
        await problem(answer)
    assert len(services.publisher.sent) == 3


async def test_an_outage_of_kafka_is_503_and_says_what_to_send_again(
    client: Client, services: Parts
) -> None:
    services.publisher.refuse[b"b"] = TransientError("no leader")
    documents = [{"id": id, "text": "x"} for id in "abc"]
    answer = await client.post("/documents", json={"documents": documents, "batch_id": "bb"})
    said = await problem(answer)
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    assert (said["failed"], said["batch_id"], said["total_documents"]) == (["b"], "bb", 3)
    services.publisher.refuse.clear()
    again = {"documents": [{"id": "b", "text": "x"}], "batch_id": "bb", "total_documents": 3}
    assert (await client.post("/documents", json=again)).status == 202


async def test_without_a_declaration_no_document_is_sent(client: Client, services: Parts) -> None:
    services.publisher.refuse[b"b"] = TransientError("no leader")
    answer = await client.post("/documents", json={"text": "x", "batch_id": "b"})
    assert answer.status == 503
    assert services.publisher.sent == []


async def test_a_stored_document_is_shown_whole(client: Client, services: Parts) -> None:
    one = "Revenue rose nine per cent in the quarter to a record level of sales for the firm."
    two = "The board raised the dividend and named a new chair of its audit committee today."
    await store_text(services, "acme/2026 q1", one, two, ticker="ACME")
    await store_text(services, "acme/2026 q1", one, collection="notes")
    for path in ("/documents/acme%2F2026%20q1", "/documents/acme/2026%20q1"):
        answer = await client.get(path)
        body = await answer.json()
        assert answer.status == 200
        assert body["id"] == "acme/2026 q1"
        assert {d["collection"] for d in body["documents"]} == {"financial_documents", "notes"}
    answer = await client.get("/documents/acme%2F2026%20q1?collection=financial_documents")
    (stored,) = (await answer.json())["documents"]
    assert stored["store"] == "sqlite"
    assert stored["version"] == "1.7"
    assert len(stored["content_hash"]) == 32
    assert stored["origin"] == "financial-documents/2/7"
    assert stored["metadata"] == {"ticker": "ACME"}
    assert stored["updated_at"] > 0
    assert stored["chunk_count"] == len(stored["chunks"]) == 2
    text = f"{one}\n\n{two}"
    for number, chunk in enumerate(stored["chunks"]):
        assert chunk["chunk"] == number
        assert text[chunk["start"] : chunk["end"]] == chunk["text"]


async def test_an_unknown_document_is_404(client: Client, services: Parts) -> None:
    assert (await client.get("/documents/nope")).status == 404
    assert (await client.delete("/documents/nope")).status == 404
    assert services.publisher.sent == []


async def test_a_delete_goes_to_every_topic_that_wrote_it(client: Client, services: Parts) -> None:
    await store_text(services, "d", "One text.", collection="a", topic="text-messages")
    await store_text(services, "d", "One text.", collection="b", topic="financial-documents")
    answer = await client.delete("/documents/d")
    body = await answer.json()
    assert answer.status == 202
    assert body["topics"] == ["financial-documents", "text-messages"]
    assert [(r.topic, r.key, r.value) for r in services.publisher.sent] == [
        ("financial-documents", b"d", None),
        ("text-messages", b"d", None),
    ]


async def test_a_delete_may_name_its_topic(client: Client, services: Parts) -> None:
    assert (await client.delete("/documents/on-its-way?topic=text-messages")).status == 202
    assert [(r.topic, r.value) for r in services.publisher.sent] == [("text-messages", None)]
    assert (await client.delete("/documents/x?topic=batch-status")).status == 422


async def test_a_store_that_is_down_is_named_beside_those_that_answer(
    client: Client, services: Parts
) -> None:
    class Down:
        name = "elsewhere"

        async def document(self, id: str, collection: str | None = None) -> list[StoredDocument]:
            raise OutageError("no route to host", dependency="store:elsewhere")

    await store_text(services, "d", "One text.")
    services.stores = [*services.stores, Down()]  # type: ignore[list-item]
    body = await (await client.get("/documents/d")).json()
    assert [d["store"] for d in body["documents"]] == ["sqlite"]
    assert body["unavailable"] == {"elsewhere": "no route to host"}
    # Not found where not every store was asked is not known, rather than not there.
    assert (await client.get("/documents/nope")).status == 503
    assert (await client.delete("/documents/nope")).status == 503


async def test_nobody_waits_for_a_slow_store_beside_the_first(
    client: Client, services: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        name = "elsewhere"

        async def document(self, id: str, collection: str | None = None) -> list[StoredDocument]:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr("web.documents.BESIDE_SECONDS", 0.05)
    await store_text(services, "d", "One text.")
    services.stores = [*services.stores, Slow()]  # type: ignore[list-item]
    body = await (await client.get("/documents/d")).json()
    assert [d["store"] for d in body["documents"]] == ["sqlite"]
    assert body["unavailable"] == {"elsewhere": "no answer in 0.05 s"}


async def test_more_documents_than_one_request_may_bring_are_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.submission.DOCUMENTS_MAX", 3)
    answer = await client.post("/documents", json=[{"text": "x"}] * 4)
    assert answer.status == 422
    assert "expected at most 3" in str(await answer.json())
    assert (await client.post("/documents", json=[{"text": "x"}] * 3)).status == 202


async def test_lines_are_read_up_to_the_first_that_is_too_many(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.submission.DOCUMENTS_MAX", 2)
    lines = {"Content-Type": "application/x-ndjson"}
    body = b'\n{"text": "a"}\n' * 3 + b"{oops"
    answer = await client.post("/documents", data=body, headers=lines)
    assert answer.status == 422
    assert (await answer.json())["errors"] == [
        {"field": "documents", "message": "expected at most 2"}
    ]
