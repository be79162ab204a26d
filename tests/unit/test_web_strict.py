"""What a route does not take is refused and named, and what no route sees is a problem too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from aiohttp import web
from yarl import URL

from tests.web_parts import Client, Parts, store_text
from web import ROUTES, register
from web.routes import Route
from web.server import FIELD_BYTES_MAX, LINE_BYTES_MAX, Runner

FITS: dict[str, Any] = {
    "/documents": {"documents": [{"text": "x"}]},
    "/search": {"query": "x"},
    "/dlq/replay": {"all": True},
    "/chat": {"user_name": "a", "question": "x"},
    "/chat/stream": {"user_name": "a", "question": "x"},
    "/mcp": {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    "/v1/ask": {"question": "x"},
    "/v1/chat/completions": {
        "model": "tickertape",
        "messages": [{"role": "user", "content": "x"}],
    },
    "/v1/embeddings": {"model": "words", "input": "x"},
    "/ingest-data": {"source_id": "notes"},
}


def path_of(route: Route) -> str:
    letter = {"topic": "text-messages-dlq", "partition": 0, "offset": 0}
    return route.path.format(id="d", batch_id="b", source="hook", user_name="a", **letter)


async def named(answer: Any) -> list[str]:
    assert answer.status == 422, await answer.text()
    body = await answer.json(content_type=None)
    if "error" in body:  # as OpenAI's clients know them
        return [body["error"]["param"]]
    return [error["field"] for error in body["errors"]]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_unknown_parameters_are_named_on_every_route(
    client: Client, services: Parts, route: Route
) -> None:
    needed = {"q": "x"} if (route.method, route.path) == ("GET", "/search") else {}
    body = {"json": FITS[route.path]} if route.method == "POST" and route.path in FITS else {}
    answer = await client.request(
        route.method, path_of(route), params={**needed, "tickr": "ACME"}, **body
    )
    assert await named(answer) == ["tickr"]
    assert services.publisher.sent == []
    assert services.runtime.paused is False


@pytest.mark.parametrize(
    "route",
    # What is posted to a hook is its sender's
    [r for r in ROUTES if r.method in {"POST", "DELETE"} and not r.path.startswith("/hooks/")],
    ids=lambda route: f"{route.method} {route.path}",
)
async def test_unknown_fields_are_named_on_every_route(
    client: Client, services: Parts, route: Route
) -> None:
    body = {**FITS.get(route.path, {}), "tickr": "ACME"}
    answer = await client.request(route.method, path_of(route), json=body)
    assert await named(answer) == ["tickr"]
    assert services.publisher.sent == []
    assert services.runtime.paused is False


async def test_what_a_documents_own_fields_are_stays_metadata(
    client: Client, services: Parts
) -> None:
    answer = await client.post("/documents", json={"text": "x", "mood": "calm"})
    assert answer.status == 202
    sent = services.publisher.sent[-1]
    assert orjson.loads(sent.value or b"")["mood"] == "calm"


async def test_each_wrong_field_is_named_to_openais_clients_too(client: Client) -> None:
    answer = await client.post("/v1/embeddings", json={"inputs": "x"})
    assert answer.status == 422
    message = (await answer.json())["error"]["message"]
    assert message == "model: field required (and input, inputs)"


@pytest.mark.parametrize("path", ["/search", "/v1/embeddings"])
async def test_a_body_that_is_no_object_is_told_so_without_a_name_of_ours(
    client: Client, path: str
) -> None:
    answer = await client.post(path, json=[1])
    assert answer.status == 422
    assert "body: expected an object" in await answer.text()
    assert "instance of" not in await answer.text()


async def test_an_unknown_parameter_of_a_search_is_told_how_to_filter(client: Client) -> None:
    answer = await client.get("/search", params={"q": "outlook", "ticker": "ACME"})
    assert await named(answer) == ["ticker"]
    assert "filter.ticker=<value>" in (await answer.json(content_type=None))["detail"]


async def test_a_page_takes_what_a_browser_puts_into_its_address(client: Client) -> None:
    html = {"Accept": "text/html"}
    assert (await client.get("/", params={"q": "outlook"}, headers=html)).status == 200
    assert (await client.get("/docs", params={"utm": "x"}, headers=html)).status == 200


@pytest.mark.parametrize("path", ["/start", "/stop"])
async def test_an_empty_body_is_none(client: Client, path: str) -> None:
    assert (await client.post(path)).status == 200
    assert (await client.post(path, json={})).status == 200
    assert (await client.post(path, data=b"no json")).status == 400


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/dlq/replay", {"all": True, "dry_run": 0}, "dry_run"),
        ("/dlq/replay", {"all": True, "dry_run": "no"}, "dry_run"),
        ("/dlq/replay", {"all": "yes"}, "all"),
        ("/dlq/replay", {"all": True, "limit": "5"}, "limit"),
        ("/search", {"query": "x", "k": "5"}, "k"),
        ("/search", {"q": "x", "n_results": 0}, "n_results"),
        ("/search", {"q": 5}, "q"),
        ("/search", {"q": "\x15\u200b\x1e"}, "q"),
        ("/search", {"q": "x" * 10_001}, "q"),
        ("/documents", {"text": "\x15\u200b"}, "documents[0].text"),
        ("/search", {"q": "x", "per_document": 1}, "per_document"),
        ("/search", {"q": "x", "filters": {"a": {"b": 1}}}, "filters"),
        ("/search", {"q": "x", "filters": {"a": [[1]]}}, "filters"),
        ("/search", {"q": "x", "k": 5, "n_results": 5}, "body"),
        ("/search", {"q": "x", "query": "x"}, "body"),
        ("/documents", {"documents": [{"text": "x"}], "total_documents": "1"}, "total_documents"),
    ],
)
async def test_a_body_has_types(
    client: Client, services: Parts, path: str, body: dict[str, Any], field: str
) -> None:
    assert await named(await client.post(path, json=body)) == [field]
    assert services.publisher.sent == []


async def test_both_names_of_a_parameter_are_looked_at(client: Client) -> None:
    answer = await client.get("/search", params={"q": "x", "k": "5", "n_results": "many"})
    assert answer.status == 422
    answer = await client.get("/ingest-status/b", params={"watch": "yes"})
    assert await named(answer) == ["watch"]


@pytest.mark.parametrize(
    "id", ["new\nline", "a\r\nb", "..\n", "a/../b", ".", "\u2028", "%41", "a?b"]
)
async def test_any_id_that_is_stored_can_be_looked_at_and_deleted(
    client: Client, services: Parts, id: str
) -> None:
    await store_text(services, id, "Odd id.")
    url = URL(f"{client.make_url('/documents/')}{quote(id, safe='')}", encoded=True)
    answer = await client.session.get(url)
    assert answer.status == 200
    assert (await answer.json())["id"] == id
    answer = await client.session.delete(url)
    assert answer.status == 202
    assert services.publisher.sent[-1].key == id.encode()


# -- What is refused before there is a request


@pytest.fixture
async def port(services: Parts) -> AsyncIterator[int]:
    web_app = web.Application()
    register(web_app, lambda: services)
    runner = Runner(web_app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def raw(port: int, request: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), headers, orjson.loads(body)


def get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("character", ["a", "\u00e9", "\U0001f4c8"])
async def test_a_query_of_the_longest_kind_is_answered(port: int, character: str) -> None:
    status, _, body = await raw(port, get(f"/search?q={quote(character * 10_000)}"))
    assert status == 200
    assert body["query"] == character * 10_000


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(f"/search?q={'a' * (LINE_BYTES_MAX + 1)}"), 414),
        (get("/livez", f"X-Long: {'a' * (FIELD_BYTES_MAX + 1)}"), 431),
        (b"GET /livez HTTP/9.9.9\r\n\r\n", 400),
        (b"\x16\x03\x01 this is TLS\r\n\r\n", 400),
        (get("/livez", "Content-Length: many"), 400),
    ],
)
async def test_what_is_no_request_is_a_problem_and_no_traceback(
    port: int, request_: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    found, headers, body = await raw(port, request_)
    assert found == status
    assert headers["content-type"].startswith("application/problem+json")
    assert headers["x-content-type-options"] == "nosniff"
    assert body["status"] == status
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_packed_as_it_says_is_a_problem_and_no_traceback(
    port: int, services: Parts, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for path in ("/documents", "/search", "/v1/embeddings"):
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        body = f"Content-Encoding: {encoding}\r\nContent-Length: 13\r\n\r\n" + '{"text":"hi"}'
        status, _, answer = await raw(port, (head + body).encode())
        assert status == 400
        assert encoding in str(answer)
    assert services.publisher.sent == []
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


async def test_a_body_that_curl_calls_a_form_is_read_as_json(client: Client) -> None:
    """``curl -d '{"query": "x"}' .../search``, without a header."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("/search", data=b' {"query": "x"}', headers=form)
    assert answer.status == 200
    answer = await client.post("/documents", data=b'[{"text": "x"}]', headers=form)
    assert answer.status == 202
    assert (await client.post("/search", data=b"query=x", headers=form)).status == 415
    assert (await client.post("/search", data=b'{"query": ', headers=form)).status == 400
    evil = {**form, "Origin": "https://evil.example"}
    assert (await client.post("/documents", data=b'{"text": "x"}', headers=evil)).status == 403


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.query is not None],
    ids=lambda route: f"{route.method} {route.path}",
)
async def test_a_repeated_parameter_is_named_on_every_route(
    client: Client, services: Parts, route: Route
) -> None:
    assert route.query is not None
    for name in route.query.model_fields:
        body = {"json": FITS[route.path]} if route.method == "POST" else {}
        answer = await client.request(
            route.method, path_of(route), params=[(name, "1"), (name, "2")], **body
        )
        assert await named(answer) == [name]
        assert "expected once, got 2 times" in await answer.text()
    assert services.publisher.sent == []


async def test_a_filter_may_be_repeated_for_one_of_several_values(client: Client) -> None:
    answer = await client.get("/search?q=x&filter.year=2024&filter.year=2025")
    assert answer.status == 200
