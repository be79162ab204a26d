"""/openapi.json describes every route, and every reply is what it says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.web_parts import Client, Parts, flow, parts, store_text
from tickertape.errors import BrokerError
from web import ROUTES
from web.openapi import operation_id

DEAD = {"topic": "text-messages-dlq", "partition": "0", "offset": "0"}

SIGNED = {"Authorization": "Bearer a secret of ours"}
COMPLETION = {"model": "tickertape", "messages": [{"role": "user", "content": "revenue nine"}]}
LISTED = {"jsonrpc": "2.0", "method": "tools/list"}
# (method, path template, how it is asked, status)
EXCHANGES: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", "/", {}, 200),
    ("GET", "/livez", {}, 200),
    ("GET", "/readyz", {}, 200),
    ("GET", "/readyz", {"unready": {"kafka": "no broker"}}, 503),
    ("GET", "/health", {}, 200),
    ("GET", "/stats", {}, 200),
    ("GET", "/config", {}, 200),
    ("POST", "/start", {}, 200),
    ("POST", "/stop", {}, 200),
    ("GET", "/metrics", {}, 200),
    ("GET", "/docs", {}, 200),
    ("GET", "/openapi.json", {}, 200),
    ("POST", "/documents", {"json": {"text": "Revenue rose."}}, 202),
    ("POST", "/documents", {"json": {"text": ""}}, 422),
    ("POST", "/documents", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/documents", {"data": {"text": "form"}}, 415),
    ("POST", "/documents", {"json": {"text": "x", "batch_id": "b"}}, 409),
    ("POST", "/documents", {"json": {"text": "x" * 5000}}, 413),
    ("GET", "/documents/{id}", {"id": "d"}, 200),
    ("GET", "/documents/{id}", {"id": "nope"}, 404),
    ("DELETE", "/documents/{id}", {"id": "d"}, 202),
    ("DELETE", "/documents/{id}", {"id": "nope"}, 404),
    ("POST", "/hooks/{source}", {"source": "hook", "json": {"text": "x"}, "headers": SIGNED}, 202),
    ("POST", "/hooks/{source}", {"source": "hook", "json": {"text": "x"}}, 401),
    ("POST", "/hooks/{source}", {"source": "notes", "json": {"text": "x"}}, 404),
    ("POST", "/hooks/{source}", {"source": "hook", "json": {}, "headers": SIGNED}, 422),
    ("POST", "/ingest-data", {"json": {"source_id": "notes"}, "params": {"wait": "0"}}, 202),
    ("POST", "/ingest-data", {"json": {"source_id": "nope"}}, 422),
    ("POST", "/ingest-data-async", {"json": {"source_id": "notes"}}, 202),
    ("POST", "/ingest-data-async", {"json": {"source_id": "notes", "batch_id": "b"}}, 409),
    ("GET", "/ingest-status/{batch_id}", {"batch_id": "b"}, 200),
    ("GET", "/ingest-status/{batch_id}", {"batch_id": "nope"}, 404),
    ("GET", "/recent-batches", {}, 200),
    ("GET", "/recent-batches", {"params": {"limit": "0"}}, 422),
    ("GET", "/search", {"params": {"q": "revenue"}}, 200),
    ("GET", "/search", {}, 422),
    ("POST", "/search", {"json": {"query": "revenue", "filters": {"ticker": "ACME"}}}, 200),
    ("POST", "/search", {"json": {"k": 3}}, 422),
    ("POST", "/v1/ask", {"json": {"question": "revenue nine per cent"}}, 200),
    ("POST", "/v1/ask", {"json": {"question": "pancakes"}}, 200),
    ("POST", "/v1/ask", {"json": {"question": ""}}, 422),
    ("POST", "/chat", {"json": {"user_name": "a", "question": "revenue nine"}}, 200),
    ("POST", "/chat", {"json": {"user": "a", "message": ""}}, 422),
    ("POST", "/chat/stream", {"json": {"user_name": "a", "question": "revenue"}}, 200),
    ("GET", "/chat/history/{user_name}", {"user_name": "a"}, 200),
    ("PUT", "/chat/history/{user_name}", {"user_name": "a", "json": {"items": []}}, 200),
    ("PUT", "/chat/history/{user_name}", {"user_name": "a", "json": {}}, 422),
    ("DELETE", "/chat/history/{user_name}", {"user_name": "a"}, 200),
    ("POST", "/v1/embeddings", {"json": {"model": "words", "input": "x"}}, 200),
    (
        "POST",
        "/v1/embeddings",
        {"json": {"model": "words", "input": ["x"], "encoding_format": "base64"}},
        200,
    ),
    ("POST", "/v1/embeddings", {"json": {"model": "words", "input": [1, 2]}}, 400),
    ("POST", "/v1/embeddings", {"json": {"model": "other", "input": "x"}}, 404),
    ("POST", "/v1/embeddings", {"json": {"model": "words", "input": "x", "n": 1}}, 422),
    ("POST", "/v1/chat/completions", {"json": COMPLETION}, 200),
    ("POST", "/v1/chat/completions", {"json": {**COMPLETION, "stream": True}}, 200),
    ("POST", "/v1/chat/completions", {"json": {**COMPLETION, "model": "other"}}, 404),
    ("POST", "/v1/chat/completions", {"json": {**COMPLETION, "n": 2}}, 422),
    ("POST", "/mcp", {"json": {**LISTED, "id": 1}}, 200),
    ("POST", "/mcp", {"json": {**LISTED, "id": 1, "method": "server/discover"}}, 400),
    ("POST", "/mcp", {"json": {**LISTED, "id": None}}, 202),
    ("POST", "/mcp", {"json": {"jsonrpc": "1.0"}}, 422),
    ("GET", "/v1/models", {}, 200),
    ("GET", "/v1/models/{id}", {"id": "words"}, 200),
    ("GET", "/v1/models/{id}", {"id": "other"}, 404),
    ("GET", "/dlq", {}, 200),
    ("GET", "/dlq", {"params": {"topic": "elsewhere"}}, 422),
    ("GET", "/dlq", {"down": "no Kafka broker answers"}, 503),
    ("GET", "/dlq/{topic}/{partition}/{offset}", DEAD, 200),
    ("GET", "/dlq/{topic}/{partition}/{offset}", {**DEAD, "offset": "99"}, 404),
    ("GET", "/dlq/{topic}/{partition}/{offset}", {**DEAD, "offset": "x"}, 422),
    ("POST", "/dlq/replay", {"json": {"batch": "b"}}, 200),
    ("POST", "/dlq/replay", {"json": {"ids": ["text-messages-dlq/0/99"]}}, 422),
    ("POST", "/dlq/replay", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/dlq/replay", {"data": {"batch": "form"}}, 415),
    ("POST", "/dlq/replay", {"json": {"key": "x" * 5000}}, 413),
    ("POST", "/dlq/replay", {"json": {"all": True}, "down": "no Kafka broker answers"}, 503),
]
SOURCES = {
    "notes": {"kind": "files", "path": "notes"},
    "hook": {"kind": "webhook", "secret": "a secret of ours", "signature": "token"},
}


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path, web_body_bytes_max=4000, sources=SOURCES) as made:
        await store_text(made, "d", "Revenue rose nine per cent.", ticker="ACME")
        await made.batches.put("b", total_documents=3, done=1)
        made.letters.put("text-messages", "d", b'{"id": "d", "text": 5}', "b")
        made.runtime.shown = [flow("embed"), flow("summarize", lag=None, state="held", reason="x")]
        yield made


@pytest.fixture
async def description(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = await (await client.get("/openapi.json")).json()
    return found


def test_every_route_is_asked_here() -> None:
    asked = {(method, path) for method, path, *_ in EXCHANGES}
    served_routes = {(route.method, route.path) for route in ROUTES} | {("GET", "/openapi.json")}
    assert asked == served_routes


async def test_every_route_is_described(client: Client, description: dict[str, Any]) -> None:
    server_app = client.app
    assert server_app is not None
    served_routes = {
        (route.method, route.resource.canonical)
        for route in server_app.router.routes()
        if route.resource and route.method != "HEAD" and "/static" not in route.resource.canonical
    }
    described = {
        (method.upper(), path)
        for path, methods in description["paths"].items()
        for method in methods
    }
    assert described == served_routes
    assert description["openapi"] == "3.1.0"


def test_operations_have_names_of_their_own() -> None:
    names = [operation_id(route) for route in ROUTES]
    assert len(names) == len(set(names))


async def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    for reference in re.findall(r"#/components/schemas/([\w-]+)", str(description)):
        assert reference in schemas


async def test_path_parameters_are_described(description: dict[str, Any]) -> None:
    for path, methods in description["paths"].items():
        for operation in methods.values():
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    EXCHANGES,
    ids=[f"{m} {p} {s}" for m, p, _, s in EXCHANGES],
)
async def test_a_reply_is_what_is_described(
    client: Client,
    services: Parts,
    description: dict[str, Any],
    method: str,
    path: str,
    how: dict[str, Any],
    status: int,
) -> None:
    how = dict(how)
    services.runtime.missing = how.pop("unready", {})
    services.letters.down = BrokerError(how.pop("down")) if "down" in how else None
    ask = re.sub(r"\{(\w+)\}", lambda name: how.pop(name[1]), path)
    answer = await client.request(method, ask, **how)
    assert answer.status == status, await answer.text()
    described = description["paths"][path][method.lower()]["responses"][str(status)]["content"]
    assert answer.content_type in described
    if not answer.content_type.endswith("json"):
        return
    schema = described[answer.content_type]["schema"]
    whole = {**schema, "components": description["components"]}
    Draft202012Validator(whole).validate(await answer.json(content_type=None))


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"text": "x"}, True),
        ({"id": 7, "text": "x", "published": 1.5, "mood": "calm"}, True),
        ([{"text": "x"}], True),
        ({"documents": [{"text": "x"}], "batch_id": "b"}, True),
        ({"text": " "}, False),
        ({"id": "a"}, False),
        ([{"text": 5}], False),
        ({"documents": []}, False),
        ("text", False),
    ],
)
async def test_what_is_described_as_a_body_is_what_is_taken(
    client: Client, description: dict[str, Any], body: Any, fits: bool
) -> None:
    content = description["paths"]["/documents"]["post"]["requestBody"]["content"]
    schema = {
        **content["application/json"]["schema"],
        "components": description["components"],
    }
    assert Draft202012Validator(schema).is_valid(body) is fits
    answer = await client.post("/documents?batch_id=fresh", json=body)
    assert (answer.status in {202, 409}) is fits
    assert answer.status == (202 if fits else 422)


async def test_head_is_answered_as_get_without_a_body(client: Client) -> None:
    for path in ("/livez", "/stats", "/docs"):
        answer = await client.head(path)
        assert answer.status == 200
        assert await answer.read() == b""


@pytest.mark.parametrize("path", ["/static/app.js", "/static/style.css", "/docs"])
async def test_pages_ask_nobody_else(client: Client, path: str) -> None:
    text = await (await client.get(path)).text()
    assert not re.search(r"(?:src|href|import|url)\W{1,3}https?://", text)
