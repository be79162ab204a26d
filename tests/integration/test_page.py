"""The dashboard in a real browser: Debian's chromium, without a driver."""

from __future__ import annotations

import asyncio
import html
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient

from testkit.llm.double import LlmDouble
from tests.web_parts import Parts, flow, parts, served, store_text

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
SECONDS_MAX = 90
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"

# A browser's virtual time does not wait for the next piece of a stream: the page's own questions,
# one every two seconds of it, each take real time, and so many are enough.
LONGER = "--virtual-time-budget=120000"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no chromium here: apt install chromium"),
]


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path / "data") as made:
        await store_text(
            made,
            "acme-q3",
            "Revenue for the third quarter rose nine per cent to 4.2 billion dollars, a record.",
            "The board raised the dividend and named a new chair of its audit committee today.",
            title="Acme, third quarter",
            ticker="ACME",
        )
        await store_text(made, "bolt", "Bolt cut its revenue outlook.", title=HOSTILE)
        await made.batches.put("nightly", total_documents=200, done=120, unchanged=20, retrying=10)
        await made.batches.put(
            "broken", "failed", total_documents=4, done=3, dead=1, error_message=f"1 dead {HOSTILE}"
        )
        made.runtime.shown = [
            flow("embed", rate=41.5),
            flow("summarize", state="held", reason=f"llm: 503, again in 12 s {HOSTILE}", lag=900),
        ]
        yield made


async def browse(client: TestClient[Any, Any], path: str, profile: Path, *flags: str) -> str:
    """Open the page, let its scripts run for some seconds, return the page as it then is."""
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        "--virtual-time-budget=4000",
        *flags,
        "--dump-dom",
        str(client.make_url("/")).rstrip("/") + path,
    ]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        page, _ = await asyncio.wait_for(process.communicate(), SECONDS_MAX)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return page.decode()


def text_of(page: str) -> str:
    """The page's text, as far as it needs no layout."""
    body = page[page.index("<main") :]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


async def test_the_page_shows_flows_batches_and_results(
    client: TestClient[Any, Any], tmp_path: Path
) -> None:
    page = await browse(client, "/?q=" + quote("record revenue quarter"), tmp_path / "profile")
    text = text_of(page)
    # Flows, with the reason of the one that is held
    assert 'data-state="running"' in page
    assert 'data-state="held"' in page
    assert "llm: 503, again in 12 s" in text
    assert re.search(r"per second 42 behind 900", text)
    # A bar for the batch, with its parts
    bar = re.search(r'<div class="progress"[^>]*aria-label="Batch nightly".*?</div>', page)
    assert bar is not None
    assert 'aria-valuenow="120"' in bar[0]
    assert 'aria-valuemax="200"' in bar[0]
    assert 'class="done" style="width: 50%;"' in bar[0]
    assert 'class="unchanged" style="width: 10%;"' in bar[0]
    assert "120 of 200 · 20 unchanged · 10 retrying" in text
    # Results, best first, with the question's words marked
    results = page[page.index('id="results"') : page.index('id="flows"')]
    assert re.findall(r'class="title">([^<]*)', results)[0] == "Acme, third quarter"
    assert "<mark>Revenue</mark>" in results
    assert "ticker: ACME" in results
    assert re.search(r"passages? in [\d.]+ ms", text)


async def test_an_answer_is_streamed_with_sources_to_open(
    client: TestClient[Any, Any], tmp_path: Path
) -> None:
    path = "/?ask=1&q=" + quote("revenue of the third quarter")
    page = await browse(client, path, tmp_path / "profile", LONGER)
    answer = page[page.index('id="answer"') : page.index('id="results"')]
    said = text_of(f"<main{answer}")
    assert "Revenue for the third quarter rose nine per cent to 4.2 billion dollars" in said
    assert "<details><summary><b>[1] </b>Acme, third quarter" in answer
    assert re.search(r"extractive · [\d.]+ s", said)
    assert "aria-busy" not in answer[: answer.index(">")]
    nothing = await browse(
        client, "/?ask=1&q=" + quote("pancakes with syrup"), tmp_path / "other", LONGER
    )
    assert "The documents do not say." in text_of(nothing)


async def test_a_sentence_that_is_not_supported_is_marked_on_the_page(tmp_path: Path) -> None:
    async with (
        LlmDouble(answer=f"Revenue was 9.9 billion dollars [1]. {HOSTILE} [7]") as double,
        parts(tmp_path / "data", llm_url=double.url, llm_model=double.model) as made,
        served(made) as client,
    ):
        await store_text(made, "acme", "Revenue of the quarter was 4.2 billion dollars.")
        path = "/?ask=1&q=" + quote("revenue of the quarter")
        page = await browse(client, path, tmp_path / "profile", LONGER)
    assert re.search(r'<mark class="doubt" title="Not in its sources: 9.9 billion dollars">', page)
    assert "No such source: [7]" in text_of(page)
    assert "<img src=x" not in page
    assert "2 not supported" in text_of(page)


async def test_what_documents_say_stays_text(
    client: TestClient[Any, Any], services: Parts, tmp_path: Path
) -> None:
    services.runtime.missing = {"store": HOSTILE}
    page = await browse(client, "/?q=revenue&filter.x=" + quote(HOSTILE), tmp_path / "profile")
    assert "<title>Tickertape</title>" in page
    assert "<img src=x" not in page
    assert "<img src=&quot;x" not in page
    assert page.count("&lt;img src=x") >= 3


async def test_what_is_not_ready_is_said(
    client: TestClient[Any, Any], services: Parts, tmp_path: Path
) -> None:
    services.runtime.missing = {"store:sqlite": "the disk is full"}
    text = text_of(await browse(client, "/", tmp_path / "profile"))
    assert "Not ready store:sqlite the disk is full" in text


async def test_the_documentation_shows_every_operation(
    client: TestClient[Any, Any], tmp_path: Path
) -> None:
    described = await (await client.get("/openapi.json")).json()
    page = await browse(client, "/docs", tmp_path / "profile")
    for methods in described["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
