"""The Model Context Protocol as its official client asks, in each mode: `pip install mcp`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.web_parts import Client, Parts, parts, store_text

REVENUE = "Acme's revenue rose nine per cent to $4.2 billion."
NEW = "2026-07-28"
McpClient = pytest.importorskip("mcp").Client


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path) as made:
        await store_text(made, "acme", REVENUE, title="Acme, Q3", ticker="ACME")
        await made.batches.put("nightly", total_documents=3, done=1)
        yield made


@pytest.mark.parametrize("mode", ["auto", "legacy", NEW])
async def test_the_official_client_lists_and_calls_each_tool(client: Client, mode: Any) -> None:
    async with McpClient(str(client.make_url("/mcp")), mode=mode) as mcp:
        tools = (await mcp.list_tools()).tools
        assert [tool.name for tool in tools] == ["search", "fetch", "ask", "batch_status"]

        async def call(name: str, **arguments: Any) -> Any:
            found = await mcp.call_tool(name, arguments)
            assert not found.is_error, found
            assert orjson.loads(found.content[0].text) == found.structured_content
            return found.structured_content

        found = await call("search", query="revenue of Acme", filters={"ticker": "ACME"})
        assert found["results"][0]["id"] == "acme"
        whole = await call("fetch", id="acme")
        assert (whole["text"], whole["title"]) == (REVENUE, "Acme, Q3")
        answer = await call("ask", question="What was Acme's revenue?")
        assert answer["answer"] == f"{REVENUE} [1]"
        assert answer["sentences"][0]["supported"] is True
        assert (await call("batch_status", batch_id="nightly"))["batch"]["done"] == 1


@pytest.mark.parametrize("mode", ["legacy", NEW])
async def test_what_a_tool_refuses_is_told_to_the_model(client: Client, mode: Any) -> None:
    async with McpClient(str(client.make_url("/mcp")), mode=mode) as mcp:
        for name, arguments, said in (
            ("search", {}, "query: field required"),
            ("ask", {"question": "x" * 100_000}, "question: "),
            ("ask", {"question": "x", "tone": "kind"}, "tone: unknown"),
            ("fetch", {"id": "nowhere"}, "no document"),
            ("batch_status", {"batch_id": "nowhere"}, "no batch"),
        ):
            found = await mcp.call_tool(name, arguments)
            assert found.is_error
            assert said in found.content[0].text  # type: ignore[union-attr]
