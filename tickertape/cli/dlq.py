"""``dlq list | show | replay | purge | export``: dead letters, and what to do with them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import IO, Any, TypeVar

import click
import orjson
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tickertape import kafka_admin, topics
from tickertape.broker import reading, using
from tickertape.cli import dlq_lines as lines
from tickertape.cli import naming
from tickertape.cli.dlq_options import Id, Rate, chosen, filtered, selection
from tickertape.cli.failure import one_line
from tickertape.delivery.publisher import KafkaPublisher
from tickertape.dlq import edit, showing
from tickertape.dlq.box import DeadLetters, Selection
from tickertape.dlq.letter import Place
from tickertape.dlq.replay import Plan, ReplayResult, Totals
from tickertape.errors import BrokerError, InvalidRecord
from tickertape.kafka.brokers import brokers_of
from tickertape.settings import Settings

RESULTS_MAX = 10_000  # kept for --json

T = TypeVar("T")
_ids = click.argument("ids", nargs=-1, type=Id(), metavar="[ID...]")
_ANY = "Also those replayed, parked or purged."
_any_state = click.option("--any-state", is_flag=True, help=_ANY)
# Where nothing is changed, "all" can only mean these.
_any_state_or_all = click.option("--any-state", "--all", is_flag=True, help=_ANY)
_all = click.option(
    "--all", is_flag=True, help="All that are open, where there is no ID or filter."
)
_limit = click.option("--limit", type=click.IntRange(1), help="Stop after so many letters.")
_json = click.option("--json", "as_json", is_flag=True, help="JSON, for a program.")


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the group ``dlq``. Exit codes: 0 done, 1 failed, 2 wrong usage."""

    @click.group("dlq")
    def dlq() -> None:
        """Dead letters: records that could not be processed, and why.

        A letter's ID is TOPIC/PARTITION/OFFSET, as `dlq list` prints it.
        """

    @dlq.command("list")
    @filtered
    @click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
    @_any_state_or_all
    @_json
    def list_(limit: int, as_json: bool, **options: Any) -> None:
        """Print the newest dead letters."""
        with _box(load_settings) as (settings, box):
            wanted = selection(settings, **options)
            found = _run(box.newest(wanted, limit))
        shown = [showing.summary(*one) for one in found]
        if as_json:
            click.echo(json.dumps(shown))
        for letter in [] if as_json else shown:
            click.echo(lines.line(letter))
        if not found and not as_json:
            click.echo("no dead letters match")

    @dlq.command("show")
    @click.argument("id", type=Id())
    @_json
    def show(id: Place, as_json: bool) -> None:
        """Print one letter: reason, stack trace, headers, payload. Secrets are masked."""
        with _box(load_settings) as (_, box):
            found = _run(box.get(id))
        if found is None:
            raise click.ClickException(f"there is no dead letter {id}")
        letter = showing.full(*found)
        click.echo(json.dumps(letter) if as_json else lines.page(letter))

    @dlq.command("replay")
    @_ids
    @filtered
    @_all
    @_limit
    @click.option("--again", is_flag=True, help="Also those that were replayed already.")
    @click.option("--dry-run", is_flag=True, help="Say what would be replayed, and do nothing.")
    @click.option("--rate", type=Rate(), help="At most so many a second: 50, 50/s, 600/m.")
    @click.option("--set", "fields", multiple=True, metavar="FIELD=JSON", help="Change a field.")
    @click.option("--edit", "in_editor", is_flag=True, help="Edit the payload of one ID first.")
    @_json
    @click.pass_context
    def replay(
        context: click.Context,
        /,
        ids: Sequence[Place],
        limit: int | None,
        dry_run: bool,
        rate: float | None,
        fields: Sequence[str],
        in_editor: bool,
        as_json: bool,
        **options: Any,
    ) -> None:
        """Put dead letters back into their flows: those of the IDs, those that match, or --all.

        The letters stay where they are and are marked, so that the same command, stopped half-way,
        goes on with the rest. One replayed too often is parked instead. With --set or --edit the
        changed payload is replayed as a newer version; the letter keeps the original.
        """
        if in_editor and (len(ids) != 1 or fields):
            raise click.UsageError("--edit takes one ID, and no --set")
        with one_line():  # wrong usage is said before a broker is started for it
            settings = load_settings()
            wanted, change = chosen(settings, ids=ids, **options), _setting(fields)
        with _box(lambda: settings, changes=not dry_run) as (_, box):
            change = _edit(box, ids[0]) if in_editor else change
            plan = Plan(dry_run, limit, rate, change)
            totals = _replay(settings, wanted, plan, as_json)
        if as_json:
            counts = {name: getattr(totals, name) for name in ("replayed", "parked", "failed")}
            results = [one.as_json() for one in totals.results]
            click.echo(json.dumps({"dry_run": dry_run, **counts, "results": results}))
        else:
            click.echo(lines.totals_line(totals, dry_run))
        context.exit(1 if totals.failed else 0)

    @dlq.command("purge")
    @_ids
    @filtered
    @_limit
    @_all
    @_any_state
    @click.option("--dry-run", is_flag=True, help="Say how many, and do nothing.")
    @click.option("--yes", is_flag=True, help="Really do it.")
    @_json
    def purge(
        ids: Sequence[Place],
        limit: int | None,
        dry_run: bool,
        yes: bool,
        as_json: bool,
        **options: Any,
    ) -> None:
        """Put dead letters away: those of the IDs, those that match, or --all.

        The oldest of a partition are deleted from Kafka; one behind a letter that stays is hidden
        until it expires. Batches keep counting them as dead.
        """
        if not (yes or dry_run):
            raise click.UsageError("--yes purges them; --dry-run says how many they are")
        with one_line():
            settings = load_settings()
            wanted = chosen(settings, ids=ids, **options)
        with _box(lambda: settings, changes=not dry_run):

            async def run() -> Any:
                async with _sender(settings, idle=dry_run) as box:
                    return await box.purge(wanted, dry_run=dry_run, limit=limit)

            done = _run(run())
        if as_json:
            counts = {"deleted": done.deleted, "hidden": done.hidden}
            click.echo(json.dumps({"dry_run": dry_run, **counts}))
        else:
            would = "would be " if dry_run else ""
            click.echo(f"{done.deleted} {would}deleted, {done.hidden} {would}hidden")

    @dlq.command("export")
    @_ids
    @filtered
    @_limit
    @_any_state_or_all
    @click.option("--unmasked", is_flag=True, help="With the secrets in it.")
    @click.option("--output", "-o", type=click.File("wb"), default="-", help="[default: stdout]")
    @_json
    def export(
        ids: Sequence[Place],
        limit: int | None,
        unmasked: bool,
        output: IO[bytes],
        as_json: bool,  # noqa: ARG001 - it is JSON lines anyway
        **options: Any,
    ) -> None:
        """Write dead letters as JSON lines: headers and payload, base64 where it is no text."""
        with _box(load_settings) as (settings, box):
            wanted = selection(settings, ids=ids, **options)
            count = _run(_export(box, wanted, limit, unmasked, output))
        naming.aside(f"exported {count}")

    dlq.add_command(replay, "redrive")
    return [dlq]


@contextmanager
def _box(
    load_settings: Callable[[], Settings], *, changes: bool = False
) -> Iterator[tuple[Settings, DeadLetters]]:
    """The settings, and the dead letters; ``changes``: a broker is started where none runs."""
    with one_line():
        settings = load_settings()
        with using(settings, naming.aside) if changes else reading(settings):
            yield settings, DeadLetters(settings, KafkaPublisher(settings).send)


@asynccontextmanager
async def _sender(settings: Settings, *, idle: bool) -> AsyncIterator[DeadLetters]:
    """Dead letters to be moved; ``idle``: nothing will be sent."""
    publisher = KafkaPublisher(settings)
    try:
        if not idle:
            written = {topics.replays(settings.app_id), settings.topic_batch_progress}
            wanted = [one for one in kafka_admin.wanted(settings) if one.name in written]
            (await kafka_admin.ensure(brokers_of(settings), wanted)).raise_for_errors()
            try:
                await publisher.start()
            except KafkaError as error:
                raise BrokerError(f"no Kafka broker answers at {settings.bootstrap}") from error
        yield DeadLetters(settings, publisher.send)
    finally:
        await publisher.stop()


def _replay(settings: Settings, wanted: Selection, plan: Plan, as_json: bool) -> Totals:
    """Replay with a bar on a terminal; a stop says how far it came."""
    done = 0

    async def run() -> Totals:
        nonlocal done
        bar_on = not as_json and not plan.dry_run and sys.stderr.isatty()
        async with _sender(settings, idle=plan.dry_run) as box:
            total = await box.count(wanted) if bar_on else 0
            columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            look = Progress(TextColumn("replay"), *columns, console=Console(stderr=True))
            look.disable = not bar_on
            with look:
                task = look.add_task("replay", total=min(total, plan.limit or total))

                def each(result: ReplayResult) -> None:
                    nonlocal done
                    done += result.error is None
                    look.advance(task)
                    if (plan.dry_run or result.error is not None) and not as_json:
                        say = click.echo if result.error is None else naming.aside
                        say(lines.result_line(result, plan.dry_run))

                return await box.replay(wanted, plan, each, RESULTS_MAX if as_json else 0)

    try:
        return _run(run())
    except KeyboardInterrupt:
        naming.aside(f"stopped after {done}; the same command goes on with the rest")
        raise click.exceptions.Exit(1) from None


def _setting(fields: Sequence[str]) -> edit.Edit | None:
    try:
        return edit.setting(fields) if fields else None
    except InvalidRecord as error:
        raise click.UsageError(str(error)) from None


def _edit(box: DeadLetters, place: Place) -> edit.Edit:
    """Let the payload be edited until it is a JSON object. It is shown unmasked, to be kept."""
    found = _run(box.get(place))
    if found is None:
        raise click.ClickException(f"there is no dead letter {place}")
    text = edit.editable(found[0].value)
    while True:
        edited = click.edit(text, extension=".json")
        if edited is None:
            raise click.ClickException("not edited: nothing is replayed")
        try:
            return edit.replacing(edited)
        except InvalidRecord as error:
            if not sys.stdin.isatty() or not click.confirm(f"{error}. Edit again?", default=True):
                raise
            text = edited


async def _export(
    box: DeadLetters, wanted: Selection, limit: int | None, unmasked: bool, output: IO[bytes]
) -> int:
    count = 0
    async with aclosing(box.each(wanted)) as found:
        async for letter, state in found:
            line = showing.exported(letter, state, masked=not unmasked)
            output.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
            if count == limit:
                break
    return count


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)
