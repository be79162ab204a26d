"""Embeddings over /v1, asked as OpenAI's own client asks, and by hand where it would not."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from tests.web_parts import DIMENSION, Parts, WordEmbedder, parts, served
from web import openai as openai_page

Client = TestClient[web.Request, web.Application]
NAME = WordEmbedder.name
TEXTS = ["Revenue rose nine per cent.", "The board met in Oslo."]


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path) as made:
        yield made


@pytest.fixture
async def client(services: Parts) -> AsyncIterator[Client]:
    async with served(services) as made:
        yield made


@pytest.fixture
async def sdk(client: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    url = str(client.make_url("/v1"))
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as made:
        yield made


async def post(client: Client, **body: Any) -> tuple[int, Any]:
    answer = await client.post("/v1/embeddings", json={"model": NAME, **body})
    return answer.status, await answer.json()


async def test_the_official_client_gets_the_streams_own_vectors(
    sdk: openai.AsyncOpenAI, services: Parts
) -> None:
    """It asks for base64 by itself."""
    answer = await sdk.embeddings.create(model=NAME, input=TEXTS)
    assert [item.index for item in answer.data] == [0, 1]
    assert answer.model == NAME
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 10
    for text, item in zip(TEXTS, answer.data, strict=True):
        expected = await services.runner.embed_text(text)
        np.testing.assert_array_equal(np.array(item.embedding, np.float32), expected)


async def test_a_text_is_read_as_the_pipeline_reads_it(sdk: openai.AsyncOpenAI) -> None:
    """A ligature and a soft hyphen change no vector."""
    plain, typeset = "The profit rose.", "The pro\N{LATIN SMALL LIGATURE FI}t ro\N{SOFT HYPHEN}se."
    answer = await sdk.embeddings.create(model=NAME, input=[plain, typeset])
    assert answer.data[0].embedding == answer.data[1].embedding


@pytest.mark.parametrize("given", ["float", None, "base64"])
async def test_the_format_is_what_was_asked_for(client: Client, given: str | None) -> None:
    status, body = await post(client, input=TEXTS[0], encoding_format=given)
    assert status == 200, body
    vector = body["data"][0]["embedding"]
    if given == "base64":
        vector = np.frombuffer(base64.b64decode(vector), "<f4").tolist()
    assert len(vector) == DIMENSION
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", [NAME, f"{NAME}@fp32", "words"])
async def test_the_asked_name_is_the_answered_one(sdk: openai.AsyncOpenAI, name: str) -> None:
    answer = await sdk.embeddings.create(model=name, input=TEXTS[0])
    assert answer.model == name
    assert (await sdk.models.retrieve(name)).id == name


async def test_the_model_is_listed(sdk: openai.AsyncOpenAI) -> None:
    model, answers = [found async for found in sdk.models.list()]
    assert answers.id == "tickertape"
    assert (model.id, model.object, model.owned_by) == (NAME, "model", "tickertape")


async def test_an_unknown_model_is_not_found(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.embeddings.create(model="text-embedding-3-small", input="x")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert NAME in caught.value.message
    with pytest.raises(openai.NotFoundError):
        await sdk.models.retrieve("text-embedding-3-small")


@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2], [3]]])
async def test_token_ids_are_refused_with_the_clients_switch(
    sdk: openai.AsyncOpenAI, ids: Any
) -> None:
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False") as caught:
        await sdk.embeddings.create(model=NAME, input=ids)
    assert caught.value.param == "input"


async def test_no_other_dimension(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=f"it has {DIMENSION}") as caught:
        await sdk.embeddings.create(model=NAME, input="x", dimensions=32)
    assert caught.value.param == "dimensions"
    answer = await sdk.embeddings.create(model=NAME, input="x", dimensions=DIMENSION)
    assert len(answer.data[0].embedding) == DIMENSION


async def test_a_long_text_is_refused_or_cut_as_asked(client: Client) -> None:
    long = "word " * 513
    status, body = await post(client, input=["short", long])
    assert status == 400
    assert body["error"]["code"] == "context_length_exceeded"
    assert "input[1] has more than the 512 tokens" in body["error"]["message"]
    for cut, tokens in ((-1, 512), (7, 7)):
        status, body = await post(client, input=long, truncate_prompt_tokens=cut)
        assert (status, body["usage"]["prompt_tokens"]) == (200, tokens)


@pytest.mark.parametrize(
    ("wrong", "status", "param"),
    [
        ({"input": ""}, 400, "input"),
        ({"input": ["x", "\N{ZERO WIDTH SPACE}"]}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": ["x"] * 2049}, 400, "input"),
        ({"input": {"text": "x"}}, 400, "input"),
        ({"input": [True]}, 400, "input"),
        ({}, 400, "input"),
        ({"input": "x", "encoding_format": "int8"}, 422, "encoding_format"),
        ({"input": "x", "truncate_prompt_tokens": 0}, 422, "truncate_prompt_tokens"),
        ({"input": "x", "model": ""}, 422, "model"),
        ({"input": "x", "inputs": "y"}, 422, "inputs"),
    ],
)
async def test_what_is_wrong_is_named(
    client: Client, wrong: dict[str, Any], status: int, param: str
) -> None:
    found, body = await post(client, **wrong)
    assert found == status, body
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["param"] == param


async def test_what_is_far_too_long_is_refused_by_its_beginning(
    client: Client, services: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenized: list[int] = []
    tokenize = services.runner.embedder.tokenize

    def counting(texts: Any) -> Any:
        tokenized.extend(map(len, texts))
        return tokenize(texts)

    monkeypatch.setattr(services.runner.embedder, "tokenize", counting)
    long = "word " * 100_000
    assert (await post(client, input=long))[0] == 400
    assert sum(tokenized) < len(long) / 10
    status, body = await post(client, input=long, truncate_prompt_tokens=-1)
    assert (status, body["usage"]["prompt_tokens"]) == (200, 512)
    few = "w" * 100_000  # one word to this tokenizer
    assert (await post(client, input=few))[0] == 200


async def test_too_much_at_once_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_page, "TOKENS_MAX", 8)
    status, body = await post(client, input=TEXTS)
    assert (status, body["error"]["param"]) == (400, "input")
    assert "over 8 tokens" in body["error"]["message"]


async def test_a_worker_with_its_hands_full_says_when_to_come_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_page._requests, "_limit", 0)
    answer = await client.post("/v1/embeddings", json={"model": NAME, "input": "x"})
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert (await answer.json())["error"]["type"] == "server_error"
