"""What /openapi.json says and what the routes do agree, as schemathesis finds them.

Requests are made of the description: some that fit it, which must be taken, and some that do not,
which must be refused, each with an answer as described and none with a 5xx. The same ones each
time (a fixed seed).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.web_parts import Parts, parts, store_text
from web import register
from web.server import Runner

CONFIG = Path(__file__).with_name("schemathesis.toml")
ROOT = Path(__file__).parents[2]
EXAMPLES = 20  # made up for each operation, beside those that cover the description
SOURCES = {"notes": {"kind": "files", "path": "notes"}}


@pytest.fixture
async def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    async with parts(tmp_path, sources=SOURCES) as made:
        await store_text(made, "d", "Revenue rose nine per cent.", ticker="ACME")
        await made.batches.put("b", "completed", total_documents=1, done=1)
        made.letters.put("text-messages", "d", b'{"id": "d", "text": 5}', "b")
        # A batch that is declared is finished, so that no stream of its progress stays open.
        put = made.batches.put

        async def finished(batch_id: str, status: str = "completed", **fields: Any) -> None:
            await put(batch_id, "completed", **fields)

        monkeypatch.setattr(made.batches, "put", finished)
        yield made


@pytest.fixture
async def address(services: Parts) -> AsyncIterator[str]:
    web_app = web.Application()
    register(web_app, lambda: services)
    runner = Runner(web_app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def test_description_and_routes_agree(address: str, tmp_path: Path) -> None:
    program = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(CONFIG)),
        *("run", f"{address}/openapi.json", "--max-examples", str(EXAMPLES)),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await program.communicate()
    assert program.returncode == 0, said.decode()
