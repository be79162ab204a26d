"""Following the batches to their end, as bars: from /ingest-status, as any client would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence, Sized
from typing import Any

import httpx
from rich.progress import Progress, TaskID

from tickertape.cli.sending import Plan
from tickertape.errors import TickertapeError

POLL_SECONDS = 0.2
QUIET_SECONDS = 2.0  # without movement for so long, it is told why
STALL_SECONDS_MAX = 180.0
FINISHED = frozenset({"completed", "failed"})

Json = dict[str, Any]


class DemoError(TickertapeError):
    """The demo cannot go on."""


async def follow(
    http: httpx.AsyncClient,
    bars: Progress,
    plans: Sequence[Plan],
    check: Callable[[], None],
    summaries: tuple[str, Sized, int],
) -> dict[str, Json]:
    """Show the plans' batches until they are finished; return their last status, by topic.

    ``check`` raises where it is no use to wait on. ``summaries`` is their topic, what came out
    there until now, and how many are expected.

    Raises:
        DemoError: nothing moves any more; why not, where the worker says it.
    """
    begun = moved_at = time.monotonic()
    tasks = {plan.topic: _bar(bars, plan.topic, plan.total or 0) for plan in plans}
    topic, made, expected = summaries
    out = _bar(bars, topic, expected)
    states: dict[str, Json] = {}
    moved = 0.0
    while True:
        check()
        for plan in plans:
            state = await _batch(http, plan.batch_id)
            if state is not None:
                states[plan.topic] = state
                _move(bars, tasks[plan.topic], state["processed_documents"] or 0, begun)
        _move(bars, out, len(made), begun)
        if len(states) == len(plans) and all(s["status"] in FINISHED for s in states.values()):
            return states
        now, seen = time.monotonic(), sum(task.completed for task in bars.tasks)
        if seen != moved:
            moved_at, moved = now, seen
        quiet = now - moved_at
        note = await _held(http) if quiet > QUIET_SECONDS else ""
        if quiet > STALL_SECONDS_MAX:
            raise DemoError(f"nothing has moved for {quiet:.0f} s. {note}".strip())
        for task in bars.tasks:
            bars.update(task.id, note="" if task.finished else note)
        await asyncio.sleep(POLL_SECONDS)


def _bar(bars: Progress, name: str, total: int) -> TaskID:
    return bars.add_task(name, total=total, rate="", note="")


def _move(bars: Progress, task: TaskID, done: int, begun: float) -> None:
    if done and not bars.tasks[task].finished:
        rate = done / (time.monotonic() - begun)
        bars.update(task, completed=done, rate=f"{rate:.0f}/s")


async def _batch(http: httpx.AsyncClient, batch_id: str) -> Json | None:
    try:
        reply = await http.get(f"/ingest-status/{batch_id}")
    except httpx.HTTPError:
        return None  # busy; a dead worker is noticed elsewhere
    found: Json | None = reply.json() if reply.status_code == httpx.codes.OK else None
    return found


async def _held(http: httpx.AsyncClient) -> str:
    """Why flows are held, else nothing."""
    try:
        flows = (await http.get("/stats")).json()["flows"]
    except (httpx.HTTPError, ValueError, KeyError):
        return ""
    return "; ".join(f"{f['name']} held: {f['reason']}" for f in flows if f["state"] == "held")
