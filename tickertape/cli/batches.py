"""``batches list | show | watch``: where batches stand, from batch-status itself."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tickertape import kafka_admin
from tickertape.batches import OUTCOMES, BatchReader
from tickertape.broker import reading
from tickertape.cli.failure import one_line
from tickertape.cli.standing import ask_worker, worker_address
from tickertape.errors import BrokerError
from tickertape.kafka.brokers import brokers_of
from tickertape.settings import Settings

READ_SECONDS_MAX = 30.0
WAIT_SECONDS = 5.0  # that nothing moves, before it is said why; then twice as long, up to
WAIT_SECONDS_MAX = 60.0
T = TypeVar("T")


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the group ``batches``. Exit codes: 0 done, 1 failed or unknown, 2 usage."""

    @click.group("batches")
    def batches() -> None:
        """Where batches stand."""

    @batches.command("list")
    @click.option("--limit", default=20, show_default=True)
    @click.option("--json", "as_json", is_flag=True, help="One JSON array.")
    def list_(limit: int, as_json: bool) -> None:
        """Print the newest batches."""

        async def ask(reader: BatchReader) -> list[dict[str, Any]]:
            return reader.recent(limit)

        found = _ask(load_settings(), ask)
        if as_json:
            click.echo(json.dumps(found))
        for batch in [] if as_json else found:
            click.echo(_line(batch))
        if not found and not as_json:
            click.echo("no batches yet")

    @batches.command("show")
    @click.argument("batch_id")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    def show(batch_id: str, as_json: bool) -> None:
        """Print one batch in full."""

        async def ask(reader: BatchReader) -> dict[str, Any] | None:
            return reader.get(batch_id)

        batch = _ask(load_settings(), ask)
        if batch is None:
            raise click.ClickException(f"unknown batch: {batch_id}")
        if as_json:
            click.echo(json.dumps(batch))
        for name, value in {} if as_json else batch.items():
            click.echo(f"{name:20} {'' if value is None else value}")

    @batches.command("watch")
    @click.argument("batch_id")
    @click.option("--json", "as_json", is_flag=True, help="A JSON object a change.")
    @click.pass_context
    def watch(context: click.Context, batch_id: str, as_json: bool) -> None:
        """Follow a batch until it is completed or failed."""

        settings = load_settings()

        async def ask(reader: BatchReader) -> str:
            if reader.get(batch_id) is None:
                raise click.ClickException(f"unknown batch: {batch_id}")
            async with said_while_waiting(settings, reader, batch_id):
                return await follow(reader, batch_id, _echo if as_json else None)

        context.exit(0 if _ask(settings, ask) == "completed" else 1)

    return [batches]


async def follow(
    reader: BatchReader, batch_id: str, each: Callable[[dict[str, Any]], None] | None = None
) -> str:
    """Show a batch as it moves; return its last status.

    By ``each``, else as a bar on a terminal, and a line a change into anything else.
    """
    if each is None and not sys.stdout.isatty():
        each = _print
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    status = "unknown"
    with Progress(*columns, disable=each is not None) as bar:
        task = bar.add_task(batch_id, total=None, rate="")
        async for batch in reader.watch(batch_id):
            status = str(batch["status"])
            if each is not None:
                each(batch)
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(
                task,
                completed=batch["processed_documents"] or 0,
                total=batch["total_documents"],
                description=f"{batch_id} {status}",
                rate=f"{speed:.0f}/s" if speed else "",
            )
    return status


def _ask(settings: Settings, ask: Callable[[BatchReader], Awaitable[T]]) -> T:
    async def run(reader: BatchReader) -> T:
        await kafka_admin.reach(brokers_of(settings))
        await reader.start()
        try:
            deadline = asyncio.get_running_loop().time() + READ_SECONDS_MAX
            while not reader.caught_up:
                if asyncio.get_running_loop().time() > deadline:
                    topic = settings.topic_batch_status
                    raise BrokerError(f"{topic} could not be read from {settings.bootstrap}")
                await asyncio.sleep(0.05)
            return await ask(reader)
        finally:
            await reader.stop()

    with one_line(), reading(settings):
        return asyncio.run(run(BatchReader(settings)))


@asynccontextmanager
async def said_while_waiting(
    settings: Settings, reader: BatchReader, batch_id: str
) -> AsyncIterator[None]:
    """Say on stderr, again and again, what a batch that does not move waits for."""
    task = asyncio.create_task(_say(settings, reader, batch_id))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _say(settings: Settings, reader: BatchReader, batch_id: str) -> None:
    seconds = WAIT_SECONDS
    while True:
        before = reader.get(batch_id)
        await asyncio.sleep(seconds)
        now = reader.get(batch_id)
        if now == before:
            click.echo(f"waiting: {await _why(settings, now)}", err=True)
            seconds = min(2 * seconds, WAIT_SECONDS_MAX)
        else:
            seconds = WAIT_SECONDS


async def _why(settings: Settings, batch: dict[str, Any] | None) -> str:
    stands = "queued" if batch is None else _stands(batch)
    try:
        workers = await kafka_admin.workers(brokers_of(settings), settings.app_id)
    except BrokerError as error:
        return str(error)
    if not workers:
        return f"no worker runs ({stands}); start one: faust -A app worker"
    runs = "a worker runs" if workers == 1 else f"{workers} workers run"
    wrong = [check async for check in ask_worker(worker_address(settings)) if not check.ok]
    if not wrong:
        return f"{runs} ({stands}); what it does: faust -A app doctor"
    said = "; ".join(f"{check.name}: {check.found}" for check in wrong)
    return f"{runs} ({stands}), and is not ready: {said}"


def _print(batch: dict[str, Any]) -> None:
    click.echo(_line(batch))


def _echo(batch: dict[str, Any]) -> None:
    click.echo(json.dumps(batch))


def _stands(batch: dict[str, Any]) -> str:
    total = batch["total_documents"]
    done = batch["processed_documents"] or 0
    return f"{batch['status']}, {done}/{'?' if total is None else total}"


def _line(batch: dict[str, Any]) -> str:
    total = batch["total_documents"]
    of = f"{batch['processed_documents'] or 0}/{'?' if total is None else total}"
    counts = ", ".join(f"{batch[name]} {name}" for name in OUTCOMES if batch[name])
    return f"{batch['batch_id']:38} {batch['status']:10} {of:>13}  {counts}"
