"""``send``: a line of text, files, or samples, as one batch that can be followed."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import click

from tickertape import feed, topics
from tickertape.broker import using
from tickertape.cli import naming
from tickertape.cli.failure import one_line
from tickertape.cli.sending import Plan, Sent, send
from tickertape.feed import FeedDocument, Shape, Skipped
from tickertape.samples import samples
from tickertape.settings import Settings

# What each topic that takes documents calls their id and text
SHAPES = {
    "text_messages": Shape(),
    "financial_documents": Shape(),
    "embedding_requests": Shape("document_id", "content"),
    "vector_updates": Shape("document_id", None),
    "embeddings": Shape("id", None),
}


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the command ``send``. Exit codes: 0 done, 1 failed, 2 wrong usage."""

    @click.command("send")
    @click.argument("words", nargs=-1, metavar="[TOPIC] [TEXT]")
    @click.option(
        "--file",
        "-f",
        "paths",
        multiple=True,
        type=click.Path(exists=True, allow_dash=True),
        help="Send a file or folder: .jsonl, .json, .txt, .md, also .gz; - is stdin. Repeatable.",
    )
    @click.option("--count", type=click.IntRange(1), help="Send so many sample documents.")
    @click.option("--topic", "named", help="Send to this topic, ours or another one.")
    @click.option("--batch", help="The batch's id.  [default: a new one]")
    @click.option("--key", help="The record's key, and the id of a TEXT that has none.")
    @click.option("--force", is_flag=True, help="Compute again what has not changed.")
    @click.option(
        "--wait/--no-wait",
        default=None,
        help="Follow the batch to its end.  [default: --wait on a terminal]",
    )
    @click.option(
        "--skip-bad", is_flag=True, help="Exit with 0 also where lines were skipped, and named."
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    @click.pass_context
    def command(
        context: click.Context,
        words: Sequence[str],
        paths: Sequence[str],
        count: int | None,
        named: str | None,
        batch: str | None,
        key: str | None,
        force: bool,
        wait: bool | None,
        skip_bad: bool,
        as_json: bool,
    ) -> None:
        """Send documents to Kafka, as one batch.

        TEXT is a text, or a record in JSON. TOPIC is text-messages, for samples
        financial-documents, whose documents are summarised too.
        """
        with one_line():
            settings = load_settings()
            topic, kind, text = _where(settings, words, named, bool(paths), count)
            if key is not None and text is None:
                raise click.UsageError("--key goes with a TEXT; records of files have ids")
            shape = SHAPES.get(kind or "", Shape())
            sent = Sent()
            entries = sent.fit(_entries(shape, text, paths, count, key))
            first = next(entries, None)
            total = None if paths else count or 1
            plan = Plan(
                topic,
                shape,
                batch or str(uuid.uuid4()),
                chain([] if first is None else [first], entries),
                total,
                key=key,
                joins=batch is not None,
                force=force,
                wait=sys.stdout.isatty() if wait is None else wait,
                quiet=as_json,
            )
            if first is not None:  # else there is no batch either
                with using(settings, naming.aside):
                    asyncio.run(send(settings, plan, sent))
        click.echo(json.dumps(_object(plan, sent)) if as_json else _summary(plan, sent))
        context.exit(0 if sent.done and (skip_bad or not sent.skipped) else 1)

    return [command]


def _where(
    settings: Settings, words: Sequence[str], named: str | None, files: bool, count: int | None
) -> tuple[str, str | None, str | None]:
    """Return the topic, its kind, and the text where one was given."""
    if files and count:
        raise click.UsageError("--file and --count exclude each other")
    free = list(words)
    typed = named
    takes_text = not files and not count
    if named is None and len(free) == (2 if takes_text else 1):
        typed = free.pop(0)
        known = [topics.names(settings)[kind] for kind in SHAPES]
        if naming.find(settings, typed)[1] not in SHAPES:
            raise click.UsageError(
                f"{typed!r} is not a topic to send to; expected one of {', '.join(known)}. "
                "Put a text of several words in quotes; --topic names any other topic"
            )
    if len(free) != (1 if takes_text else 0):
        raise click.UsageError("expected one of: a TEXT in quotes, --file PATH, --count N")
    if takes_text and named is None and typed is None and naming.find(settings, free[0])[1]:
        raise click.UsageError(f"no TEXT to send to {free[0]}; or --file PATH, or --count N")
    default = settings.topic_financial_documents if count else settings.topic_text_messages
    topic, kind = naming.find(settings, typed or default)
    if count and SHAPES.get(kind or "", Shape()).text is None:
        raise click.UsageError(f"samples are texts; {topic} takes none")
    return topic, kind, free[0] if takes_text else None


def _entries(
    shape: Shape, text: str | None, paths: Iterable[str], count: int | None, key: str | None
) -> Iterator[FeedDocument | Skipped]:
    if count:
        for number, sample in enumerate(samples(count), 1):
            id, body = sample.pop("id"), sample.pop("text")
            payload = {shape.id: id, shape.text or "text": body, **sample}
            yield FeedDocument(id, payload, f"sample {number}")
    elif text is None:
        yield from feed.read(paths, shape)
    elif text.lstrip().startswith("{"):
        yield feed.entry(text.encode("utf-8", "replace"), "TEXT", shape)
    else:
        yield feed.given(text, key, shape)


def _object(plan: Plan, sent: Sent) -> dict[str, Any]:
    state = sent.state or {}
    names = ("status", "total_documents", "processed_documents", "error_message")
    counts = ("done", "unchanged", "retrying", "dead")
    return {
        "batch_id": plan.batch_id if sent.count else None,
        "topic": plan.topic,
        "sent": sent.count,
        "skipped": sent.skipped,
        "passed_over": sent.passed_over,
        "id": sent.last_id if sent.count == 1 else None,
        **{name: state.get(name) for name in (*names, *counts)},
    }


def _summary(plan: Plan, sent: Sent) -> str:
    lines = [f"sent {sent.count} to {plan.topic}, batch {plan.batch_id}"]
    if sent.count == 1:
        lines[0] += f", id {sent.last_id}"
    if not sent.count:
        lines = ["nothing was sent, and there is no batch"]
    if sent.skipped:
        lines.append(f"skipped {sent.skipped}, named above")
    if sent.passed_over:
        lines.append(f"passed over {sent.passed_over} of other kinds, named above")
    if sent.state:
        state = sent.state
        lines.append(
            f"{state['status']}: {state['done']} done ({state['unchanged']} unchanged), "
            f"{state['dead']} dead"
        )
        if state["error_message"]:
            lines.append(str(state["error_message"]))
    elif sent.count:
        lines.append(f"follow it: faust -A app batches watch {plan.batch_id}")
    return "\n".join(lines)
