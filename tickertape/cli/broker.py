"""``faust -A app broker start | stop | status``: the embedded Kafka by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import click

from tickertape.broker import EmbeddedBroker, Status
from tickertape.cli.failure import one_line
from tickertape.errors import BrokerError
from tickertape.settings import Settings


def commands(load_settings: Callable[[], Settings]) -> click.Group:
    """Return the group ``broker``. Exit codes: 0 done (or running), 1 failed (or not running)."""

    @click.group("broker")
    def broker() -> None:
        """Start, stop and look at the embedded Kafka broker."""

    @broker.command("start")
    def start() -> None:
        """Start it; it stays until `broker stop`, whoever comes and goes."""
        with one_line():
            found = _embedded(load_settings())
            found.start(click.echo)
            _print(found.status())

    @broker.command("stop")
    def stop() -> None:
        """Stop it. Workers that use it wait until it is started again."""
        with one_line():
            found = _embedded(load_settings())
            users = found.status().users
            click.echo("stopped" if found.stop() else "it was not running")
            if users:
                click.echo(f"still using it, and waiting for it: pid {_list(users)}", err=True)

    @broker.command("status")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    @click.pass_context
    def status(context: click.Context, as_json: bool) -> None:
        """Say whether it runs, and where. Exit code 1 where it does not."""
        with one_line():
            found = _embedded(load_settings()).status()
            if as_json:
                click.echo(json.dumps(asdict(found)))
            else:
                _print(found)
        context.exit(0 if found.state == "running" else 1)

    return broker


def _embedded(settings: Settings) -> EmbeddedBroker:
    if not settings.embedded_broker:
        raise BrokerError(
            f"KAFKA_BROKERS names {settings.brokers}: the embedded broker is not used; unset it"
        )
    return EmbeddedBroker(settings.data_dir, settings.broker_port)


def _print(found: Status) -> None:
    if found.state == "foreign":
        click.echo(f"not running: another server has {found.bootstrap}")
        return
    click.echo(f"{found.state}: Apache Kafka {found.version} at {found.bootstrap}")
    if found.pid:
        stays = "stays until `broker stop`" if found.kept else "stops with its last user"
        click.echo(f"pid {found.pid}, {stays}; used by: {_list(found.users) or 'nobody'}")
    click.echo(f"folder {found.folder}")


def _list(pids: list[int]) -> str:
    return ", ".join(map(str, pids))
