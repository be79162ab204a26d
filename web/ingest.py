"""A configured source is ingested: by a record on data-ingestion, which any worker may take."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import replace

from aiohttp import web

from tickertape import sources
from tickertape.errors import InvalidRecord, SettingsError
from tickertape.services import Services
from tickertape.sources.requests import records
from web import sending
from web.batches_bodies import Batch
from web.errors import Problem, invalid, unavailable
from web.exchange import read_body, read_query, reply
from web.ingest_bodies import IngestBody, IngestQuery, IngestQueued
from web.routes import Reply, Route, services_of
from web.submission import location

FINISHED = frozenset({"completed", "failed"})


async def ingest(request: web.Request) -> web.Response:
    """Ingest a source, and wait for its batch: at most ``wait`` seconds.

    200 is the batch, completed or failed; 202 says that it goes on, as of ``/ingest-data-async``.
    """
    wait = read_query(request, IngestQuery).wait
    services = services_of(request)
    queued = await _queue(request, services)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait):
            async for state in services.batches.watch(queued.batch_id):
                if state["status"] in FINISHED:
                    return reply(Batch.model_validate(state))
    return _accepted(queued)


async def ingest_async(request: web.Request) -> web.Response:
    """Ask for the ingest of a source: 202 when Kafka has the request; ``Location`` has its batch.

    What is new or changed since the last ingest becomes documents, what is gone is removed.
    """
    return _accepted(await _queue(request, services_of(request)))


async def _queue(request: web.Request, services: Services) -> IngestQueued:
    body = await read_body(request, IngestBody)
    wanted = sources.Wanted(
        body.source_id,
        body.db_type,
        body.connection_params,
        body.table_or_collection,
        tuple(body.columns_or_fields),
        tuple(body.text_fields),
    )
    try:
        name = sources.of_request(services.settings, wanted).name
    except InvalidRecord as error:
        raise invalid([(error.field, str(error).removeprefix(f"{error.field}: "))]) from None
    except SettingsError as error:
        raise unavailable(str(error)) from None
    batch_id = body.batch_id or str(uuid.uuid4())
    if body.batch_id is not None:
        _check_new(services, batch_id)
    sent = records(services.settings, name, wanted, batch_id, full=body.full, yes=body.yes)
    headers = sending.trace(request)
    await sending.send(services, [replace(record, headers=headers) for record in sent])
    await sending.until_seen(services, batch_id)
    return IngestQueued(message=f"the ingest of {name} is queued", batch_id=batch_id)


def _check_new(services: Services, batch_id: str) -> None:
    if not services.batches.caught_up:
        raise unavailable("This worker is still reading where the batches stand.", 1)
    if services.batches.get(batch_id) is not None:
        raise Problem(
            409,
            f"Batch {batch_id[:100]!r} is there already: choose another batch_id.",
            batch_id=batch_id,
        )


def _accepted(queued: IngestQueued) -> web.Response:
    return reply(queued, 202, {"Location": location(queued.batch_id)})


TAG = "Batches"
ERRORS = (400, 409, 413, 415, 422, 503)
QUEUED = Reply(202, IngestQueued, "Kafka has the request.")
ROUTES = (
    Route(
        "POST",
        "/ingest-data",
        ingest,
        "Ingest a source and wait",
        TAG,
        (Reply(200, Batch, "The batch is finished."), QUEUED),
        query=IngestQuery,
        body=IngestBody,
        errors=ERRORS,
    ),
    Route(
        "POST",
        "/ingest-data-async",
        ingest_async,
        "Ingest a source",
        TAG,
        (QUEUED,),
        body=IngestBody,
        errors=ERRORS,
    ),
)
