"""Sources that are watched: what changes in one is ingested, without anybody asking for it.

One worker looks, the one that has the first partition of data-ingestion; any may do the ingest. A
look is cheap (`Source.fingerprint`), and what it finds new stands still for one more look before it
is asked for: a file that is being written is not read by halves.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable

import structlog

from tickertape import sources
from tickertape.batches import FINISHED
from tickertape.errors import TickertapeError
from tickertape.runs import Runs
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.sources.base import Source
from tickertape.sources.requests import records

FIRST = 0  # whose partition it is, watches
BUSY_SHARE = 20  # so many times as long as a look takes, is at least waited for the next
PAUSE_SECONDS_MAX = 60.0  # after a look that failed
AGAIN_SECONDS, AGAIN_SECONDS_MAX = 60.0, 3600.0  # after an ingest that failed: doubled each time

log = structlog.get_logger("tickertape.watching")


async def watch(settings: Settings, services: Callable[[], Services]) -> None:
    """Watch all that are to be, for ever."""
    opened = [sources.open_source(settings, name) for name in settings.source_names]
    watched = [each for each in opened if each.config.watch_seconds is not None]
    await asyncio.gather(*(Watch(each, settings, services).run() for each in watched))


class Watch:
    """One source that is watched."""

    def __init__(
        self, source: Source, settings: Settings, services: Callable[[], Services]
    ) -> None:
        self._source = source
        self._settings = settings
        self._services = services
        self._known = False  # what was ingested last was looked up
        self._ingested: str | None = None  # the fingerprint that was asked for
        self._seen: str | None = None  # that of the last look
        self._batch: str | None = None
        self._again = AGAIN_SECONDS
        self._due: float | None = None  # monotonic: when it is seen whether the last read all
        self._log = log.bind(source=source.name)

    async def run(self) -> None:
        """Look, and ask for an ingest, for ever."""
        pause = every = self._source.config.watch_seconds or 0.0
        failed = ""
        while True:
            await asyncio.sleep(pause)
            started = time.monotonic()
            try:
                if self._is_ours():
                    await self._look()
                elif self._known:
                    self._known = False  # another asks for ingests now
                    await self._source.stop()
                pause, failed = every, ""
            except (TickertapeError, OSError) as error:
                self._known = False
                await self._source.stop()
                if str(error) != failed:
                    self._log.warning("watch", error=str(error))
                pause, failed = min(max(2 * pause, every), PAUSE_SECONDS_MAX), str(error)
            pause = max(pause, BUSY_SHARE * (time.monotonic() - started))

    def _is_ours(self) -> bool:
        topic = self._settings.topic_data_ingestion
        return FIRST in self._services().runtime.lags().get(topic, {})

    async def _look(self) -> None:
        services = self._services()
        if self._batch is not None:
            state = services.batches.get(self._batch)
            if state is not None:
                if state["status"] not in FINISHED:
                    return
                self._finished(failed=state["status"] == "failed")
        if not self._known:
            self._ingested = await self._last()
            await self._source.start()
            self._known = True
        elif self._due is not None and time.monotonic() >= self._due:
            self._ingested, self._due = await self._last(), None
        before, self._seen = self._seen, await self._source.fingerprint()
        if self._seen in (self._ingested, None) or self._seen != before:
            return
        self._batch = str(uuid.uuid4())
        wanted = sources.Wanted(self._source.name, None, {}, None)
        asked = records(self._settings, self._source.name, wanted, self._batch)
        for error in await services.publisher.send(asked):
            if error is not None:
                raise error
        self._ingested, self._due = self._seen, None
        self._log.info("changed", batch=self._batch)

    def _finished(self, *, failed: bool) -> None:
        """What failed is looked up after a pause: where its run did not read all, it is asked for
        again."""
        self._batch = None
        if failed:
            self._due = time.monotonic() + self._again
        self._again = min(2 * self._again, AGAIN_SECONDS_MAX) if failed else AGAIN_SECONDS

    async def _last(self) -> str | None:
        """The fingerprint of what the last run that read all has read."""
        last = (await Runs(self._settings, self._source.name).read()).last
        return last.fingerprint if last is not None else None
