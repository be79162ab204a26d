"""Webhooks of configured sources: signed, mapped, and answered when Kafka has the documents."""

from __future__ import annotations

from aiohttp import web

from models import EmbeddingRequest
from tickertape import sources
from tickertape.errors import InvalidRecord, SettingsError
from tickertape.record import Outgoing
from tickertape.services import Services
from tickertape.sources.base import Row
from tickertape.sources.webhook import WebhookSource
from web import sending
from web.errors import Problem, invalid, unavailable
from web.exchange import decode, read_bytes, reply
from web.hooks_bodies import Delivered, HookBody
from web.routes import Reply, Route, services_of


async def post(request: web.Request) -> web.Response:
    """Take a delivery of a source that is configured as ``webhook``.

    Its body is JSON, signed as the source says; its fields are mapped to documents. 202 says that
    the broker has acknowledged all of them; the same delivery again changes nothing.
    """
    services = services_of(request)
    source = _source(services, request.match_info["source"])
    body = await read_bytes(request)
    if not source.signed(body, request.headers):
        raise Problem(401, "The signature is missing, wrong or too old.")
    try:
        delivery = source.read(decode(body))
    except InvalidRecord as error:
        raise invalid([(error.field, str(error).removeprefix(f"{error.field}: "))]) from None
    topic = services.settings.topic_embedding_requests
    headers = sending.trace(request)
    records, ids = [], []
    for item in delivery.items:
        given = item.id if isinstance(item, Row) else item
        id = sources.document_id(source.name, given)
        value = None
        if isinstance(item, Row):
            collection = source.config.collection or source.name
            value = EmbeddingRequest.of_row(item, source.name, collection, None).encode()
        records.append(Outgoing(topic, id.encode(), value, headers))
        ids.append(id)
    await sending.send(services, records)
    return reply(Delivered(message=f"{len(ids)} queued on {topic}", ids=ids), 202)


def _source(services: Services, name: str) -> WebhookSource:
    settings = services.settings
    try:
        found = sources.open_source(settings, name) if name in settings.source_names else None
    except SettingsError as error:
        raise unavailable(str(error)) from None
    if not isinstance(found, WebhookSource):
        raise Problem(404, f"There is no source {name[:100]!r} that takes deliveries.")
    return found


ROUTES = (
    Route(
        "POST",
        "/hooks/{source}",
        post,
        "Take a webhook's delivery",
        "Documents",
        (Reply(202, Delivered, "Kafka has its documents."),),
        body=HookBody,
        errors=(400, 401, 404, 413, 422, 503),
    ),
)
