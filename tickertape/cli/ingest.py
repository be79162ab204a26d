"""``ingest SOURCE``: ask for the ingest of a configured source, and follow its batch."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Callable
from typing import Any

import click

from tickertape import kafka_admin
from tickertape.batches import BatchReader
from tickertape.broker import using
from tickertape.cli import naming
from tickertape.cli.batches import follow, said_while_waiting
from tickertape.cli.failure import one_line
from tickertape.cli.sending import caught_up, publisher
from tickertape.errors import BrokerError
from tickertape.kafka.brokers import brokers_of
from tickertape.settings import Settings
from tickertape.sources import Wanted, open_source
from tickertape.sources.base import Row, Source, Unread
from tickertape.sources.requests import records

UNREAD_SHOWN = 10


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the command ``ingest``. Exit codes: 0 done, 1 failed, 2 usage."""

    @click.command("ingest")
    @click.argument("source")
    @click.option(
        "--wait/--no-wait",
        default=None,
        help="Follow the batch to its end.  [default: --wait on a terminal]",
    )
    @click.option("--full", is_flag=True, help="Read what has not changed, too.")
    @click.option("--yes", is_flag=True, help="Remove whatever is gone, however much.")
    @click.option("--batch", help="The batch's id.  [default: a new one]")
    @click.option("--dry-run", is_flag=True, help="Read the source, here, and send nothing.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    @click.pass_context
    def ingest(
        context: click.Context,
        source: str,
        wait: bool | None,
        full: bool,
        yes: bool,
        batch: str | None,
        dry_run: bool,
        as_json: bool,
    ) -> None:
        """Ingest a source of config.yaml: what is new or changed, and what is gone.

        A worker reads it; this command asks for it, and may end at any time.
        """
        with one_line():
            settings = load_settings()
            opened = open_source(settings, source)
            if dry_run:
                found = asyncio.run(_read(opened))
                click.echo(json.dumps(found) if as_json else _read_summary(found))
                context.exit(1 if found["unread"] else 0)
            batch_id = batch or str(uuid.uuid4())
            follows = sys.stdout.isatty() if wait is None else wait
            with using(settings, naming.aside):
                state = asyncio.run(
                    _ask(settings, opened, batch_id, full, yes, follows, quiet=as_json)
                )
        if as_json:
            click.echo(json.dumps({"batch_id": batch_id, "source": source, **(state or {})}))
        else:
            click.echo(_summary(source, batch_id, state))
        context.exit(0 if state is None or state["status"] == "completed" else 1)

    return [ingest]


async def _ask(
    settings: Settings,
    source: Source,
    batch_id: str,
    full: bool,
    yes: bool,
    follows: bool,
    *,
    quiet: bool,
) -> dict[str, Any] | None:
    made = await kafka_admin.ensure(brokers_of(settings), kafka_admin.wanted(settings))
    made.raise_for_errors()
    wanted = Wanted(source.name, None, {}, None)
    reader = BatchReader(settings)
    async with publisher(settings) as sender, caught_up(settings, reader):
        if reader.get(batch_id) is not None:
            raise BrokerError(f"batch {batch_id} is there already: choose another --batch")
        sent = records(settings, source.name, wanted, batch_id, full=full, yes=yes)
        for error in await sender.send(sent):
            if error is not None:
                raise BrokerError(f"the request could not be sent: {error}")
        if not follows:
            return None
        try:
            async with said_while_waiting(settings, reader, batch_id):
                await follow(reader, batch_id, (lambda _: None) if quiet else None)
        except asyncio.CancelledError:
            naming.aside(f"the ingest goes on: faust -A app batches watch {batch_id}")
            raise
        return reader.get(batch_id)


async def _read(source: Source) -> dict[str, Any]:
    """Read all of a source; return what there is."""
    found: dict[str, Any] = {"documents": 0, "characters": 0, "unread": 0, "reasons": []}
    await source.start()
    try:
        async for page in source.pages():
            for row in page.rows:
                if isinstance(row, Row):
                    found["documents"] += 1
                    found["characters"] += len(row.text)
                else:
                    _note(found, row)
    finally:
        await source.stop()
    return found


def _note(found: dict[str, Any], row: Unread) -> None:
    found["unread"] += 1
    if len(found["reasons"]) < UNREAD_SHOWN:
        found["reasons"].append(f"{row.id}: {row.reason}")


def _read_summary(found: dict[str, Any]) -> str:
    lines = [f"{found['documents']} documents, {found['characters']:,} characters; nothing is sent"]
    if found["unread"]:
        lines += [f"{found['unread']} cannot be read:", *(f"  {one}" for one in found["reasons"])]
    return "\n".join(lines)


def _summary(source: str, batch_id: str, state: dict[str, Any] | None) -> str:
    if state is None:
        follow = f"follow it: faust -A app batches watch {batch_id}"
        return f"the ingest of {source} is queued, batch {batch_id}\n{follow}"
    counts = f"{state['done']} done ({state['unchanged']} unchanged), {state['dead']} dead"
    lines = [f"{state['status']}: {counts}; batch {batch_id}"]
    if state["error_message"]:
        lines.append(str(state["error_message"]))
    return "\n".join(lines)
