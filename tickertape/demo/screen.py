"""What the demo prints. Nothing is decided here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.rule import Rule
from rich.status import Status
from rich.table import Table
from rich.text import Text

WIDTH_MAX = 100
MARKS = ("[1]", "[2]", "[3]", "[4]", "[5]")

Json = Mapping[str, Any]


class Screen:
    """A terminal, or a file: then without colours, spinners and moving bars."""

    def __init__(self, *, stderr: bool = False) -> None:
        self.console = Console(stderr=stderr, highlight=False, soft_wrap=False)
        self.console.width = min(self.console.width, WIDTH_MAX)

    def title(self, text: str) -> None:
        """Begin a part."""
        self.console.print()
        self.console.print(Rule(Text(text, style="bold"), align="left", style="dim"))

    def step(self, name: str, text: str, *, ok: bool = True) -> None:
        """Tell what is done or found."""
        mark = Text("ok   ", style="green") if ok else Text("WRONG", style="bold red")
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=5)
        grid.add_column(width=13)
        grid.add_column(overflow="fold")
        grid.add_row(mark, Text(name, style="bold"), Text(text))
        self.console.print(grid)

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line as it is: a path or a command is not cut in two."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def wrong(self, text: str, tail: Sequence[str] = (), log: str = "") -> None:
        """Tell what went wrong, with the end of a log."""
        self.console.print()
        self.console.print(Text(text, style="bold red"))
        for line in tail:
            self.console.print(Padding(Text(line, style="dim", overflow="fold"), (0, 0, 0, 2)))
        if log:
            self.line(f"all of it: {log}")

    def waiting(self, text: str) -> Status:
        """Return a spinner, to be used as a context."""
        return self.console.status(Text(text))

    def progress(self) -> Progress:
        """Return bars with rate, time left and a note (fields ``rate`` and ``note``)."""
        return Progress(
            TextColumn("{task.description:19}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>6}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", style="yellow"),
            console=self.console,
        )

    def hits(self, query: str, found: Json) -> None:
        """Print passages, each with where it stands and the words that were asked for."""
        self.console.print(Text.assemble(("? ", "dim"), (query, "bold")))
        words = set(re.findall(r"\w{4,}", query.lower()))
        for hit in found["results"]:
            title = hit["metadata"].get("title") or hit["id"]
            place = f"{hit['id']}, passage {hit['chunk'] + 1} of {hit['chunk_count']}"
            head = Text.assemble((f"{hit['score']:.2f}  ", "cyan"), (str(title), "bold"))
            text = Text(hit["excerpt"])
            text.highlight_words(sorted(words), "bold green", case_sensitive=False)
            self.console.print()
            self.console.print(Padding(Group(head, Text(place, style="dim"), text), (0, 0, 0, 2)))

    def summary(self, document: Json, summary: Json, chosen: Sequence[str] | None) -> None:
        """Print a summary and its document; the sentences it was made of are marked in both."""
        head = f"{len(document['text']):,} characters to {len(summary['summary'] or ''):,}"
        head += f" by {summary['model_name']}"
        self.console.print(Text(str(document["title"]), style="bold"))
        self.console.print(Text(head, style="dim"))
        self.console.print()
        marked = dict(zip(chosen or (), MARKS, strict=False))
        shown = [Text.assemble((f"{m} ", "cyan"), (s, "green")) for s, m in marked.items()]
        shown = shown or [Text(summary["summary"] or "", style="green")]
        self.console.print(Padding(Group(*shown), (0, 0, 0, 2)))
        self.console.print()
        self.console.print(Text("The document it was made of:", style="dim"))
        for paragraph in filter(None, document["text"].split("\n")):
            text = Text(paragraph, style="dim")
            for sentence, mark in marked.items():
                at = text.plain.find(sentence)
                if at >= 0:
                    head_, tail = text[:at], text[at + len(sentence) :]
                    text = Text.assemble(
                        head_, (f"{mark} ", "cyan"), (sentence, "not dim green"), tail
                    )
            self.console.print(Padding(text, (0, 0, 1, 2)))
