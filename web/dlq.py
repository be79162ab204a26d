"""Dead letters: browse, look at one, replay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiohttp import web

from tickertape import topics
from tickertape.dlq import entries, filters, marks, showing
from tickertape.dlq.box import Selection
from tickertape.dlq.filters import Filter
from tickertape.dlq.letter import Place
from tickertape.dlq.marks import LetterState
from tickertape.dlq.replay import Plan
from tickertape.errors import BrokerError, InvalidRecord
from tickertape.services import Services
from tickertape.settings import Settings
from web.dlq_bodies import (
    DeadLetter,
    LetterAnswer,
    LetterFilter,
    Letters,
    LettersQuery,
    ReplayAnswer,
    ReplayBody,
)
from web.errors import Problem, invalid, unavailable
from web.exchange import read_body, read_query, reply
from web.gate import Gate
from web.routes import Reply, Route, services_of

LOOKUP_SECONDS_MAX = 3.0  # a document is shown without its letter then

_reads = Gate(8, "readings of dead letters")
_replays = Gate(1, "replays")


async def browse(request: web.Request) -> web.Response:
    """The newest dead letters, without their payloads. Secrets are masked."""
    services = services_of(request)
    query = read_query(request, LettersQuery)
    states = marks.ALL if query.any_state else marks.ONLY_OPEN
    wanted = _selection(services.settings, query, query.topic, states)
    with _reads.enter(), _kafka():
        found = await services.dead_letters.newest(wanted, query.limit)
    # Secrets are looked for in whole payloads: not on the event loop, here and below.
    shown = await asyncio.to_thread(lambda: [showing.summary(*one) for one in found])
    return reply(Letters(letters=[DeadLetter.model_validate(one) for one in shown]))


async def show(request: web.Request) -> web.Response:
    """One letter with its headers, stack trace and payload."""
    services = services_of(request)
    parts = request.match_info
    try:
        place = Place.parse(f"{parts['topic']}/{parts['partition']}/{parts['offset']}")
    except InvalidRecord:
        raise invalid([("offset", "expected /dlq/TOPIC/PARTITION/OFFSET, two numbers")]) from None
    found = None
    if entries.base_of(place.topic) in entries.entries(services.settings):
        with _reads.enter(), _kafka():
            found = await services.dead_letters.get(place)
    if found is None:
        raise Problem(404, f"There is no dead letter {str(place)[:300]}.")
    shown = await asyncio.to_thread(showing.full, *found)
    return reply(LetterAnswer.model_validate(shown))


async def replay(request: web.Request) -> web.Response:
    """Put dead letters back into their flows, the oldest first.

    They stay on their topic and are marked, so the same request again goes on with the rest. One
    that was replayed too often is parked. One replay at a time; `dlq replay` has no limit, and
    edits.
    """
    services = services_of(request)
    body = await read_body(request, ReplayBody)
    states = marks.AGAIN if body.again else marks.ONLY_OPEN
    wanted = _selection(services.settings, body, body.topic, states)
    if body.ids:
        wanted = Selection(ids=tuple(Place.parse(id) for id in body.ids), states=states)
    with _replays.enter(), _kafka():
        totals = await services.dead_letters.replay(
            wanted, Plan(body.dry_run, body.limit), keep=body.limit
        )
    counts = {name: getattr(totals, name) for name in ("replayed", "parked", "failed")}
    return reply(
        ReplayAnswer.model_validate(
            {
                "dry_run": body.dry_run,
                **counts,
                "more": totals.done >= body.limit and not body.ids,
                "results": [one.as_json() for one in totals.results],
            }
        )
    )


async def of_document(services: Services, id: str) -> tuple[DeadLetter | None, str | None]:
    """Return the newest open letter of a document, or why it is not known."""
    try:
        async with asyncio.timeout(LOOKUP_SECONDS_MAX):
            letter = await services.dead_letters.of_document(id)
    except (BrokerError, TimeoutError) as error:
        return None, str(error) or "Kafka does not answer"
    if letter is None:
        return None, None
    return DeadLetter.model_validate(showing.summary(letter, LetterState.OPEN)), None


def _selection(
    settings: Settings, given: LetterFilter, named: Sequence[str], states: frozenset[LetterState]
) -> Selection:
    known = entries.entries(settings)
    chosen = []
    for name in named:
        if name in known:
            chosen.append(topics.dlq(name))
        elif entries.base_of(name) in known:
            chosen.append(name)
        else:
            expected = f"expected some of {', '.join(known)}, or their DLQs, got {name[:100]!r}"
            raise invalid([("topic", expected)])
    wanted = Filter(
        given.error_class,
        given.error,
        given.key,
        given.batch,
        None if given.since is None else filters.when("since", given.since),
        None if given.until is None else filters.when("until", given.until),
    )
    return Selection(tuple(chosen), wanted, states=states)


@contextmanager
def _kafka() -> Iterator[None]:
    try:
        yield
    except BrokerError as error:
        raise unavailable(str(error)) from error


TAG = "Dead letters"
ROUTES = (
    Route(
        "GET",
        "/dlq",
        browse,
        "Dead letters",
        TAG,
        (Reply(200, Letters, "The newest first."),),
        query=LettersQuery,
        errors=(422, 503),
    ),
    Route(
        "GET",
        "/dlq/{topic}/{partition}/{offset}",
        show,
        "One dead letter",
        TAG,
        (Reply(200, LetterAnswer, "The letter."),),
        errors=(404, 422, 503),
    ),
    Route(
        "POST",
        "/dlq/replay",
        replay,
        "Replay dead letters",
        TAG,
        (Reply(200, ReplayAnswer, "What became of each."),),
        body=ReplayBody,
        errors=(400, 413, 415, 422, 503),
    ),
)
