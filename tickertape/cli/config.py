"""``config show``: every setting as it is in force, secrets hidden."""

from __future__ import annotations

import json
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
        shown = {
            name: entry
            for name, entry in describe(load_settings()).items()
            if not changed or entry["value"] != entry["default"]
        }
        if as_json:
            click.echo(json.dumps({name: entry["value"] for name, entry in shown.items()}))
            return
        table = Table("setting", "value", "what it is", box=None, pad_edge=False)
        for name, entry in shown.items():
            value = "" if entry["value"] is None else str(entry["value"])
            table.add_row(name, value, str(entry["description"]))
        Console(soft_wrap=True).print(table)

    return [config]
