"""Where a batch stands, once and live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from tests.web_parts import Client, Parts, served
from web import sse
from web.routes import Handler


async def test_a_batch_has_all_fields(client: Client, services: Parts) -> None:
    await services.batches.put("b1", total_documents=10, done=4, unchanged=1, retrying=2, dead=1)
    answer = await client.get("/ingest-status/b1")
    body = await answer.json()
    assert body["status"] == "processing"
    assert (body["done"], body["unchanged"], body["retrying"], body["dead"]) == (4, 1, 2, 1)
    assert (body["total_documents"], body["processed_documents"]) == (10, 5)
    assert body["error_message"] is None
    assert answer.headers["Retry-After"] == "1"
    await services.batches.put("b1", "failed", done=9, dead=1, retrying=0)
    assert "Retry-After" not in (await client.get("/ingest-status/b1")).headers


async def test_an_unknown_batch_is_404_once_the_topic_is_read(
    client: Client, services: Parts
) -> None:
    assert (await client.get("/ingest-status/nope")).status == 404
    services.batches.caught_up = False
    answer = await client.get("/ingest-status/nope")
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"


async def test_an_id_with_a_slash_is_found(client: Client, services: Parts) -> None:
    await services.batches.put("a/b c", total_documents=1)
    answer = await client.get("/ingest-status/a%2Fb%20c")
    assert (await answer.json())["batch_id"] == "a/b c"


async def test_recent_is_newest_first_and_limited(client: Client, services: Parts) -> None:
    for id in ("one", "two", "three"):
        await services.batches.put(id, total_documents=1)
    body = await (await client.get("/recent-batches?limit=2")).json()
    assert [b["batch_id"] for b in body["batches"]] == ["three", "two"]
    for limit in ("0", "501", "many"):
        answer = await client.get(f"/recent-batches?limit={limit}")
        assert answer.status == 422
        assert (await answer.json(content_type=None))["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/ingest-status/b?watch=1", {}),
        ("/ingest-status/b", {"Accept": "text/event-stream"}),
    ],
)
async def test_a_stream_tells_every_change_and_ends(
    client: Client, services: Parts, path: str, headers: dict[str, str]
) -> None:
    await services.batches.put("b", total_documents=2)
    answer = await client.get(path, headers=headers)
    assert answer.content_type == "text/event-stream"
    assert await next_event(answer) == ("progress", 0)
    await services.batches.put("b", total_documents=2, done=1)
    assert await next_event(answer) == ("progress", 1)
    await services.batches.put("b", "completed", total_documents=2, done=2)
    assert await next_event(answer) == ("progress", 2)
    assert await next_event(answer) == ("done", 2)
    assert await answer.content.read() == b""


async def test_a_stream_ends_when_the_server_shuts_down(services: Parts) -> None:
    await services.batches.put("b", total_documents=2)
    async with served(services) as client:
        answer = await client.get("/ingest-status/b?watch=1")
        await next_event(answer)
        server = client.server
        assert isinstance(server, TestServer)
        assert server.runner is not None
        await asyncio.wait_for(server.runner.cleanup(), 5)
        assert await answer.content.read() == b""


async def test_a_silent_stream_has_a_heartbeat(services: Parts) -> None:
    ended = asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        try:
            yield sse.event("progress", b"{}")
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def quiet(request: web.Request) -> web.StreamResponse:
        return await sse.stream(request, events(), heartbeat_seconds=0.01)

    async with raw(quiet) as client:
        answer = await client.get("/")
        await next_event(answer)
        assert await answer.content.readline() == b": keep-alive\n"
        answer.close()
        # The heartbeat finds that the client left, and the source is closed.
        await asyncio.wait_for(ended.wait(), 10)


def raw(handler: Handler) -> TestClient[web.Request, web.Application]:
    web_app = web.Application()
    web_app[sse.CLOSING] = asyncio.Event()
    web_app.router.add_get("/", handler)
    return TestClient(TestServer(web_app))


async def next_event(answer: ClientResponse) -> tuple[str, int | None]:
    """The next event's name and its count of done documents."""
    name = ""
    while line := (await answer.content.readline()).decode().strip("\n"):
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            data = orjson.loads(line[6:])
            await answer.content.readline()
            return name, data.get("done")
        elif line.startswith("retry: "):
            await answer.content.readline()
    raise AssertionError("the stream ended")
