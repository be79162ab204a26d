"""Server-sent events, and clients that take none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from web import sse


async def test_a_client_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "WRITE_SECONDS", 0.1)
    ended = asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        try:
            while True:
                yield sse.event("content", b"1" * 2**20)
        finally:
            ended.set()

    async def handler(request: web.Request) -> web.StreamResponse:
        return await sse.stream(request, events())

    app = web.Application()
    app[sse.CLOSING] = asyncio.Event()
    app.router.add_get("/", handler)
    async with TestServer(app) as server:
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(10):
            await ended.wait()
        writer.close()
