"""Probes, statistics, settings, metrics, pages."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from tests.web_parts import Client, Parts, flow
from tickertape.documents import Vectors
from tickertape.services import Services
from web import register

SECRET = "s3cr3t-key"


@pytest.fixture
def web_settings() -> dict[str, Any]:
    return {"llm_api_key": SECRET}


async def test_alive_whatever_is_not_ready(client: Client, services: Parts) -> None:
    services.runtime.missing = {"kafka": "no broker"}
    assert (await client.get("/livez")).status == 200


async def test_ready_says_what_is_not_and_why(client: Client, services: Parts) -> None:
    assert (await client.get("/readyz")).status == 200
    services.runtime.missing = {"store:sqlite": "disk full", "tables": "recovering"}
    answer = await client.get("/readyz")
    body = await answer.json(content_type=None)
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    assert body["unready"] == {"store:sqlite": "disk full", "tables": "recovering"}
    assert "disk full" in body["detail"]


async def test_before_it_is_open_a_worker_is_alive_and_not_ready() -> None:
    def closed() -> Services:
        raise RuntimeError("the worker is not open")

    web_app = web.Application()
    register(web_app, closed)
    async with TestClient(TestServer(web_app)) as client:
        assert (await client.get("/livez", headers={"Host": "10.0.0.9"})).status == 200
        assert (await client.get("/", headers={"Accept": "text/html"})).status == 200
        for path in ("/readyz", "/health", "/stats", "/search?q=x", "/metrics"):
            answer = await client.get(path)
            assert answer.status == 503
            assert "starting or stopping" in (await answer.json(content_type=None))["detail"]


async def test_health_summarises(client: Client, services: Parts) -> None:
    body = await (await client.get("/health")).json()
    assert body["status"] == "ok"
    assert body["summarizer"] == "extractive"
    assert body["model"] == "tests/words@fp32"
    assert body["stores"] == ["sqlite"]
    assert [f["name"] for f in body["flows"]] == ["embed", "summarize"]
    services.runtime.pause()
    assert (await (await client.get("/health")).json())["status"] == "paused"
    services.runtime.missing = {"model": "loading"}
    answer = await client.get("/health")
    assert answer.status == 200
    assert (await answer.json())["status"] == "unready"


async def test_root_is_the_page_for_a_browser_and_health_for_a_program(client: Client) -> None:
    page = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.content_type == "text/html"
    assert page.headers["Vary"] == "Accept"
    for accept in ("*/*", "application/json"):
        answer = await client.get("/", headers={"Accept": accept})
        assert (await answer.json())["version"]


async def test_stats_has_flows_with_lag_and_the_reason_of_a_hold(
    client: Client, services: Parts
) -> None:
    services.runtime.shown = [flow("summarize", state="held", reason="llm: 503", lag=None)]
    body = await (await client.get("/stats")).json()
    assert body["messages_processed"] == 1500
    assert body["last_processed"] == 1_760_000_000.5
    (shown,) = body["flows"]
    assert (shown["state"], shown["reason"], shown["lag"]) == ("held", "llm: 503", None)
    assert shown["topics"] == ["text-messages", "financial-documents"]


async def test_a_store_beside_the_first_is_degraded_and_not_unready(
    client: Client, services: Parts
) -> None:
    assert (await (await client.get("/readyz")).json()) == {"status": "ready", "degraded": {}}
    services.runtime.beside = {"store:pgvector": "no connection; 12 documents behind"}
    services.runtime.stores_behind = {"pgvector": 12}
    services.stores = [*services.stores, SimpleNamespace(name="pgvector")]  # type: ignore[list-item]
    answer = await client.get("/readyz")
    assert answer.status == 200
    said = {"store:pgvector": "no connection; 12 documents behind"}
    assert await answer.json() == {"status": "degraded", "degraded": said}
    body = await (await client.get("/health")).json()
    assert (body["status"], body["degraded"], body["unready"]) == ("degraded", said, {})
    first, second = (await (await client.get("/stats")).json())["stores"]
    assert first == {"name": "sqlite", "first": True, "lag": 0, "reason": ""}
    assert second == {
        "name": "pgvector",
        "first": False,
        "lag": 12,
        "reason": "no connection; 12 documents behind",
    }
    assert (
        'tickertape_store_lag{store="pgvector"} 12.0' in await (await client.get("/metrics")).text()
    )


async def test_stop_and_start(client: Client, services: Parts) -> None:
    assert await (await client.post("/stop")).json() == {"status": "paused"}
    assert services.runtime.paused
    assert (await (await client.get("/stats")).json())["paused"] is True
    assert await (await client.post("/start")).json() == {"status": "running"}
    assert not services.runtime.paused


async def test_config_hides_secrets(client: Client) -> None:
    answer = await client.get("/config")
    text = await answer.text()
    body = await answer.json()
    assert SECRET not in text
    assert body["LLM_API_KEY"]["value"] == "***"
    assert body["TICKERTAPE_WEB_PORT"]["value"] == 6066


async def test_metrics_are_readable_and_of_few_labels(client: Client, services: Parts) -> None:
    services.runtime.shown = [flow("embed", state="held", lag=9, bytes_in_flight=77)]
    await services.runner.embed_text("three plain words")
    await client.get("/documents/some-id-that-must-be-no-label")
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    families = {f.name: f for f in text_string_to_metric_families(await answer.text())}
    samples = {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for f in families.values()
        for s in f.samples
    }
    assert samples["tickertape_in_flight_bytes", (("flow", "embed"),)] == 77
    assert samples["tickertape_flow_held", (("flow", "embed"),)] == 1
    assert samples["tickertape_flow_lag", (("flow", "embed"),)] == 9
    assert samples["tickertape_embed_tokens_total", ()] == 3
    routes = {
        s.labels["route"]
        for s in families["tickertape_http_request_seconds"].samples
        if "route" in s.labels
    }
    assert "/documents/{id}" in routes
    assert not any("some-id" in route for route in routes)


async def test_a_flow_that_ended_leaves_the_metrics(client: Client, services: Parts) -> None:
    services.runtime.shown = [flow("embed"), flow("gone")]
    assert 'flow="gone"' in await (await client.get("/metrics")).text()
    services.runtime.shown = [flow("embed")]
    text = await (await client.get("/metrics")).text()
    assert 'tickertape_in_flight{flow="gone"}' not in text


async def test_lags_and_breakers_are_looked_at(client: Client, services: Parts) -> None:
    services.runtime.behind = {"text-messages": {0: 3, 7: 0}, "embeddings": {1: 4}}
    services.runtime.breakers["llm"].open("away")
    text = await (await client.get("/metrics")).text()
    for topic, partition, lag in (("text-messages", 0, 3), ("text-messages", 7, 0)):
        line = f'tickertape_consumer_lag{{partition="{partition}",topic="{topic}"}} {lag}.0'
        assert line in text
    assert 'tickertape_breaker_open{dependency="llm"} 1.0' in text
    services.runtime.behind = {"embeddings": {1: 5}}
    services.runtime.breakers["llm"].succeeded()
    text = await (await client.get("/metrics")).text()
    assert 'tickertape_consumer_lag{partition="1",topic="embeddings"} 5.0' in text
    assert 'topic="text-messages"' not in re.findall(r"^tickertape_consumer_lag.*", text, re.M)[0]
    assert text.count("tickertape_consumer_lag{") == 1
    assert 'tickertape_breaker_open{dependency="llm"} 0.0' in text


async def test_the_models_queue_and_how_full_its_batches_are(
    client: Client, services: Parts
) -> None:
    async def sample(name: str) -> float:
        text = await (await client.get("/metrics")).text()
        return float(re.findall(rf"^tickertape_{name} (\S+)", text, re.M)[0])

    count, filled = await sample("embed_batch_fill_count"), await sample("embed_batch_fill_sum")
    await services.runner.embed([[1, 2, 3], [4, 5]])
    assert await sample("embed_batch_fill_count") == count + 1
    part = 2 * 3 / services.runner.batch_tokens  # padded: two of three tokens
    assert await sample("embed_batch_fill_sum") == pytest.approx(filled + part)
    assert await sample("embed_queued_batches") == 0

    begun, gate = threading.Event(), threading.Event()

    def slow(sequences: Sequence[Sequence[int]]) -> Vectors:
        begun.set()
        assert gate.wait(10)
        return np.zeros((len(sequences), services.runner.embedder.dimension), np.float32)

    services.runner.embedder.encode = slow  # type: ignore[method-assign]
    calls = [asyncio.create_task(services.runner.embed([[1]]))]
    await asyncio.to_thread(begun.wait, 10)
    calls += [asyncio.create_task(services.runner.embed([[1]])) for _ in range(3)]
    while services.runner.queued_batches < 3:  # noqa: ASYNC110 - a count has no event
        await asyncio.sleep(0)
    assert await sample("embed_queued_batches") == 3
    gate.set()
    await asyncio.gather(*calls)


async def test_static_files_are_typed_and_cached_by_etag(client: Client) -> None:
    first = await client.get("/static/app.js")
    assert first.content_type in {"text/javascript", "application/javascript"}
    assert first.headers["Cache-Control"] == "no-cache"
    again = await client.get("/static/app.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304
    assert (await client.get("/static/style.css")).content_type == "text/css"
    assert (await client.get("/static/icon.svg")).content_type == "image/svg+xml"
    assert (await client.get("/static/../__init__.py")).status == 404
