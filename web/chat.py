"""Conversations over HTTP: questions with what was said before, kept by `tickertape.history`."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from aiohttp import web

from tickertape.answer import Answer, Question, shown
from tickertape.history import Turn
from tickertape.services import Services
from tickertape.text import blank
from web import sse
from web.ask import gate, observe, piece_of
from web.chat_bodies import USER_CHARACTERS_MAX, ChatAnswer, ChatBody, HistoryAnswer, HistoryBody
from web.errors import invalid
from web.exchange import read_body, reply
from web.leaving import LEFT, unless_left
from web.routes import Reply, Route, services_of


async def chat(request: web.Request) -> web.Response:
    """An answer to a question that may go on from what was said before.

    Question and answer are kept, by user, for all workers and over restarts.
    """
    body = await read_body(request, ChatBody)
    services = services_of(request)
    question = _question(services, body)
    with gate.enter():
        answer = await unless_left(request, services.answers.ask(question))
    if answer is None:
        return web.Response(status=LEFT)
    observe(answer)
    await services.history.add(body.user_name, body.question, answer.text)
    return reply(ChatAnswer.model_validate(_shown(body.user_name, answer)))


async def stream(request: web.Request) -> web.StreamResponse:
    """The same as it is written: events sources, content, then done, or error.

    What was not answered to its end is not kept.
    """
    body = await read_body(request, ChatBody)
    services = services_of(request)
    question = _question(services, body)
    with gate.enter():
        return await sse.stream(request, await sse.begun(_events(services, body, question)))


async def _events(
    services: Services, body: ChatBody, question: Question
) -> AsyncGenerator[bytes, None]:
    async with aclosing(services.answers.stream(question)) as events:
        async for event in events:
            if isinstance(event, Answer):
                observe(event)
                await services.history.add(body.user_name, body.question, event.text)
                yield sse.event("done", orjson.dumps(_shown(body.user_name, event)))
            else:
                yield piece_of(event)


def _question(services: Services, body: ChatBody) -> Question:
    said = services.history.get(body.user_name)
    return Question(
        body.question,
        k=body.k,
        mode=body.mode,
        filters=body.filters,
        collection=body.collection,
        history=[{"role": turn.role, "content": turn.content} for turn in said],
    )


def _shown(user: str, answer: Answer) -> dict[str, object]:
    return {"user_name": user, **shown(answer)}


async def history(request: web.Request) -> web.Response:
    """What was said, the oldest first; nothing, where nobody of this name has asked."""
    return _told(services_of(request), _user(request))


async def put_history(request: web.Request) -> web.Response:
    """These turns stand for all that was said before."""
    user = _user(request)
    if blank(user):
        raise invalid([("user_name", "expected a name")])
    body = await read_body(request, HistoryBody)
    now = time.time()
    turns = [
        Turn(item.role, item.content, now if item.timestamp is None else item.timestamp)
        for item in body.items
    ]
    services = services_of(request)
    await services.history.replace(user, turns)
    return _told(services, user)


async def delete_history(request: web.Request) -> web.Response:
    """Delete what was said, for good: within hours it is in no topic of Kafka either."""
    user, services = _user(request), services_of(request)
    await services.history.replace(user, [])
    return _told(services, user)


def _told(services: Services, user: str) -> web.Response:
    items = [turn.shown() for turn in services.history.get(user)]
    return reply(HistoryAnswer.model_validate({"user_name": user, "items": items}))


def _user(request: web.Request) -> str:
    user = request.match_info["user_name"]
    if len(user) > USER_CHARACTERS_MAX:
        expected = f"expected at most {USER_CHARACTERS_MAX} characters, got {len(user)}"
        raise invalid([("user_name", expected)])
    return user


TAG = "Answers"
_ERRORS = (400, 413, 415, 422, 503)
_HISTORY = (Reply(200, HistoryAnswer, "The conversation as it is now."),)
ROUTES = (
    Route(
        "POST",
        "/chat",
        chat,
        "Chat",
        TAG,
        (Reply(200, ChatAnswer, "The answer."),),
        body=ChatBody,
        errors=_ERRORS,
    ),
    Route(
        "POST",
        "/chat/stream",
        stream,
        "Chat, streamed",
        TAG,
        (Reply(200, None, "The answer as it is written.", "text/event-stream"),),
        body=ChatBody,
        errors=_ERRORS,
    ),
    Route(
        *("GET", "/chat/history/{user_name}", history, "A conversation", TAG, _HISTORY),
        errors=(422, 503),
    ),
    Route(
        *("PUT", "/chat/history/{user_name}", put_history, "Replace a conversation", TAG, _HISTORY),
        body=HistoryBody,
        errors=_ERRORS,
    ),
    Route(
        "DELETE",
        "/chat/history/{user_name}",
        delete_history,
        "Delete a conversation",
        TAG,
        _HISTORY,
        errors=(422, 503),
    ),
)
