"""``config show``: every setting as it is in force, secrets hidden."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import click
from rich.console import Console
from rich.table import Table

from tickertape.settings import Settings, describe


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the group ``config``."""

    @click.group("config")
    def config() -> None:
        """The settings in force."""

    @config.command("show")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    @click.option("--changed", is_flag=True, help="Only those that differ from their default.")
    def show(as_json: bool, changed: bool) -> None:
        """Print every setting. Secrets are hidden."""
        settings = load_settings()
        for line in settings.ignored:
            click.echo(line, err=True)
        shown = {
            name: entry
            for name, entry in describe(settings).items()
            if not changed or entry["value"] != entry["default"]
        }
        if as_json:
            click.echo(json.dumps({name: entry["value"] for name, entry in shown.items()}))
            return
        rows = [
            (name, "" if entry["value"] is None else str(entry["value"]), str(entry["description"]))
            for name, entry in shown.items()
        ]
        if sys.stdout.isatty():
            table = Table("setting", "value", "what it is", box=None, pad_edge=False)
            for row in rows:
                table.add_row(*row)
            Console(soft_wrap=True).print(table)
            return
        # Into a pipe or a file a row is a line, however long: a program looks for it there.
        widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
        for name, value, text in rows:
            click.echo(f"{name:{widths[0]}}  {value:{widths[1]}}  {text}")

    return [config]
