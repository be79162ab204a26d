"""Debian's Prometheus for tests: its checker, and the server itself in a folder that goes away."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from testkit.broker import free_port

MISSING = "no promtool and prometheus here: apt install prometheus"
READY_SECONDS = 30.0


def installed() -> bool:
    """Return whether both programs are there."""
    return all(map(shutil.which, ("promtool", "prometheus")))


def promtool(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the checker in a folder."""
    return subprocess.run(
        ["promtool", *words], cwd=folder, capture_output=True, text=True, check=False
    )


@asynccontextmanager
async def server(config: str, files: Sequence[Path]) -> AsyncIterator[httpx.AsyncClient]:
    """Run Prometheus with this configuration, ``files`` beside it; gives a client of its API."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in files:
            shutil.copy(file, folder)
        (folder / "prometheus.yml").write_text(config, "utf-8")
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"]},
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                await _ready(client, process)
                yield client
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def query(client: httpx.AsyncClient, expression: str) -> list[dict[str, Any]]:
    """Return what an expression gives now.

    Raises:
        ValueError: it is none.
    """
    answer = (await client.get("/api/v1/query", params={"query": expression})).json()
    if answer["status"] != "success":
        raise ValueError(f"{expression}: {answer['error']}")
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


async def _ready(client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while process.returncode is None:
            try:
                if (await client.get("/-/ready")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise RuntimeError(f"prometheus ended with {process.returncode}")
