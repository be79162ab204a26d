"""``reset``: start over. What was computed and remembered is deleted.

With the embedded broker its records go too. A broker that is named belongs to others: only what our
consumer groups have committed there is deleted, so that every topic is read from its beginning.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from tickertape import kafka_admin
from tickertape.broker import EmbeddedBroker
from tickertape.cli.failure import one_line
from tickertape.errors import BrokerError
from tickertape.kafka.brokers import brokers_of
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.stores.capabilities import with_files


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that is deleted. ``where``: a path, or the consumer groups of a broker."""

    what: str
    where: str
    size: int | None = None  # bytes


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the command ``reset``. Exit codes: 0 done, 1 failed or refused, 2 wrong usage."""

    @click.command("reset")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.option("--dry-run", is_flag=True, help="Say what would be deleted, and do nothing.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    def command(yes: bool, dry_run: bool, as_json: bool) -> None:
        """Start over: delete what is stored and remembered, after asking.

        Stores of this machine, the workers' tables, the embedded broker with its records; of a
        broker that is named, what our groups have committed, so that its topics are read from
        their beginning. Models and settings stay. No worker may run.
        """
        if not (yes or dry_run) and (as_json or not _is_terminal()):
            raise click.UsageError("--yes deletes without asking; --dry-run says what")
        with one_line():
            settings = load_settings()
            things = found(settings)
            kept = left_alone(settings)
            if not as_json:
                _show(things, kept, dry_run)
            if not dry_run:
                if not yes:
                    click.confirm("Delete it? It cannot be brought back", abort=True)
                erase(settings)
        if as_json:
            shown = [
                {"what": each.what, "where": each.where, "bytes": each.size} for each in things
            ]
            click.echo(json.dumps({"dry_run": dry_run, "deleted": shown, "kept": kept}))
        elif not dry_run:
            click.echo("deleted; the next worker begins anew")

    return [command]


def found(settings: Settings) -> list[Thing]:
    """Return what a reset deletes, as far as it is there."""
    things = []
    for store in open_stores(settings):
        paths = local.files() if (local := with_files(store)) is not None else []
        size = sum(path.stat().st_size for path in paths)
        if paths:
            what = f"store {store.name}: documents, vectors, summaries"
            things.append(Thing(what, str(paths[0]), size))
    tables = _tables(settings)
    if tables.exists():
        things.append(Thing("the workers' tables", str(tables), _size(tables)))
    if settings.embedded_broker:
        broker = EmbeddedBroker(settings.data_dir, settings.broker_port)
        data = broker.folder / "data"
        if data.exists():
            what = "the embedded broker: all topics with their records"
            things.append(Thing(what, str(data), _size(data)))
    else:
        what = "what was committed: every topic is read from its beginning"
        things.append(Thing(what, f"{', '.join(_groups(settings))} at {settings.bootstrap}"))
    return things


def left_alone(settings: Settings) -> list[str]:
    """Return what a reset does not delete, though somebody might think so."""
    kept = [f"models: {settings.model_cache}"]
    for store in open_stores(settings):
        if with_files(store) is None:
            kept.append(f"store {store.name}: it is a server; empty it there")
    if not settings.embedded_broker:
        kept.append(f"topics and records at {settings.bootstrap}")
    return kept


def erase(settings: Settings) -> None:
    """Delete it, the stores last: what stops half-way is gone on with by the same command.

    Raises:
        BrokerError: a worker runs, or the broker does not answer.
    """
    if settings.embedded_broker:
        EmbeddedBroker(settings.data_dir, settings.broker_port).erase()
    else:
        asyncio.run(_forget(settings))
    try:
        if (tables := _tables(settings)).exists():
            shutil.rmtree(tables)
        for store in open_stores(settings):
            for path in local.files() if (local := with_files(store)) is not None else []:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"{error.filename} cannot be deleted: {error.strerror}"
        ) from None


async def _forget(settings: Settings) -> None:
    """First that nobody works: groups go one after the other."""
    if running := await kafka_admin.workers(brokers_of(settings), settings.app_id):
        many = "a worker runs" if running == 1 else f"{running} workers run"
        raise BrokerError(f"{many} as {settings.app_id}: stop first, then reset")
    await kafka_admin.forget_groups(brokers_of(settings), _groups(settings))


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _groups(settings: Settings) -> tuple[str, str]:
    return settings.app_id, f"{settings.app_id}-retry"


def _tables(settings: Settings) -> Path:
    return settings.data_dir / "faust"


def _size(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _show(things: list[Thing], kept: list[str], dry_run: bool) -> None:
    click.echo("would be deleted:" if dry_run else "to be deleted:")
    for each in things:
        size = "" if each.size is None else f" ({each.size / 2**20:.1f} MiB)"
        click.echo(f"  {each.what}: {each.where}{size}")
    if not things:
        click.echo("  nothing is there")
    for line in kept:
        click.echo(f"stays: {line}")
