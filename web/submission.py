"""A request's documents as one batch: read, checked as a whole, made into records."""

from __future__ import annotations

import asyncio
import io
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web
from pydantic import ValidationError

from models import FinancialDocument, TextMessage
from tickertape.decode import Limits
from tickertape.encode import batch_status
from tickertape.errors import PermanentError
from tickertape.record import Outgoing, Record
from web import uploads
from web.documents_bodies import DocumentBody, DocumentsBody, DocumentsQuery
from web.errors import invalid
from web.exchange import JSON_LINES, check, decode, field_errors, media_of, read_bytes, read_json
from web.routes import services_of

DocumentModel = type[FinancialDocument] | type[TextMessage]


DOCUMENTS_MAX = 10_000  # of one request


@dataclass(frozen=True, slots=True)
class Submission:
    """Documents that are fit to be sent. ``named`` says that the caller chose the batch's id."""

    id: str
    named: bool
    total: int
    total_named: bool
    ids: list[str]
    values: list[bytes]  # JSON, with id and batch_id


async def read(request: web.Request, query: DocumentsQuery, model: DocumentModel) -> Submission:
    """Read the body as documents of a topic, whose records are ``model``.

    Raises:
        Problem: 400, 413, 415, or 422 that names ``documents[i].field``.
    """
    raw, envelope = await _documents(request)
    if len(raw) > DOCUMENTS_MAX:
        raise invalid([("documents", f"expected at most {DOCUMENTS_MAX}")])
    limits = Limits(services_of(request).settings.text_bytes_max)
    # Thousands of small documents take seconds, in which the loop must serve others.
    return await asyncio.to_thread(_submission, raw, envelope, query, model, limits)


def _submission(
    raw: list[Any],
    envelope: dict[str, Any],
    query: DocumentsQuery,
    model: DocumentModel,
    limits: Limits,
) -> Submission:
    documents = _check(raw)
    batch_id = _one_batch(documents, query.batch_id or envelope.get("batch_id"))
    total = query.total_documents or envelope.get("total_documents")
    if total is not None and total < len(documents):
        raise invalid([("total_documents", f"expected at least {len(documents)}, got {total}")])
    chosen = batch_id or str(uuid.uuid4())
    ids = [document.id or str(uuid.uuid4()) for document in documents]
    return Submission(
        id=chosen,
        named=batch_id is not None,
        total=total or len(documents),
        total_named=total is not None,
        ids=ids,
        values=_encode(raw, ids, chosen, model, limits),
    )


def records(
    batch: Submission, topic: str, headers: Sequence[tuple[str, bytes | None]]
) -> list[Outgoing]:
    """Return the documents' records, keyed by id."""
    return [
        Outgoing(topic, id.encode(), value, headers)
        for id, value in zip(batch.ids, batch.values, strict=True)
    ]


def declaration(batch: Submission, topic: str) -> Outgoing:
    """Return the batch-status record that says how many documents will come."""
    value = batch_status(
        batch_id=batch.id,
        status="queued",
        total_documents=batch.total,
        processed_documents=0,
        error_message=None,
        timestamp=time.time(),
    )
    return Outgoing(topic, batch.id.encode(), value)


def location(batch_id: str) -> str:
    """Return where the batch's progress is."""
    return f"/ingest-status/{quote(batch_id, safe='')}"


async def _documents(request: web.Request) -> tuple[list[Any], dict[str, Any]]:
    """Return the raw documents, and what the envelope says of the batch."""
    envelope: dict[str, Any] = {}
    if media_of(request) == uploads.FORM:
        raw = await uploads.read(request, DOCUMENTS_MAX)
    elif media_of(request) in JSON_LINES:
        raw = await asyncio.to_thread(_lines, await read_bytes(request))
    else:
        body = await read_json(request)
        if isinstance(body, dict) and "documents" in body and "text" not in body:
            listed = body["documents"]
            raw = listed if isinstance(listed, list) else []
            # Its own fields are checked here; the documents below, each under its number.
            some = [{"text": "."}] if raw else listed
            checked = check(DocumentsBody, {**body, "documents": some}, strict=True)
            envelope = {
                "batch_id": checked.batch_id,
                "total_documents": checked.total_documents,
            }
        else:
            raw = body if isinstance(body, list) else [body]
    if not raw:
        raise invalid([("documents", "expected at least one")])
    return raw, envelope


def _lines(body: bytes) -> list[Any]:
    """The documents of a body of JSON lines, up to the first that is too many."""
    raw: list[Any] = []
    for number, line in enumerate(io.BytesIO(body), 1):
        if line.strip():
            raw.append(decode(line.rstrip(b"\n"), f"Line {number}"))
        if len(raw) > DOCUMENTS_MAX:
            break
    return raw


def _check(raw: Sequence[Any]) -> list[DocumentBody]:
    """Check the fields of every document, so that one answer names all that is wrong."""
    documents: list[DocumentBody] = []
    errors: list[tuple[str, str]] = []
    for index, value in enumerate(raw):
        try:
            documents.append(DocumentBody.model_validate(value, strict=True))
        except ValidationError as error:
            errors += field_errors(error, f"documents[{index}]")
    if errors:
        raise invalid(errors)
    return documents


def _one_batch(documents: Sequence[DocumentBody], chosen: str | None) -> str | None:
    """Return the batch that the request, or its documents, name: one for all."""
    for index, document in enumerate(documents):
        named = document.batch_id
        if chosen is None and index == 0:
            chosen = named
        elif named is not None and named != chosen:
            expected = "none, as the first has none" if chosen is None else repr(chosen[:80])
            raise invalid([(f"documents[{index}].batch_id", f"expected {expected}; one batch")])
    return chosen


def _encode(
    raw: Sequence[Mapping[str, Any]],
    ids: Sequence[str],
    batch_id: str,
    model: DocumentModel,
    limits: Limits,
) -> list[bytes]:
    """Return the records' values, each read once as the worker that gets it will read it."""
    encoded = []
    errors: list[tuple[str, str]] = []
    for index, (document, id) in enumerate(zip(raw, ids, strict=True)):
        value = orjson.dumps({**document, "id": id, "batch_id": batch_id})
        record = Record("", 0, 0, id.encode(), value, (), 0)
        try:
            model.decode(record, limits)
        except PermanentError as error:
            field, _, message = str(error).partition(": ")
            errors.append((f"documents[{index}].{field}", message))
        encoded.append(value)
    if errors:
        raise invalid(errors)
    return encoded
