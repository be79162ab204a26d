"""Documents in over HTTP, what is stored of one, and its deletion. Kafka does the work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from models import FinancialDocument, TextMessage
from tickertape import flows, spaces
from tickertape.documents import DocumentKey
from tickertape.errors import OutageError
from tickertape.record import Outgoing
from tickertape.search import summaries_of
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.stores.base import Store, StoredDocument
from web import dlq, sending, submission
from web.documents_bodies import (
    Chunk,
    DeleteQuery,
    Deleting,
    DocumentAnswer,
    DocumentBody,
    DocumentQuery,
    DocumentsInput,
    DocumentsQuery,
    FilesForm,
    Queued,
    Stored,
)
from web.errors import Problem, invalid, unavailable
from web.exchange import read_query, reply
from web.gate import Gate
from web.routes import Reply, Route, services_of

Found = list[tuple[str, StoredDocument]]  # store's name, document

BESIDE_SECONDS = 3.0  # how long an answer waits for a store beside the first
POSTS_MAX = 16  # each may hold a body of TICKERTAPE_WEB_BODY_BYTES_MAX in memory

_posts = Gate(POSTS_MAX, "posts of documents")


async def post(request: web.Request) -> web.Response:
    """Send one document, a list, or ``{"documents": [...]}``: JSON, JSON lines, or a form's files.

    All are checked before the first is sent: one wrong field sends nothing. They are one batch,
    declared with its total; its progress is at ``Location``. 202 says that the broker has
    acknowledged every record. A batch sent in several requests says ``total_documents`` in each.
    """
    services = services_of(request)
    query = read_query(request, DocumentsQuery)
    inputs = _inputs(services.settings)
    topic = _topic(query.topic, list(inputs))
    with _posts.enter():
        batch = await submission.read(request, query, inputs[topic])
        _check_new(services, batch)
        declare = services.batches.get(batch.id) is None
        headers = sending.trace(request)
        records = submission.records(batch, topic, headers)
        if declare:
            status = submission.declaration(batch, services.settings.topic_batch_status)
            await sending.send(services, [status])
        await _send_documents(services, batch, records)
    await sending.until_seen(services, batch.id)
    many = "1 document" if len(batch.ids) == 1 else f"{len(batch.ids)} documents"
    answer = Queued(
        message=f"{many} queued on {topic}",
        batch_id=batch.id,
        accepted=len(batch.ids),
        ids=batch.ids,
    )
    return reply(answer, 202, {"Location": submission.location(batch.id)})


async def get(request: web.Request) -> web.Response:
    """What each store holds under the id: passages, version, hash, times, origin.

    A deleted document is shown while its head is remembered, with ``deleted`` and no chunks.
    ``dead_letter`` says why an event of it could not be processed, also where nothing is stored.
    """
    id = request.match_info["id"]
    query = read_query(request, DocumentQuery)
    services = services_of(request)
    (found, failed), (letter, silent) = await asyncio.gather(
        _stored(services.stores, id, query.collection), dlq.of_document(services, id)
    )
    if not found and letter is None:
        raise _missing(id, failed)
    return reply(
        DocumentAnswer(
            id=id,
            documents=[
                _answer(
                    *(store, document, services.settings.embedding_model),
                    await _summary(services.stores, store, document.head.key),
                )
                for store, document in found
            ],
            dead_letter=letter,
            unavailable=failed if silent is None else {**failed, "dead letters": silent},
        )
    )


async def delete(request: web.Request) -> web.Response:
    """Send a tombstone to every topic that wrote the document: it leaves all stores.

    A tombstone has only a key, so the id is deleted in every collection that its topic wrote.
    """
    services = services_of(request)
    id = request.match_info["id"]
    named = read_query(request, DeleteQuery).topic
    if named is not None:
        topics = [_topic(named, flows.deletable(services.settings))]
    else:
        found, failed = await _stored(services.stores, id, None)
        heads = [document.head for _, document in found]
        topics = sorted(
            {topic for head in heads if not head.deleted for topic in head.editions.topics}
        )
        if not topics:
            raise _missing(id, failed)
    headers = sending.trace(request)
    await sending.send(services, [Outgoing(topic, id.encode(), None, headers) for topic in topics])
    return reply(Deleting(message=f"delete of {id} queued", id=id, topics=topics), 202)


def _inputs(settings: Settings) -> dict[str, submission.DocumentModel]:
    """The topics whose records are documents; the first is the default."""
    return {
        flows.DOCUMENTS.topic(settings): FinancialDocument,
        flows.TEXT.topic(settings): TextMessage,
    }


def _topic(named: str | None, allowed: Sequence[str]) -> str:
    if named is None:
        return allowed[0]
    if named not in allowed:
        raise invalid([("topic", f"expected one of {', '.join(allowed)}, got {named[:100]!r}")])
    return named


def _check_new(services: Services, batch: submission.Submission) -> None:
    """A batch's total is declared once: sending more into it would break its counts."""
    if not batch.named:
        return
    if not services.batches.caught_up:
        raise unavailable("This worker is still reading where the batches stand.", 1)
    known = services.batches.get(batch.id)
    if known is None:
        return
    if batch.total_named and known.get("total_documents") == batch.total:
        return
    raise Problem(
        409,
        f"Batch {batch.id[:100]!r} is there already, with total_documents "
        f"{known.get('total_documents')}: choose another batch_id, or send "
        "total_documents with each part of one batch.",
        batch_id=batch.id,
    )


async def _send_documents(
    services: Services, batch: submission.Submission, records: Sequence[Outgoing]
) -> None:
    sending.check_kafka(services)
    results = await services.publisher.send(records)
    failed = [id for id, error in zip(batch.ids, results, strict=True) if error is not None]
    if failed:
        first = next(error for error in results if error is not None)
        raise unavailable(
            f"Kafka took {len(records) - len(failed)} of {len(records)} documents: {first}. "
            "Send those in `failed` again with this batch_id and total_documents.",
            batch_id=batch.id,
            total_documents=batch.total,
            failed=failed,
        )


async def _stored(
    stores: Sequence[Store], id: str, collection: str | None
) -> tuple[Found, dict[str, str]]:
    """Return what the stores hold, and why those that did not answer did not. Nobody waits long
    for one beside the first."""

    async def ask(store: Store) -> list[StoredDocument]:
        try:
            async with asyncio.timeout(None if store is stores[0] else BESIDE_SECONDS):
                return await store.document(id, collection)
        except TimeoutError:
            raise OutageError(
                f"no answer in {BESIDE_SECONDS:g} s", dependency=f"store:{store.name}"
            ) from None

    answers = await asyncio.gather(*map(ask, stores), return_exceptions=True)
    found: Found = []
    failed: dict[str, str] = {}
    for store, answer in zip(stores, answers, strict=True):
        if isinstance(answer, BaseException):
            if not isinstance(answer, Exception):
                raise answer
            failed[store.name] = str(answer) or type(answer).__name__
        else:
            found += [(store.name, document) for document in answer]
    return found, failed


def _missing(id: str, failed: dict[str, str]) -> Problem:
    if failed:
        why = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        return unavailable(f"Not every store answers, so it is not known: {why}")
    return Problem(404, f"No store holds a document {id[:200]!r}.")


async def _summary(stores: Sequence[Store], name: str, key: DocumentKey) -> str | None:
    """The document's summary in the store of this name."""
    for store in stores:
        if store.name == name:
            return (await summaries_of(store, [key])).get(key)
    return None


def _answer(store: str, document: StoredDocument, ours: str, summary: str | None) -> Stored:
    head = document.head
    return Stored(
        store=store,
        collection=head.key.collection,
        version=head.version.label,
        content_version=head.content_version.label,
        content_hash=head.content_hash,
        deleted=head.deleted,
        updated_at=head.updated_at or None,
        batch_id=head.batch_id,
        origin=str(head.origin),
        source=document.source,
        model=document.model,
        note=spaces.note(document.model, ours),
        metadata=dict(document.metadata),
        summary=summary,
        chunk_count=head.chunk_count,
        chunks=[
            Chunk(id=str(c.id), chunk=c.ordinal, text=c.text, start=c.start, end=c.end)
            for c in document.chunks
        ],
    )


TAG = "Documents"
ROUTES = (
    Route(
        "POST",
        "/documents",
        post,
        "Send documents",
        TAG,
        (Reply(202, Queued, "Kafka has them."),),
        query=DocumentsQuery,
        body=DocumentsInput,
        lines=DocumentBody,
        form=FilesForm,
        errors=(400, 409, 413, 415, 422, 503),
    ),
    Route(
        "GET",
        "/documents/{id}",
        get,
        "What is stored of a document",
        TAG,
        (Reply(200, DocumentAnswer, "The document in each store and collection."),),
        query=DocumentQuery,
        errors=(404, 422, 503),
    ),
    Route(
        "DELETE",
        "/documents/{id}",
        delete,
        "Delete a document",
        TAG,
        (Reply(202, Deleting, "The tombstone is on its way."),),
        query=DeleteQuery,
        errors=(404, 422, 503),
    ),
)
