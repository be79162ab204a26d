"""What the commands of ``dlq`` have in common: which letters are meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from tickertape import topics
from tickertape.cli import naming
from tickertape.dlq import entries, filters, marks
from tickertape.dlq.box import Selection
from tickertape.dlq.filters import Filter
from tickertape.dlq.letter import Place
from tickertape.errors import InvalidRecord
from tickertape.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
_RATE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)(?:/([smh]))?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class Id(click.ParamType):
    """TOPIC/PARTITION/OFFSET, as `dlq list` prints it."""

    name = "id"

    def convert(self, value: Any, param: Any, ctx: Any) -> Place:
        """Read it; wrong usage where it is none."""
        try:
            return Place.parse(value)
        except InvalidRecord as error:
            self.fail(str(error), param, ctx)


class When(click.ParamType):
    """A time: ``2h`` ago, or ISO 8601. Epoch milliseconds."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Read it; wrong usage where it is none."""
        try:
            return filters.when(param.opts[0] if param else "time", value)
        except InvalidRecord as error:
            self.fail(str(error), param, ctx)


class Rate(click.ParamType):
    """Letters a second: ``50``, ``50/s``, ``600/m``."""

    name = "n/s"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Read it; wrong usage where it is none."""
        found = _RATE.fullmatch(value.strip())
        rate = float(found[1]) / _SECONDS[found[2] or "s"] if found else 0.0
        if rate <= 0:
            self.fail(f"expected 50, 50/s or 600/m, got {value!r}", param, ctx)
        return rate


def filtered(command: F) -> F:
    """Add the options that choose letters; `selection` reads them."""
    options = (
        click.option("--topic", multiple=True, help="By its name, or the DLQ's. Repeatable."),
        click.option("--error-class", type=click.Choice(filters.ERROR_CLASSES)),
        click.option("--error", help="The exception's name, as InvalidRecord."),
        click.option("--key", help="The record's key."),
        click.option("--batch", help="The batch's id."),
        click.option("--since", type=When(), help="Died since: 2h, 7d, or ISO 8601 (UTC)."),
        click.option("--until", type=When(), help="Died before."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def selection(
    settings: Settings,
    *,
    ids: Sequence[Place] = (),
    any_state: bool = False,
    again: bool = False,
    topic: Sequence[str] = (),
    error_class: str | None = None,
    error: str | None = None,
    key: str | None = None,
    batch: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Selection:
    """Return the letters that the options mean. Raises click.UsageError."""
    wanted = Filter(error_class, error, key, batch, since, until)
    if ids and (topic or wanted != Filter()):
        raise click.UsageError("an ID names its letter: leave the filters out")
    states = marks.ALL if any_state else marks.AGAIN if again else marks.ONLY_OPEN
    return Selection(tuple(_topic(settings, name) for name in topic), wanted, tuple(ids), states)


def chosen(settings: Settings, *, all: bool = False, **options: Any) -> Selection:
    """Return the letters that a command changes: it is never all of them by leaving things out.

    Raises click.UsageError.
    """
    wanted = selection(settings, **options)
    some = bool(wanted.ids or wanted.topics or wanted.filter != Filter())
    if wanted.ids and all:
        raise click.UsageError("an ID names its letter: leave --all out")
    if not (some or all):
        raise click.UsageError(
            "say which letters: an ID, a filter (--topic, --error, --batch, ...), or --all"
        )
    return wanted


def _topic(settings: Settings, typed: str) -> str:
    """The DLQ of a topic; a DLQ or parking topic, also one that is no longer ours, as typed."""
    known = entries.entries(settings)
    name, _ = naming.find(settings, typed)
    if name in known:
        return topics.dlq(name)
    base = entries.base_of(typed)
    if base is None:
        names = ", ".join(known)
        raise click.UsageError(f"--topic: expected one of {names}, or a -dlq topic, got {typed!r}")
    renamed, _ = naming.find(settings, base)
    return typed if renamed not in known else renamed + typed.removeprefix(base)
