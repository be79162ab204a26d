"""Embeddings as OpenAI's clients ask for them, by the very model that the stream is embedded with.

A text is read as the pipeline reads it, so its vector may be compared with those on `embeddings`.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from aiohttp import web

from tickertape.documents import Vectors
from tickertape.embed.base import Embedder
from tickertape.embed.runner import Runner
from tickertape.text import comparable
from web.errors import Problem
from web.exchange import check, read_json, reply
from web.gate import Gate
from web.openai_bodies import EmbeddingList, EmbeddingsBody, ModelItem, ModelList
from web.routes import Reply, Route, services_of

TOKENS_MAX = 300_000  # of a request, as OpenAI's
REQUESTS_MAX = 64
TEXTS_AT_ONCE = 32  # tokenised: searches take their turns between
FAR_CHARACTERS = 64  # of a token: text has four
ANSWERS = "tickertape"  # the name that chat completions are asked for
SHARE = "v1/embeddings"  # its own turn at the model: neither it nor the stream starves
STARTED = int(time.time())

_requests = Gate(REQUESTS_MAX, "requests for embeddings")


async def embeddings(request: web.Request) -> web.Response:
    """Vectors of texts, by the model that the stream is embedded with.

    Token ids are refused: they are another tokenizer's. A text over the model's length is refused
    too, unless ``truncate_prompt_tokens`` says to cut it.
    """
    body = _checked(await read_json(request))
    runner = services_of(request).runner
    _check_model(body.model, runner.embedder)
    if body.dimensions not in (None, runner.embedder.dimension):
        raise _refused(
            "dimensions",
            f"This model does not support specifying dimensions: it has "
            f"{runner.embedder.dimension}.",
        )
    with _requests.enter():
        sequences = await _sequences(runner, body)
        vectors = await runner.embed(sequences, share=SHARE)
    encoded = await asyncio.to_thread(_encoded, vectors, body, sum(map(len, sequences)))
    return web.Response(body=encoded, content_type="application/json")


async def models(request: web.Request) -> web.Response:
    """The model that embeds here, and the name of who answers from the documents."""
    embedder = services_of(request).runner.embedder
    return reply(ModelList(object="list", data=[_model(embedder.name, embedder), _answers()]))


async def model(request: web.Request) -> web.Response:
    """One model, by its name with or without the precision, or by its last part."""
    embedder = services_of(request).runner.embedder
    name = request.match_info["id"]
    if name == ANSWERS:
        return reply(_answers())
    _check_model(name, embedder)
    return reply(_model(name, embedder))


def _checked(value: Any) -> EmbeddingsBody:
    """Return the body. What is wrong with ``input`` is a 400, as OpenAI's clients know it."""
    try:
        return check(EmbeddingsBody, value, strict=True)
    except Problem as problem:
        wrong = problem.members["errors"]
        if wrong and wrong[0]["field"] == "input":
            raise _refused("input", problem.detail) from None
        raise


def _refused(field: str, message: str, **members: Any) -> Problem:
    return Problem(400, message, errors=[{"field": field, "message": message}], **members)


def _check_model(name: str, embedder: Embedder) -> None:
    """Raises Problem: 404 where this worker does not embed with this model."""
    known = (embedder.name, embedder.identity, embedder.name.rpartition("/")[2])
    if name not in known:
        raise Problem(
            404,
            f"The model {name[:200]!r} does not exist here; there is {embedder.name!r}.",
            errors=[{"field": "model", "message": "unknown"}],
            code="model_not_found",
        )


async def _sequences(runner: Runner, body: EmbeddingsBody) -> list[Sequence[int]]:
    """Return the ids of each text, cut where that is asked for; what is too much is refused before
    all of it is tokenised.

    Raises:
        Problem: 400 for a text that is too long, and for too much at once.
    """
    cut, limit = body.truncate_prompt_tokens, runner.limit
    longest = limit if cut == -1 else cut
    found: list[Sequence[int]] = []
    total = 0
    for start in range(0, len(body.input), TEXTS_AT_ONCE):
        for ids in await _tokens(runner, body.input[start : start + TEXTS_AT_ONCE]):
            kept = ids[:longest]
            if len(kept) > limit:
                raise _refused(
                    "input",
                    f"input[{len(found)}] has more than the {limit} tokens that this model takes: "
                    "send it in parts, or truncate_prompt_tokens: -1 to have it cut.",
                    code="context_length_exceeded",
                )
            found.append(kept)
            total += len(kept)
        if total > TOKENS_MAX:
            raise _refused("input", f"input has over {TOKENS_MAX} tokens: send less at once.")
    return found


async def _tokens(runner: Runner, texts: Sequence[str]) -> list[Sequence[int]]:
    """Return each text's ids. Of a text that is far too long they are those of its beginning."""
    far = FAR_CHARACTERS * runner.limit
    begins = await _ids(runner, [text[:far] for text in texts])
    return [
        (await _ids(runner, [text]))[0] if len(text) > far and len(ids) <= runner.limit + 1 else ids
        for text, ids in zip(texts, begins, strict=True)
    ]


async def _ids(runner: Runner, texts: Sequence[str]) -> list[Sequence[int]]:
    readings = await asyncio.to_thread(lambda: [comparable(text).text for text in texts])
    return [found.ids for found in await runner.tokenize(readings)]


def _encoded(vectors: Vectors, body: EmbeddingsBody, tokens: int) -> bytes:
    """Return the answer. Rows go into it as they are: a list of floats each would cost more than
    the model."""
    rows: list[Any] = [np.ascontiguousarray(row, "<f4") for row in vectors]
    if body.encoding_format == "base64":
        rows = [base64.b64encode(row).decode("ascii") for row in rows]
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": row}
                for index, row in enumerate(rows)
            ],
            "model": body.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def _model(name: str, embedder: Embedder) -> ModelItem:
    return ModelItem(
        id=name,
        object="model",
        created=STARTED,
        owned_by="tickertape",
        max_model_len=embedder.max_tokens,
        dimension=embedder.dimension,
    )


def _answers() -> ModelItem:
    return ModelItem(
        id=ANSWERS,
        object="model",
        created=STARTED,
        owned_by="tickertape",
        max_model_len=None,
        dimension=None,
    )


TAG = "OpenAI"
ROUTES = (
    Route(
        "POST",
        "/v1/embeddings",
        embeddings,
        "Embeddings",
        TAG,
        (Reply(200, EmbeddingList, "Vectors in the order of the texts."),),
        body=EmbeddingsBody,
        errors=(400, 404, 413, 415, 422, 503),
    ),
    Route(
        "GET", "/v1/models", models, "Models", TAG, (Reply(200, ModelList, "All."),), errors=(503,)
    ),
    Route(
        "GET",
        "/v1/models/{id}",
        model,
        "A model",
        TAG,
        (Reply(200, ModelItem, "The model."),),
        errors=(404, 503),
        name="get_v1_model",
    ),
)
