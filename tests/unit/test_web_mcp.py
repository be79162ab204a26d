"""The Model Context Protocol, asked by hand: both eras, faults, what a tool refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.web_parts import Client, Parts, parts, store_text
from web import search as search_page

REVENUE = "Acme's revenue rose nine per cent to $4.2 billion."
NEW = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": NEW,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path) as made:
        await store_text(made, "acme", REVENUE, title="Acme, Q3", ticker="ACME")
        await made.batches.put("nightly", total_documents=3, done=1)
        yield made


async def rpc(
    client: Client, method: str, params: dict[str, Any] | None = None, **headers: str
) -> tuple[int, Any]:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}}
    answer = await client.post("/mcp", json=body, headers=headers)
    return answer.status, await answer.json(content_type=None)


async def call(client: Client, name: str, **arguments: Any) -> Any:
    status, body = await rpc(client, "tools/call", {"name": name, "arguments": arguments})
    assert status == 200, body
    return body["result"]


async def test_each_tool_gives_what_its_route_does(client: Client) -> None:
    tools = (await rpc(client, "tools/list"))[1]["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["search", "fetch", "ask", "batch_status"]
    assert all(tool["inputSchema"]["additionalProperties"] is False for tool in tools)
    found = await call(client, "search", query="revenue of Acme", filters={"ticker": "ACME"})
    assert found["structuredContent"]["results"][0]["id"] == "acme"
    whole = (await call(client, "fetch", id="acme"))["structuredContent"]
    assert (whole["text"], whole["title"], whole["cut"]) == (REVENUE, "Acme, Q3", False)
    answer = (await call(client, "ask", question="What was Acme's revenue?"))["structuredContent"]
    assert answer["answer"] == f"{REVENUE} [1]"
    batch = (await call(client, "batch_status", batch_id="nightly"))["structuredContent"]
    assert batch["batch"]["done"] == 1


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("search", {}, "query: field required"),
        ("ask", {"question": "x" * 100_000}, "question: "),
        ("ask", {"question": "x", "tone": "kind"}, "tone: unknown"),
        ("fetch", {"id": "nowhere"}, "no document"),
        ("batch_status", {"batch_id": "nowhere"}, "no batch"),
    ],
)
async def test_what_a_tool_refuses_is_told_to_the_model(
    client: Client, name: str, arguments: dict[str, Any], said: str
) -> None:
    found = await call(client, name, **arguments)
    assert found["isError"] is True
    assert said in found["content"][0]["text"]


async def test_a_stateless_result_says_whose_it_is_and_how_long_it_holds(client: Client) -> None:
    headers = {"MCP-Protocol-Version": NEW, "Mcp-Method": "server/discover"}
    _, body = await rpc(client, "server/discover", {"_meta": META}, **headers)
    result = body["result"]
    assert (result["supportedVersions"], result["resultType"]) == ([NEW], "complete")
    assert (result["ttlMs"] > 0, result["cacheScope"]) == (True, "private")
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "tickertape"


async def test_a_handshake_is_answered_in_a_version_of_ours(client: Client) -> None:
    for asked, given in (("2025-03-26", "2025-03-26"), ("1999-01-01", "2025-11-25")):
        status, body = await rpc(client, "initialize", {"protocolVersion": asked})
        assert (status, body["id"]) == (200, 7)
        assert body["result"]["protocolVersion"] == given
        assert body["result"]["serverInfo"]["name"] == "tickertape"
    assert (await rpc(client, "ping"))[1]["result"] == {}
    done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = await client.post("/mcp", json=done)
    assert (answer.status, await answer.read()) == (202, b"")


@pytest.mark.parametrize(
    ("method", "params", "headers", "status", "code"),
    [
        ("tools/list", {}, {"MCP-Protocol-Version": "1999-01-01"}, 400, -32022),
        ("nonsense", {}, {}, 200, -32601),
        ("tools/call", {"name": "rm"}, {}, 200, -32602),
        ("tools/list", {"_meta": META}, {}, 400, -32020),
        (
            "tools/list",
            {"_meta": META},
            {"MCP-Protocol-Version": NEW, "Mcp-Method": "tools/call"},
            400,
            -32020,
        ),
        (
            "tools/call",
            {"_meta": META, "name": "ask"},
            {"MCP-Protocol-Version": NEW, "Mcp-Method": "tools/call", "Mcp-Name": "search"},
            400,
            -32020,
        ),
        ("tools/list", {}, {"MCP-Protocol-Version": NEW, "Mcp-Method": "tools/list"}, 400, -32602),
        (
            "nonsense",
            {"_meta": META},
            {"MCP-Protocol-Version": NEW, "Mcp-Method": "nonsense"},
            404,
            -32601,
        ),
        ("server/discover", {}, {}, 400, -32602),
    ],
)
async def test_faults_of_the_protocol(
    client: Client,
    method: str,
    params: dict[str, Any],
    headers: dict[str, str],
    status: int,
    code: int,
) -> None:
    found, body = await rpc(client, method, params, **headers)
    assert (found, body["error"]["code"]) == (status, code)
    if code == -32022:
        assert NEW in body["error"]["data"]["supported"]


async def test_other_methods_bodies_and_pages_are_refused(client: Client) -> None:
    for method in ("GET", "DELETE"):
        assert (await client.request(method, "/mcp")).status == 405
    assert (await client.post("/mcp", json=[{"jsonrpc": "2.0"}])).status == 422
    assert (await client.post("/mcp", json={"jsonrpc": "1.0", "id": 1})).status == 422
    elsewhere = {"Origin": "https://evil.example"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert (await client.post("/mcp", json=body, headers=elsewhere)).status == 403


async def test_searches_of_assistants_count_as_searches(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_page.gate, "_limit", 0)
    result = await call(client, "search", query="revenue")
    assert result["isError"]
    assert "searches in work" in result["content"][0]["text"]
