"""``sources list | check | show``: what is configured, whether it can be read, where it stands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import click

from tickertape import kafka_admin
from tickertape.broker import reading
from tickertape.cli.check import Check
from tickertape.cli.failure import one_line
from tickertape.errors import OutageError, PermanentError, SettingsError, TickertapeError
from tickertape.kafka.brokers import brokers_of
from tickertape.runs import Known, Runs
from tickertape.settings import Settings
from tickertape.sources import open_source
from tickertape.sources.base import Row, Unread

TEXT_SHOWN = 1000
SECONDS_MAX = 60.0


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the group ``sources``. Exit codes: 0 done, 1 failed, 2 usage."""

    @click.group("sources")
    def sources() -> None:
        """What may be ingested: the sources of config.yaml."""

    @sources.command("list")
    @click.option("--json", "as_json", is_flag=True, help="One JSON array.")
    def list_(as_json: bool) -> None:
        """Print the sources by name."""
        with one_line():
            settings = load_settings()
            found = [
                {"name": name, "kind": open_source(settings, name).config.kind}
                for name in settings.source_names
            ]
        if as_json:
            click.echo(json.dumps(found))
            return
        for one in found:
            click.echo(f"{one['name']:24} {one['kind']}")
        if not found:
            click.echo("no sources; they stand in config.yaml (docs/sources.md)")

    @sources.command("check")
    @click.argument("names", nargs=-1, metavar="[SOURCE...]")
    @click.option("--json", "as_json", is_flag=True, help="One JSON array.")
    @click.pass_context
    def check(context: click.Context, names: tuple[str, ...], as_json: bool) -> None:
        """Say whether each can be read, and what is wrong."""
        with one_line():
            settings = load_settings()
            checks = asyncio.run(_check(settings, names or tuple(settings.source_names)))
        if as_json:
            click.echo(json.dumps([asdict(one) for one in checks]))
        for one in [] if as_json else checks:
            mark = click.style("ok   ", fg="green") if one.ok else click.style("wrong", fg="red")
            click.echo(f"{mark} {one.name}: {one.found}")
        context.exit(0 if all(one.ok for one in checks) else 1)

    @sources.command("show")
    @click.argument("name", metavar="SOURCE")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    def show(name: str, as_json: bool) -> None:
        """Print what a source is, how much it has, one document as it is embedded, and how far its
        ingests are."""
        with one_line():
            settings = load_settings()
            found = asyncio.run(_show(settings, name))
            with reading(settings):
                found |= asyncio.run(_standing(settings, name))
        click.echo(json.dumps(found) if as_json else _shown(found))

    return [sources]


async def _check(settings: Settings, names: tuple[str, ...]) -> list[Check]:
    return [await check_one(settings, name) for name in names]


async def check_one(settings: Settings, name: str) -> Check:
    """Say whether a source can be read."""
    title = f"source {name}"
    try:
        source = open_source(settings, name)
        async with asyncio.timeout(SECONDS_MAX):
            await source.start()
            try:
                described = await source.describe()
            finally:
                await source.stop()
    except SettingsError as error:
        return Check(title, False, str(error), "see docs/sources.md")
    except TimeoutError:
        return Check(title, False, f"no answer in {SECONDS_MAX:g} s", "is it reachable from here?")
    except (TickertapeError, OSError) as error:
        return Check(title, False, str(error), f"faust -A app sources show {name}")
    facts = "; ".join(f"{fact} {value}" for fact, value in described.facts)
    return Check(title, True, f"{described.kind} at {described.where}: {facts}")


async def _show(settings: Settings, name: str) -> dict[str, Any]:
    source = open_source(settings, name)
    await source.start()
    try:
        described = await source.describe()
        count = await source.count()
        sample: Row | Unread | None = None
        async with aclosing(source.pages()) as pages:
            async for page in pages:
                sample = next((row for row in page.rows if isinstance(row, Row)), None)
                if sample is not None:
                    break
    except (OutageError, PermanentError, OSError) as error:
        raise SettingsError(f"{name}: {error}") from None
    finally:
        await source.stop()
    found: dict[str, Any] = {
        "name": name,
        "kind": described.kind,
        "where": described.where,
        "collection": source.config.collection or name,
        **dict(described.facts),
        "documents": count,
    }
    if isinstance(sample, Row):
        found["sample"] = {
            "id": f"{name}/{sample.id}",
            "text": sample.text[:TEXT_SHOWN],
            "characters": len(sample.text),
            "metadata": dict(sample.metadata),
        }
    return found


async def _standing(settings: Settings, name: str) -> dict[str, Any]:
    """How far its ingests are; empty where Kafka was never asked for one."""
    await kafka_admin.reach(brokers_of(settings))
    known = await Runs(settings, name).read()
    return {"last_ingest": _last(known), "running": _running(known)}


def _last(known: Known) -> dict[str, Any] | None:
    run = known.last
    return None if run is None else {"batch_id": run.batch_id, "documents": run.sent}


def _running(known: Known) -> list[dict[str, Any]]:
    return [{"batch_id": run.batch_id, "documents": run.sent} for run in known.open]


def _shown(found: dict[str, Any]) -> str:
    sample = found.pop("sample", None)
    last, running = found.pop("last_ingest"), found.pop("running")
    lines = [f"{name:14} {value}" for name, value in found.items() if value is not None]
    said = "never" if last is None else f"{last['documents']} documents, batch {last['batch_id']}"
    lines.append(f"{'last ingest':14} {said}")
    lines += [
        f"{'running':14} {one['documents']} documents so far, batch {one['batch_id']}"
        for one in running
    ]
    if sample is not None:
        lines += ["", sample["id"], *(f"  {k}: {v}" for k, v in sample["metadata"].items())]
        lines += ["", sample["text"]]
        if sample["characters"] > TEXT_SHOWN:
            lines.append(f"[{sample['characters']:,} characters]")
    return "\n".join(lines)
