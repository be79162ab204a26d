"""Where every batch stands, read by each worker for itself from the compacted batch-status:
whichever worker owns a batch, any can answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from itertools import chain, islice
from typing import Any

import orjson

from tickertape import headers as h
from tickertape.compacted import CompactedReader
from tickertape.settings import Settings

BATCHES_MAX = 20_000
FORGET_MAX = 1_000  # named at a time
FINISHED = frozenset({"completed", "failed"})
STATUSES = FINISHED | {"queued", "processing"}
TOTALS = ("total_documents", "processed_documents")
DECLARED = ("status", "total_documents", "timestamp")
# Beside done, in what people are shown
OUTCOMES = ("unchanged", "superseded", "retrying", "dead")
COUNTS = ("done", "unchanged", "retrying", "dead", "seen", "repeats", "superseded")


class BatchReader:
    """Keeps all batches that are not forgotten; `surplus` says which should be, over `BATCHES_MAX`.

    No decision goes by this worker's clock, which may jump by days: idleness is measured by
    ``clock`` (monotonic, seconds), and what seems old is only named, for the owner to judge.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = CompactedReader(
            settings, settings.topic_batch_status, self._take, name="batches"
        )
        self._clock = clock
        self._latest = (0, 0.0)  # the broker's latest stamp (epoch ms), and when it came
        self._heard: dict[str, float] = {}  # when each batch last changed, by the clock
        self._batches: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._overwritten: set[str] = set()
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Read in the background, from the beginning."""
        await self._reader.start()

    async def stop(self) -> None:
        """Stop reading. Safe to call twice."""
        await self._reader.stop()

    @property
    def caught_up(self) -> bool:
        """True once all that stood on the topic at start has been read."""
        return self._reader.caught_up

    def get(self, batch_id: str) -> dict[str, Any] | None:
        """Return the batch-status fields of a batch; None when it is unknown or expired."""
        return self._batches.get(batch_id)

    def recent(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest batches first, by when they were first heard of."""
        found = sorted(self._batches.values(), key=lambda b: b.get("started") or 0, reverse=True)
        return found[:limit]

    def idle(self, seconds: float, repeats_seconds: float) -> list[dict[str, Any]]:
        """Return unfinished batches that a close may finish (see `tables.fold`): those that heard
        nothing for so long and have no total, or reach it with their repeats."""
        now = self._clock()
        return [
            batch
            for batch_id, batch in self._batches.items()
            if batch["status"] not in FINISHED
            and batch["seen"]
            and _closable(batch)
            and now - self._heard[batch_id] > (repeats_seconds if batch["repeats"] else seconds)
        ]

    def expired(self, hours: float) -> list[dict[str, Any]]:
        """Return batches that heard nothing for so long, as it seems here; the owner goes by the
        broker's time (see `tables.fold`). A clock that is ahead of the broker's last word is not
        believed: it would name all of them, again and again."""
        broker_ms, heard = self._latest
        now_ms = min(time.time() * 1000, broker_ms + (self._clock() - heard) * 1000)
        oldest = now_ms - hours * 3_600_000
        old = (batch for batch in self._batches.values() if batch["last"] < oldest)
        return list(islice(old, FORGET_MAX))

    def surplus(self) -> list[dict[str, Any]]:
        """Return those that are too many: the finished ones that heard nothing for longest, and
        open ones only where all are open."""
        count = len(self._batches) - BATCHES_MAX
        if count <= 0:
            return []
        finished = [b for b in self._batches.values() if b["status"] in FINISHED]
        still_open = (b for b in self._batches.values() if b["status"] not in FINISHED)
        return list(islice(chain(finished, still_open), min(count, FORGET_MAX)))

    def overwritten(self) -> list[str]:
        """Return batches whose newest status was followed by an older one: of a worker that was
        taken for dead and woke. Their owner has to write them again."""
        return list(self._overwritten)

    async def watch(self, batch_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the state now and at each change, until it is completed or failed."""
        last: dict[str, Any] | None = None
        while True:
            changed = self._changed
            state = self._batches.get(batch_id)
            if state is not None and state != last:
                yield state
                last = state
                if state["status"] in FINISHED:
                    return
            await changed.wait()

    def _take(self, message: Any) -> None:
        key = (message.key or b"").decode("utf-8", "replace")
        if message.timestamp > self._latest[0]:
            self._latest = message.timestamp, self._clock()
        if message.value is None:
            if h.last(message.headers, h.OWN) is not None:  # nobody else may forget a batch
                self._forget(key)
        elif (found := _read(message)) is not None:
            value, own = found
            self._set(key, value, own, message.timestamp)
        self._changed.set()
        self._changed = asyncio.Event()

    def _forget(self, batch_id: str) -> None:
        self._batches.pop(batch_id, None)
        self._heard.pop(batch_id, None)
        self._overwritten.discard(batch_id)

    def _set(self, key: str, value: dict[str, Any], own: bool, timestamp_ms: int) -> None:
        if own:
            batch_id = key or str(value.get("batch_id", ""))
        else:
            # A producer's record declares a batch, at most, and only its owner says more of it.
            batch_id = str(value.get("batch_id") or key)
            if value["status"] != "queued" or batch_id in self._batches:
                return
            value = {name: value[name] for name in DECLARED if name in value}
        known = self._batches.get(batch_id)
        if known is not None and (_count(value.get("at")) or 0) < (_count(known.get("at")) or 0):
            self._overwritten.add(batch_id)
            return
        self._overwritten.discard(batch_id)
        self._batches[batch_id] = _state(batch_id, value, timestamp_ms)
        self._batches.move_to_end(batch_id)
        self._heard[batch_id] = self._clock()


def _read(message: Any) -> tuple[dict[str, Any], bool] | None:
    """Return a status, and whether it is ours; None for what is none."""
    try:
        value = orjson.loads(message.value)
    except ValueError:
        return None
    if not isinstance(value, dict) or not _is_status(value.get("status")):
        return None
    return value, h.last(message.headers, h.OWN) is not None


def _is_status(value: Any) -> bool:
    return isinstance(value, str) and value in STATUSES


def _closable(batch: dict[str, Any]) -> bool:
    total = batch["total_documents"]
    return total is None or batch["seen"] + batch["repeats"] >= total


def _state(batch_id: str, value: dict[str, Any], timestamp_ms: int) -> dict[str, Any]:
    """Return the status with every field there, and when it was last heard of (epoch ms)."""
    state = {
        "error_message": None,
        "timestamp": None,
        **value,
        "batch_id": batch_id,
        "started": _count(value.get("started")) or timestamp_ms,
        **{name: _count(value.get(name)) or 0 for name in COUNTS},
        **{name: _count(value.get(name)) for name in TOTALS},
    }
    state["last"] = _milliseconds(state["timestamp"]) or timestamp_ms
    return state


def _count(value: Any) -> int | None:
    """A producer's own status may hold anything."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _milliseconds(timestamp: Any) -> int | None:
    with contextlib.suppress(TypeError, ValueError):
        return round(datetime.fromisoformat(timestamp).timestamp() * 1000)
    return None
