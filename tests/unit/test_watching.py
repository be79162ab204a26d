"""When a watched source is asked for again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.web_parts import parts
from tickertape import runs, sources, watching
from tickertape.record import Outgoing


async def test_an_ingest_that_failed_before_it_read_all_is_asked_for_again_after_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ledger: list[Outgoing] = []

    async def messages(_: runs.Runs) -> AsyncIterator[Any]:
        for offset, each in enumerate(ledger):
            yield SimpleNamespace(key=each.key, value=each.value, offset=offset)

    now = 100.0
    monkeypatch.setattr(runs.Runs, "_messages", messages)
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: now))
    folder = tmp_path / "filings"
    folder.mkdir()
    (folder / "a.txt").write_text("Revenue rose.")
    tree = {"filings": {"kind": "files", "path": str(folder), "watch_seconds": 1}}
    async with parts(tmp_path, sources=tree) as services:
        settings = services.settings
        source = sources.open_source(settings, "filings")
        watch = watching.Watch(source, settings, lambda: services)

        async def asked() -> int:
            for _ in range(3):
                await watch._look()
            topic = settings.topic_data_ingestion
            return sum(each.topic == topic for each in services.publisher.sent)

        async def finish(status: str) -> None:
            assert watch._batch is not None
            await services.batches.put(watch._batch, status)

        assert await asked() == 1
        await finish("failed")
        assert await asked() == 1
        now += watching.AGAIN_SECONDS
        assert await asked() == 2
        await finish("failed")
        assert await asked() == 2
        now += watching.AGAIN_SECONDS
        assert await asked() == 2, "the pause grows"
        now += watching.AGAIN_SECONDS
        assert await asked() == 3
        # The third read all, and a document of it could not be embedded
        run = runs.Run("r", "b", full=True, ended=True, fingerprint=await source.fingerprint())
        ledger += runs.Runs(settings, "filings", "r").begin(run)
        await finish("failed")
        assert await asked() == 3
        now += watching.AGAIN_SECONDS_MAX
        assert await asked() == 3
