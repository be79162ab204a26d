"""Chat completions that answer from the documents, so that any client of OpenAI's can ask them.

The sources come in fields beside OpenAI's own, in the words of those who have some: what a client
does not know it passes over.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web

from tickertape.answer import Answer, Question, Reference, Sources, shown
from tickertape.answer.checking import texts_of
from tickertape.answer.plain import Plain
from tickertape.services import Services
from web import sse
from web.ask import gate, observe
from web.completions_bodies import Completion, CompletionBody
from web.errors import Problem, problem_of, response_of
from web.exchange import check, read_json
from web.leaving import LEFT, unless_left
from web.openai import ANSWERS
from web.routes import Reply, Route, services_of

SNIPPET_CHARACTERS = 300


async def completions(request: web.Request) -> web.StreamResponse:
    """An answer from the documents to the last message; any client of OpenAI's can ask for it.

    Earlier messages go along, a system message says how it is to be told. Tools, several answers
    and JSON are refused; sampling is the settings'.
    """
    body = check(CompletionBody, await read_json(request), strict=True)
    services = services_of(request)
    if body.model not in (ANSWERS, services.answers.name):
        raise Problem(
            404,
            f"The model {body.model[:200]!r} does not exist here; {ANSWERS!r} answers from the "
            "documents.",
            errors=[{"field": "model", "message": "unknown"}],
            code="model_not_found",
        )
    question = _question(body)
    head: dict[str, Any] = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": body.model,
    }
    origin = f"{request.scheme}://{request.host}"
    with gate.enter():
        if body.stream:
            counted = body.stream_options is not None and bool(body.stream_options.include_usage)
            events = _chunks(services, question, head, origin, counted=counted)
            return await sse.stream(request, await sse.begun(events), retry_ms=None, failed=_failed)
        answer = await unless_left(request, services.answers.ask(question))
    if answer is None:
        return web.Response(status=LEFT)
    observe(answer)
    found = _beside(answer, origin)
    plain = Plain(texts_of(answer.sources))  # passages too: a chat window shows Markdown
    message = {
        "role": "assistant",
        "content": plain.take(answer.text) + plain.end(),
        "refusal": None,
        "annotations": found.pop("annotations"),
    }
    whole = {
        **head,
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(answer)}
        ],
        "usage": shown(answer)["usage"],
        **found,
    }
    return web.Response(body=orjson.dumps(whole), content_type="application/json")


async def _chunks(
    services: Services, question: Question, head: dict[str, Any], origin: str, *, counted: bool
) -> AsyncGenerator[bytes, None]:
    def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _data({**head, "object": "chat.completion.chunk", "choices": [choice], **more})

    plain = Plain(())
    async with aclosing(services.answers.stream(question)) as events:
        async for event in events:
            if isinstance(event, Sources):
                plain = Plain(texts_of(event.sources))
                yield chunk({"role": "assistant", "content": ""})
            elif isinstance(event, str):
                if piece := plain.take(event):
                    yield chunk({"content": piece})
            else:
                if piece := plain.end():
                    yield chunk({"content": piece})
                observe(event)
                found = _beside(event, origin)
                annotations = {"annotations": found.pop("annotations")}
                yield chunk(annotations, _reason(event), **found)
                if counted:
                    usage = {"choices": [], "usage": shown(event)["usage"]}
                    yield _data({**head, "object": "chat.completion.chunk", **usage})
    yield b"data: [DONE]\n\n"


def _failed(request: web.Request, error: Exception) -> bytes:
    """What OpenAI's clients raise for a fault in mid-stream."""
    body = response_of(request, problem_of(error)).body
    assert isinstance(body, bytes)
    return b"data: %s\n\n" % body


def _data(value: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % orjson.dumps(value)


def _question(body: CompletionBody) -> Question:
    """The last message, with what was said before it.

    Raises:
        Problem: it is not a user's.
    """
    *earlier, last = body.messages
    if last.role != "user":
        message = f"expected the last message to be a user's, got {last.role}'s"
        raise Problem(400, message, errors=[{"field": "messages", "message": message}])
    told = [message for message in body.messages if message.role in ("system", "developer")]
    said = [message for message in earlier if message.role in ("user", "assistant")]
    return Question(
        last.content,
        instructions="\n".join(message.content for message in told),
        history=[{"role": message.role, "content": message.content} for message in said],
        tokens_max=body.max_completion_tokens or body.max_tokens,
    )


def _reason(answer: Answer) -> str:
    return "length" if answer.cut else "stop"


def _beside(answer: Answer, origin: str) -> dict[str, Any]:
    """The sources, in the words of those whose clients show some."""
    sources: Sequence[Reference] = answer.sources
    told = [(_address(source, origin), _title(source), source) for source in sources]
    return {
        "annotations": [
            {"type": "url_citation", "url_citation": {"url": url, "title": title}}
            for url, title, _ in told
        ],
        "citations": [url for url, _, _ in told],
        "search_results": [
            {
                "title": title,
                "url": url,
                "date": _date(source),
                "snippet": source.hit.text[:SNIPPET_CHARACTERS],
            }
            for url, title, source in told
        ],
        "tickertape": shown(answer),
    }


def _address(source: Reference, origin: str) -> str:
    """Where the document came from, as far as it says; else where it is stored."""
    for name in ("url", "source_url"):
        url = source.hit.metadata.get(name)
        if isinstance(url, str) and url.startswith(("https://", "http://")):
            return url
    return f"{origin}/documents/{quote(source.hit.key.id, safe='')}"


def _title(source: Reference) -> str:
    return str(source.hit.metadata.get("title") or source.hit.key.id)


def _date(source: Reference) -> str | None:
    published = source.hit.metadata.get("published")
    return published if isinstance(published, str) else None


TAG = "OpenAI"
ROUTES = (
    Route(
        "POST",
        "/v1/chat/completions",
        completions,
        "Chat completions from the documents",
        TAG,
        (
            Reply(200, Completion, "The answer."),
            Reply(200, None, "The answer as it is written.", "text/event-stream"),
        ),
        body=CompletionBody,
        errors=(400, 404, 413, 415, 422, 503),
    ),
)
