"""Conversations over HTTP: kept by name, streamed, bounded, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from testkit.llm.double import LlmDouble
from tests.web_parts import Client, Parts, parts, store_text
from tickertape.errors import OutageError
from tickertape.history import TURNS_MAX

REVENUE = "Acme's revenue rose nine per cent to $4.2 billion."


@pytest.fixture
async def double() -> AsyncIterator[LlmDouble]:
    async with LlmDouble(answer=f"{REVENUE} [1]") as double:
        yield double


@pytest.fixture
async def services(tmp_path: Path, double: LlmDouble) -> AsyncIterator[Parts]:
    async with parts(tmp_path, llm_url=double.url, llm_model=double.model) as made:
        await store_text(made, "acme", REVENUE, title="Acme, Q3")
        yield made


async def items(client: Client, user: str) -> list[tuple[str, str]]:
    answer = await client.get(f"/chat/history/{quote(user, safe='')}")
    body = await answer.json()
    assert answer.status == 200, body
    assert body["user_name"] == user
    return [(item["role"], item["content"]) for item in body["items"]]


async def test_a_conversation_is_kept_and_goes_along(client: Client, double: LlmDouble) -> None:
    first = {"user_name": "ada", "question": "What was Acme's revenue?"}
    body = await (await client.post("/chat", json=first)).json()
    assert (body["user_name"], body["answer"]) == ("ada", f"{REVENUE} [1]")
    assert body["sources"][0]["id"] == "acme"
    again = {"user": "ada", "message": "What was Acme's revenue, nine per cent more?"}
    assert (await client.post("/chat", json=again)).status == 200
    sent = double.requests[-1].body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"], sent
    assert sent[0]["content"] == first["question"]
    assert await items(client, "ada") == [
        ("user", "What was Acme's revenue?"),
        ("assistant", f"{REVENUE} [1]"),
        ("user", "What was Acme's revenue, nine per cent more?"),
        ("assistant", f"{REVENUE} [1]"),
    ]
    assert await items(client, "bob") == []


async def test_the_stream_is_sources_content_done(client: Client, double: LlmDouble) -> None:
    body = {"user_name": "ada", "question": "What was Acme's revenue?"}
    answer = await client.post("/chat/stream", json=body)
    lines = (await answer.text()).splitlines()
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert (names[0], names[-1], set(names[1:-1])) == ("sources", "done", {"content"})
    done = orjson.loads([line for line in lines if line.startswith("data: ")][-1][6:])
    assert done["user_name"] == "ada"
    assert len(await items(client, "ada")) == 2
    # What was not answered to its end is not kept.
    double.control(faults=[{"kind": "stream_cut"}])
    text = await (await client.post("/chat/stream", json=body)).text()
    assert "event: error" in text
    assert len(await items(client, "ada")) == 2


@pytest.mark.parametrize("user", ["ada", "Ada Lovelace", "a/b?c#d", "Åsa", "ada%2F", "a{b}"])
async def test_a_name_may_be_any(client: Client, user: str) -> None:
    path = f"/chat/history/{quote(user, safe='')}"
    turns = [{"role": "user", "content": "Why?", "timestamp": "2026-01-02T03:04:05Z"}]
    answer = await client.put(path, json={"items": turns})
    body = await answer.json()
    assert answer.status == 200, body
    assert body["items"][0]["timestamp"].startswith("2026-01-02T03:04:05")
    assert await items(client, user) == [("user", "Why?")]
    body = await (await client.delete(path)).json()
    assert body == {"user_name": user, "items": []}
    assert await items(client, user) == []


async def test_a_blank_name_gets_no_history(client: Client, services: Parts) -> None:
    answer = await client.put("/chat/history/%20", json={"items": []})
    assert answer.status == 422
    assert (await answer.json())["errors"][0]["field"] == "user_name"
    assert services.publisher.sent == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"question": "x"}, "user_name"),
        ({"user_name": "a"}, "question"),
        ({"user_name": " ", "question": "x"}, "user_name"),
        ({"user_name": "a" * 201, "question": "x"}, "user_name"),
        ({"user_name": "a", "question": "x" * 100_000}, "question"),
        ({"user_name": "a", "question": "x", "stream": True}, "stream"),
    ],
)
async def test_wrong_fields_are_named(client: Client, body: dict[str, Any], field: str) -> None:
    for path in ("/chat", "/chat/stream"):
        answer = await client.post(path, json=body)
        assert answer.status == 422
        assert (await answer.json())["errors"][0]["field"] == field


async def test_two_names_of_one_field_are_refused(client: Client) -> None:
    body = {"user_name": "a", "user": "b", "question": "x"}
    answer = await client.post("/chat", json=body)
    assert answer.status == 422
    assert "user_name or user" in (await answer.json())["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "items"),
        ({"items": [{"role": "system", "content": "x"}]}, "items[0].role"),
        ({"items": [{"role": "user", "content": ""}]}, "items[0].content"),
        ({"items": [{"role": "user", "content": "x"}] * (TURNS_MAX + 1)}, "items"),
    ],
)
async def test_a_history_must_be_one(client: Client, body: dict[str, Any], field: str) -> None:
    answer = await client.put("/chat/history/ada", json=body)
    assert answer.status == 422
    assert (await answer.json())["errors"][0]["field"] == field


async def test_what_kafka_does_not_take_is_a_503(client: Client, services: Parts) -> None:
    services.publisher.refuse[b"ada"] = OutageError("no broker", dependency="kafka", retry_after=3)
    answer = await client.post("/chat", json={"user_name": "ada", "question": "Acme's revenue?"})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "3")
    assert (await client.delete("/chat/history/ada")).status == 503
