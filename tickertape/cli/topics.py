"""``faust -A app topics create | check``: our topics on the broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

import click

from tickertape import kafka_admin
from tickertape.broker import reading, using
from tickertape.cli.failure import one_line
from tickertape.kafka.brokers import Brokers
from tickertape.settings import Settings
from tickertape.topics import Topic, retry


def commands(load_settings: Callable[[], Settings]) -> click.Group:
    """Return the group ``topics``. Exit codes: 0 done, 1 failed or something breaks, 2 usage."""

    @click.group("topics")
    def topics() -> None:
        """Create our topics, and compare them with what is there."""

    @topics.command("create")
    @click.argument("names", nargs=-1, metavar="[NAME...]")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    @click.pass_context
    def create(context: click.Context, names: Sequence[str], as_json: bool) -> None:
        """Create the topics that are missing: all, or NAME and what belongs to it.

        A topic that exists is left as it is.
        """
        with one_line():
            settings = load_settings()
            chosen = _chosen(kafka_admin.wanted(settings), names)
            with using(settings, _aside) as brokers:
                report = asyncio.run(kafka_admin.ensure(brokers, chosen))
        if as_json:
            click.echo(json.dumps(asdict(report)))
        else:
            for name in report.created:
                click.echo(f"created {name}, {report.partitions[name]} partitions")
            click.echo(f"{len(report.created)} created, {len(report.existing)} were there")
            for line in report.errors:
                click.echo(line, err=True)
        context.exit(1 if report.errors else 0)

    @topics.command("check")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    @click.pass_context
    def check(context: click.Context, as_json: bool) -> None:
        """Say what differs from what we would create. Exit code 1 where that breaks something."""
        with one_line():
            settings = load_settings()
            wanted = kafka_admin.wanted(settings)
            with reading(settings) as brokers:
                found = asyncio.run(kafka_admin.check(brokers, wanted))
                found += asyncio.run(_left_over(brokers, settings))
        breaking = [one for one in found if one.breaks]
        if as_json:
            click.echo(json.dumps({"ok": not breaking, "differences": [asdict(d) for d in found]}))
        else:
            for one in found:
                click.echo(f"{'wrong' if one.breaks else 'note '} {one}")
            click.echo(f"{len(wanted)} topics, {len(breaking)} wrong, {len(found)} differ")
        context.exit(1 if breaking else 0)

    return topics


async def _left_over(brokers: Brokers, settings: Settings) -> list[kafka_admin.Difference]:
    """Retry topics of levels that are no more: workers read what is left in them."""
    levels = f"{len(settings.retry_delays_seconds)} retry levels"
    return [
        kafka_admin.Difference(retry(base, level), "left over", levels, "one more", breaks=False)
        for base, level in await kafka_admin.left_over(brokers, settings)
    ]


def _chosen(wanted: Sequence[Topic], names: Sequence[str]) -> list[Topic]:
    """Those named and those that belong to them; all of them where none is named."""
    known = {topic.name for topic in wanted}
    if unknown := [name for name in names if name not in known]:
        first = sorted(topic.name for topic in wanted if topic.like is None)
        raise click.UsageError(
            f"not a topic of ours: {', '.join(unknown)}; expected some of: {', '.join(first)}"
        )
    return [t for t in wanted if not names or t.name in names or t.like in names]


def _aside(message: str) -> None:
    """Progress goes to stderr: stdout may be read by a program."""
    click.echo(message, err=True)
