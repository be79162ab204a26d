"""``python -m docs.tables``: write the tables of docs/reference.md; ``--check`` compares.

A command, a route, a topic or a setting that is new is on the page after `make docs`, and
`tests/unit/test_docs.py` fails until then.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference.md"
BEGIN, END = "<!-- table: {name} -->\n", "<!-- end -->\n"

Row = tuple[str, ...]


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield our commands by name; Faust's own are left out, and so are second names."""
    from faust.cli.faust import cli

    import app as _app  # noqa: F401 - registers them

    yield from _walk(cli, "")


def routes() -> Iterator[tuple[str, str, str]]:
    """Yield method, path and purpose of every route, from the description that users get."""
    import app
    import web

    described = app.app.web_application[web.DESCRIPTION]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, _first_sentence(operation)


def _first_sentence(operation: Mapping[str, str]) -> str:
    text = " ".join((operation.get("description") or operation["summary"]).split())
    return sentence_of(text)


def sentence_of(text: str) -> str:
    """Return the first sentence of a text of one line, with whatever code stands in it."""
    code = re.compile(r"(`+).*?\1")
    plain = code.sub(lambda match: "x" * len(match[0]), text)
    stop = re.search(r"[.](?=\s|\Z)", plain)
    return text[: stop.end()] if stop else f"{text.rstrip(':')}."


def _walk(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
    seen = []
    for name, command in group.commands.items():
        callback = command.callback
        ours = not (callback and str(callback.__module__).startswith("faust."))
        if command.hidden or not ours or callback in seen:
            continue
        if isinstance(command, click.Group):
            yield from _walk(command, f"{before}{name} ")
        else:
            seen.append(callback)
            yield f"{before}{name}", command


def command_rows() -> Iterator[Row]:
    """Command with its arguments, what it does, its options."""
    yield "command", "what it does", "options"
    for name, command in sorted(commands()):
        context = click.Context(command)
        words = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
        options = [max(p.opts, key=len) for p in command.params if isinstance(p, click.Option)]
        if name == "worker":  # Faust's, of which ours is made; two of them matter here
            options = ["--web-port", "--loglevel"]
        shown = " ".join(f"`{option}`" for option in options)
        yield f"`{' '.join([name, *words])}`", _sentence(command), shown


def _sentence(command: click.Command) -> str:
    """The help's first sentence."""
    return command.get_short_help_str(limit=200)


def route_rows() -> Iterator[Row]:
    """Method, path, what it does."""
    yield "route", "what it does"
    for method, path, summary in routes():
        yield f"`{method} {path}`", summary


def topic_rows() -> Iterator[Row]:
    """Topic, partitions, key, what it carries; what belongs to each is said below the table."""
    from tickertape.flows import FLOWS
    from tickertape.settings import Settings
    from tickertape.topics import OUTPUTS

    yield "topic", "partitions", "key", "what it carries"
    rows = [
        (f.setting, f.partitions, f.key, f"{f.purpose}{'; compacted' if f.compacted else ''}")
        for f in FLOWS
    ]
    for setting, partitions, key, purpose in (*rows, *OUTPUTS):
        name = Settings.model_fields[f"topic_{setting}"].default
        yield f"`{name}`", str(partitions), key, purpose


def setting_rows() -> Iterator[Row]:
    """Variable with its other names, default, what it is."""
    from tickertape.settings import Settings, describe

    yield "setting", "default", "what it is"
    for name, entry in describe(Settings.model_construct()).items():
        alias: Any = Settings.model_fields[entry["field"]].validation_alias
        names = ", ".join(f"`{choice}`" for choice in alias.choices)
        default = "" if entry["default"] in {None, ""} else f"`{entry['default']}`"
        assert name == alias.choices[0]
        yield names, default, str(entry["description"])


TABLES: dict[str, Callable[[], Iterable[Row]]] = {
    "commands": command_rows,
    "routes": route_rows,
    "topics": topic_rows,
    "settings": setting_rows,
}


def table(rows: Iterable[Row]) -> str:
    """Return the rows, of which the first is the head, as a Markdown table."""
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def written(text: str) -> str:
    """Return the page with its tables as they must be."""
    for name, rows in TABLES.items():
        before, begin, rest = text.partition(BEGIN.format(name=name))
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise SystemExit(f"docs/reference.md: expected {BEGIN.format(name=name)} ... {END}")
        text = f"{before}{begin}{table(rows())}{end}{after}"
    return text


def main(args: list[str]) -> int:
    """Write the tables, or say which lines differ; return the exit code."""
    before = PAGE.read_text("utf-8")
    after = written(before)
    if args != ["--check"]:
        PAGE.write_text(after, "utf-8")
        return 0
    known = set(before.splitlines())
    missing = [line for line in after.splitlines() if line not in known]
    for line in missing or ([] if before == after else ["a line too many"]):
        print(f"docs/reference.md: {line}")
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
