"""Questions over HTTP; `tickertape.answer` does the work."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from aiohttp import web

from tickertape import metrics
from tickertape.answer import Answer, Question, Sources, shown, source_shown
from tickertape.services import Services
from web import sse
from web.ask_bodies import AskAnswer, AskBody
from web.exchange import read_body, reply
from web.gate import Gate
from web.leaving import LEFT, unless_left
from web.routes import Reply, Route, services_of

QUESTIONS_MAX = 64

gate = Gate(QUESTIONS_MAX, "questions")

Event = Sources | str | Answer


async def ask(request: web.Request) -> web.StreamResponse:
    """An answer from the stored passages, each sentence with its sources and its figures checked.

    With ``stream`` events: ``sources``, ``content`` for each piece, then ``done`` with all of it,
    or ``error``. Without a language model the answer is the best passages, word for word. A client
    that leaves ends the work that is done for it.
    """
    body = await read_body(request, AskBody)
    question = Question(
        body.question,
        k=body.k,
        mode=body.mode,
        filters=body.filters,
        collection=body.collection,
    )
    services = services_of(request)
    with gate.enter():
        if body.stream:
            return await sse.stream(request, await sse.begun(_events(services, question)))
        answer = await unless_left(request, services.answers.ask(question))
    if answer is None:
        return web.Response(status=LEFT)
    observe(answer)
    return reply(AskAnswer.model_validate(shown(answer)))


async def _events(services: Services, question: Question) -> AsyncGenerator[bytes, None]:
    async with aclosing(services.answers.stream(question)) as events:
        async for event in events:
            if isinstance(event, Answer):
                observe(event)
                yield sse.event("done", orjson.dumps(shown(event)))
            else:
                yield piece_of(event)


def piece_of(event: Sources | str) -> bytes:
    """Return the event of what comes before an answer is whole."""
    if isinstance(event, str):
        return sse.event("content", orjson.dumps({"text": event}))
    sources = [source_shown(source) for source in event.sources]
    return sse.event("sources", orjson.dumps({"sources": sources}))


def observe(answer: Answer) -> None:
    """Count it."""
    metrics.answer_seconds.labels(str(answer.found).lower()).observe(answer.took_ms / 1000)


TAG = "Answers"
ROUTES = (
    Route(
        "POST",
        "/v1/ask",
        ask,
        "Ask the documents",
        TAG,
        (
            Reply(200, AskAnswer, "The answer."),
            Reply(200, None, "The answer as it is written.", "text/event-stream"),
        ),
        body=AskBody,
        errors=(400, 413, 415, 422, 503),
    ),
)
