"""Questions over HTTP: fields, events, limits, and clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from testkit.llm.double import LlmDouble
from tests.web_parts import Client, Parts, parts, store_text
from web import ask as ask_page

ASKED = {"question": "What was Acme's revenue?"}
CLERK = "What a clerk at Acme says of its revenue, and of whales."
REVENUE = "Acme's revenue rose nine per cent to $4.2 billion."


@pytest.fixture
async def double() -> AsyncIterator[LlmDouble]:
    async with LlmDouble(answer=f"{REVENUE} [1]") as double:
        yield double


@pytest.fixture
async def services(tmp_path: Path, double: LlmDouble) -> AsyncIterator[Parts]:
    async with parts(tmp_path, llm_url=double.url, llm_model=double.model) as made:
        await store_text(made, "acme", REVENUE, title="Acme, Q3", ticker="ACME")
        await store_text(made, "other", CLERK, collection="notes")
        yield made


async def told(client: Client, body: dict[str, Any]) -> list[tuple[str, Any]]:
    answer = await client.post("/v1/ask", json={**body, "stream": True})
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "text/event-stream"
    found = []
    for block in (await answer.text()).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            found.append((fields["event"], orjson.loads(fields["data"])))
    return found


async def test_an_answer_with_its_sources_and_each_sentence_checked(client: Client) -> None:
    answer = await client.post("/v1/ask", json=ASKED)
    body = await answer.json()
    assert answer.status == 200, body
    assert body["answer"] == f"{REVENUE} [1]"
    assert (body["found"], body["cut"], body["model"]) == (True, False, "double")
    source = body["sources"][0]
    assert (source["number"], source["id"], source["title"]) == (1, "acme", "Acme, Q3")
    assert source["text"] == REVENUE
    (sentence,) = body["sentences"]
    assert sentence["sources"] == [1]
    assert sentence["figures"] == [{"text": "$4.2 billion", "stands": True}]
    assert sentence["supported"] is True
    assert body["usage"]["total_tokens"] > 0
    assert body["took_ms"] > 0


async def test_events_are_sources_content_done(client: Client) -> None:
    for _ in range(2):
        events = await told(client, ASKED)
        names = [name for name, _ in events]
        assert names[0] == "sources"
        assert names[-1] == "done"
        assert set(names[1:-1]) == {"content"}
        pieces = "".join(data["text"] for name, data in events if name == "content")
        assert pieces == events[-1][1]["answer"] == f"{REVENUE} [1]"
        assert events[0][1]["sources"] == events[-1][1]["sources"]
    assert len(events) > 4  # once it is known how the model answers


async def test_filters_and_collections_are_those_of_search(client: Client) -> None:
    asked = {**ASKED, "collection": "notes", "k": 3, "mode": "dense"}
    body = await (await client.post("/v1/ask", json=asked)).json()
    assert [source["id"] for source in body["sources"]] == ["other"]
    asked = {**ASKED, "filters": {"ticker": "BOLT"}}
    body = await (await client.post("/v1/ask", json=asked)).json()
    assert (body["found"], body["answer"]) == (False, "The documents do not say.")


async def test_a_fault_in_mid_stream_is_an_event(client: Client, double: LlmDouble) -> None:
    double.control(faults=[{"kind": "stream_error"}])
    events = await told(client, ASKED)
    assert events[0][0] == "sources"
    name, data = events[-1]
    assert name == "error"
    assert "EngineCore" in data["error"]["message"]
    double.control(faults=[{"kind": "busy", "retry_after": 7}])
    answer = await client.post("/v1/ask", json=ASKED)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "question"),
        ({"question": " "}, "question"),
        ({"question": "x" * 100_000}, "question"),
        ({"question": "x", "k": 0}, "k"),
        ({"question": "x", "k": 51}, "k"),
        ({"question": "x", "mode": "psychic"}, "mode"),
        ({"question": "x", "filters": []}, "filters"),
        ({"question": "x", "stream": "yes"}, "stream"),
        ({"question": "x", "temperature": 1}, "temperature"),
        ({"q": "x", "question": "x"}, "q"),
    ],
)
async def test_wrong_fields_are_named(client: Client, body: dict[str, Any], field: str) -> None:
    answer = await client.post("/v1/ask", json=body)
    error = (await answer.json())["error"]
    assert answer.status == 422
    assert error["param"] == field


async def test_a_question_in_another_language_is_answered_or_nothing_is_said(
    client: Client,
) -> None:
    body = await (await client.post("/v1/ask", json={"question": "売上高はいくらですか"})).json()
    assert body["found"] is False


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_what_the_model_does_for_it(
    client: Client, double: LlmDouble, stream: bool
) -> None:
    double.control(faults=[{"kind": "hold"}])
    leaving = asyncio.ensure_future(client.post("/v1/ask", json={**ASKED, "stream": stream}))
    await double.until(1)
    if stream:
        (await leaving).close()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await double.until(1, "disconnected")


async def test_too_many_questions_are_told_to_come_again(
    client: Client, double: LlmDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_page.gate, "_limit", 1)
    double.control(faults=[{"kind": "hold"}])
    first = asyncio.ensure_future(client.post("/v1/ask", json=ASKED))
    await double.until(1)
    answer = await client.post("/v1/ask", json=ASKED)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    double.release()
    assert (await first).status == 200
