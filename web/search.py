"""Search over HTTP; `tickertape.search` does the work."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web

from tickertape import filter_text, metrics
from tickertape.search import SearchHit, SearchRequest
from web.errors import invalid
from web.exchange import check, names_of, read_body, refuse_repeated, reply
from web.gate import Gate
from web.routes import Reply, Route, services_of
from web.search_bodies import Other, Passage, Read, Results, SearchBody, SearchQuery

SEARCHES_MAX = 64
QUERY_NAMES = names_of(SearchQuery)
FILTER = "filter."  # repeated for one of several values
SIGN = re.compile("[<>~]")

gate = Gate(SEARCHES_MAX, "searches")


async def get(request: web.Request) -> web.Response:
    """Passages for a question, best first.

    ``filters`` is a JSON object; ``filter.<field>=<value>`` is short for one field, repeated for
    one of several values. A value that reads as a number or a boolean matches that too.
    ``filter.<field>>=<value>``, ``<=``, ``>`` and ``<`` compare numbers and dates, ``~`` finds part
    of a text.
    """
    return await _search(request, check(SearchQuery, _query(request)))


async def post(request: web.Request) -> web.Response:
    """Passages for a question, best first."""
    return await _search(request, await read_body(request, SearchBody))


async def _search(request: web.Request, body: SearchBody) -> web.Response:
    with gate.enter():
        found = await services_of(request).search.search(
            SearchRequest(
                query=body.query,
                k=body.k,
                mode=body.mode,
                filters=body.filters,
                collection=body.collection,
                per_document=body.per_document,
                group=body.group,
                reading=body.reading,
                neighbours=body.neighbours,
            )
        )
    metrics.search_seconds.labels(body.mode).observe(found.took_ms / 1000)
    return reply(
        Results(
            query=body.query,
            mode=found.mode,
            read=Read(**asdict(found.read)),
            results=[passage(hit) for hit in found.hits],
            took_ms=round(found.took_ms, 2),
        )
    )


def passage(hit: SearchHit) -> Passage:
    """Return a hit as it is told."""
    return Passage(
        id=hit.key.id,
        collection=hit.key.collection,
        score=hit.score,
        dense=hit.dense,
        keyword=hit.keyword,
        text=hit.text,
        excerpt=hit.excerpt,
        chunk=hit.ordinal,
        chunk_count=hit.chunk_count,
        metadata=dict(hit.metadata),
        others=[
            Other(score=other.score, text=other.text, excerpt=other.excerpt, chunk=other.ordinal)
            for other in hit.others
        ],
        summary=hit.summary,
        before=list(hit.before),
        after=list(hit.after),
    )


def _query(request: web.Request) -> dict[str, Any]:
    """Return the query string as the body that POST takes."""
    refuse_repeated(request, many=FILTER)
    fields: dict[str, Any] = {}
    for name, value in request.query.items():
        if name in QUERY_NAMES:
            fields[name] = value
        elif not name.startswith(FILTER):
            expected = f"expected {', '.join(QUERY_NAMES)}, or filter.{name[:100]}=<value>"
            raise invalid([(name[:100], f"unknown; {expected} for a field of the metadata")])
    filters: Any = {}
    if "filters" in fields:
        try:
            filters = orjson.loads(fields["filters"])
        except orjson.JSONDecodeError as error:
            raise invalid([("filters", f"expected a JSON object: {error}")]) from None
    if isinstance(filters, dict):  # else the check says what is wrong
        filters |= filter_text.filters(
            _line(name.removeprefix(FILTER), value)
            for name, value in request.query.items()
            if name.startswith(FILTER)
        )
    return {**fields, "filters": filters}


def _line(name: str, value: str) -> str:
    """A filter's name and value as it was written: ``published>`` and a date are ``>=``, and
    ``published>2024`` has no ``=``."""
    equals = "" if name.endswith("~") or (not value and SIGN.search(name)) else "="
    return f"{name}{equals}{value}"


TAG = "Search"
REPLIES = (Reply(200, Results, "Passages, best first."),)
ERRORS = (400, 422, 503)
ROUTES = (
    Route("GET", "/search", get, "Search", TAG, REPLIES, query=SearchQuery, errors=ERRORS),
    Route(
        "POST",
        "/search",
        post,
        "Search",
        TAG,
        REPLIES,
        body=SearchBody,
        errors=(400, 413, 415, 422, 503),
    ),
)
