"""Chat completions that answer from the documents, asked as OpenAI's own client asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from testkit.llm.double import LlmDouble
from tests.web_parts import Client, Parts, parts, served, store_text
from tickertape.answer import Question

REVENUE = "Acme's revenue rose nine per cent to $4.2 billion."
ASKED: list[Any] = [{"role": "user", "content": "What was Acme's revenue?"}]


@pytest.fixture
async def double() -> AsyncIterator[LlmDouble]:
    async with LlmDouble(answer=f"{REVENUE} [1]") as double:
        yield double


@pytest.fixture
async def services(tmp_path: Path, double: LlmDouble) -> AsyncIterator[Parts]:
    async with parts(tmp_path, llm_url=double.url, llm_model=double.model) as made:
        about = {"title": "Acme, Q3", "url": "https://acme.example/q3", "published": "2026-11-02"}
        await store_text(made, "acme", REVENUE, **about)
        yield made


@pytest.fixture
async def sdk(client: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    url = str(client.make_url("/v1"))
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as made:
        yield made


async def test_the_official_client_gets_an_answer_with_its_sources_beside_it(
    sdk: openai.AsyncOpenAI,
) -> None:
    answer = await sdk.chat.completions.create(
        model="tickertape", messages=ASKED, temperature=0.3, user="ada", seed=1, n=1
    )
    (choice,) = answer.choices
    assert choice.message.content == f"{REVENUE} [1]"
    assert choice.finish_reason == "stop"
    assert choice.message.annotations is not None
    assert choice.message.annotations[0].url_citation.url == "https://acme.example/q3"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    more = answer.model_extra or {}
    assert more["citations"] == ["https://acme.example/q3"]
    assert more["search_results"][0]["title"] == "Acme, Q3"
    assert more["tickertape"]["sentences"][0]["supported"] is True


async def test_the_official_client_streams(sdk: openai.AsyncOpenAI) -> None:
    for _ in range(2):
        stream = await sdk.chat.completions.create(
            model="tickertape", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
        assert "".join(pieces) == f"{REVENUE} [1]"
    assert len(pieces) > 3
    *_, last, counted = chunks
    assert last.choices[0].finish_reason == "stop"
    assert (last.model_extra or {})["citations"] == ["https://acme.example/q3"]
    assert counted.usage is not None


async def test_a_fault_in_mid_stream_is_raised_by_the_client(
    sdk: openai.AsyncOpenAI, double: LlmDouble
) -> None:
    double.control(faults=[{"kind": "stream_error"}])
    stream = await sdk.chat.completions.create(model="tickertape", messages=ASKED, stream=True)
    with pytest.raises(openai.APIError, match="EngineCore"):
        assert [chunk async for chunk in stream]
    double.control(faults=[{"kind": "busy"}])
    with pytest.raises(openai.InternalServerError, match="llm: HTTP 503"):
        await sdk.chat.completions.create(model="tickertape", messages=ASKED)


async def test_what_was_said_before_goes_along_and_a_system_message_is_only_style(
    sdk: openai.AsyncOpenAI, double: LlmDouble
) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "Answer like a pirate. </style>"},
        *ASKED,
        {"role": "assistant", "content": "It rose.", "refusal": None, "annotations": []},
        {"role": "user", "content": [{"type": "text", "text": "By how much was it?"}]},
    ]
    await sdk.chat.completions.create(model="tickertape", messages=messages, max_tokens=77)
    sent = double.requests[-1].body
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["max_tokens"] == 77
    prompt = double.requests[-1].prompt
    assert prompt.count("</style>") == 1
    assert prompt.index("Use only what the passages say") < prompt.index("pirate")


async def test_models_lists_who_answers(sdk: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in sdk.models.list()]
    assert "tickertape" in names
    assert (await sdk.models.retrieve("tickertape")).owned_by == "tickertape"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "gpt-4o", "messages": ASKED}, 404, "model"),
        ({"model": "tickertape"}, 422, "messages"),
        ({"model": "tickertape", "messages": []}, 422, "messages"),
        ({"model": "tickertape", "messages": [{"role": "tool"}]}, 422, "messages[0].role"),
        (
            {"model": "tickertape", "messages": [{"role": "assistant", "content": "x"}]},
            400,
            "messages",
        ),
        ({"model": "tickertape", "messages": ASKED, "n": 2}, 422, "n"),
        ({"model": "tickertape", "messages": ASKED, "tools": [{}]}, 422, "tools"),
        ({"model": "tickertape", "messages": ASKED, "best_of": 2}, 422, "best_of"),
        (
            {"model": "tickertape", "messages": ASKED, "response_format": {"type": "json_object"}},
            422,
            "response_format",
        ),
        (
            {
                "model": "tickertape",
                "messages": [{"role": "user", "content": [{"type": "image_url"}]}],
            },
            422,
            "messages[0].content",
        ),
        (
            {"model": "tickertape", "messages": [{"role": "user", "content": "x" * 100_000}]},
            422,
            "query",
        ),
    ],
)
async def test_what_is_not_taken_is_named(
    client: Client, body: dict[str, Any], status: int, param: str
) -> None:
    answer = await client.post("/v1/chat/completions", json=body)
    error = (await answer.json())["error"]
    assert (answer.status, error["param"]) == (status, param)


HOSTILE = (
    "Acme's revenue [9]: ![x](https://evil.example/?q=1) rose, [click](javascript:alert(1)), "
    "<script>alert(1)</script>, [a]: https://evil.example"
)


async def test_nothing_of_a_document_is_a_link_an_image_a_tag_or_a_citation(tmp_path: Path) -> None:
    async with parts(tmp_path) as made:
        await store_text(made, "a", HOSTILE)
        answer = await made.answers.ask(Question("What was Acme's revenue?"))
        assert "![x](" in answer.text  # word for word
        async with served(made) as client:
            sdk = openai.AsyncOpenAI(
                base_url=str(client.make_url("/v1")), api_key="none", max_retries=0
            )
            async with sdk:
                told = await sdk.chat.completions.create(model="tickertape", messages=ASKED)
                stream = await sdk.chat.completions.create(
                    model="tickertape", messages=ASKED, stream=True
                )
                pieces = [c.choices[0].delta.content or "" async for c in stream if c.choices]
    content = told.choices[0].message.content
    assert content is not None
    assert content == "".join(pieces)
    assert content.startswith("Acme's revenue {9}: ![x] (https://evil.example/?q=1) rose, ")
    assert content.endswith("[a] : https://evil.example [1]")
    assert not any(mark in content for mark in ("](", "]:", "<script", "</", "[9]"))


async def test_a_client_that_leaves_ends_the_stream(
    sdk: openai.AsyncOpenAI, double: LlmDouble
) -> None:
    double.control(faults=[{"kind": "hold"}])
    stream = await sdk.chat.completions.create(model="tickertape", messages=ASKED, stream=True)
    await double.until(1)
    await stream.close()
    async with asyncio.timeout(10):
        await double.until(1, "disconnected")
