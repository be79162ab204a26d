"""``summarize``: one file's summary, as a worker would make it; nothing is stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import click

from tickertape import feed
from tickertape.cli.failure import one_line
from tickertape.embed import load
from tickertape.embed.runner import Runner
from tickertape.errors import InvalidRecord
from tickertape.settings import Settings
from tickertape.summarize import open_summarizer
from tickertape.summarize.base import Summary, SummaryRequest


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the command ``summarize``."""

    @click.command("summarize")
    @click.argument("file")
    @click.option("--sentences", type=click.IntRange(1, 50), help="Default: the settings'.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object a document.")
    def summarize(file: str, sentences: int | None, as_json: bool) -> None:
        """Summarise FILE, or stdin where it is a dash: a text, or JSON lines of documents."""
        settings = load_settings()
        if sentences is not None:
            settings = settings.model_copy(update={"summary_sentences": sentences})
        with one_line():
            requests = [_request(item) for item in feed.read([file])]
            if not requests:
                raise InvalidRecord("file", "a document", file)
            found = asyncio.run(_summaries(settings, requests))
        for request, summary in zip(requests, found, strict=True):
            _tell(request, summary, as_json=as_json)

    return [summarize]


def _request(item: feed.FeedDocument | feed.Skipped) -> SummaryRequest:
    if isinstance(item, feed.Skipped):
        raise InvalidRecord(item.where, "a document", item.reason)
    payload = dict(item.payload)
    return SummaryRequest(item.id, str(payload.pop("text")), payload)


async def _summaries(settings: Settings, requests: list[SummaryRequest]) -> list[Summary]:
    runner = Runner(await asyncio.to_thread(load, settings), settings.batch_tokens)
    await runner.start()
    summarizer = open_summarizer(settings, runner)
    try:
        await summarizer.start()
        return [await summarizer.summarize(request) for request in requests]
    finally:
        await summarizer.stop()
        await runner.stop()


def _tell(request: SummaryRequest, summary: Summary, *, as_json: bool) -> None:
    if as_json:
        told = {
            "id": request.id,
            "summary": summary.text,
            "model_name": summary.model_name,
            "status": "unverified" if summary.unsupported else "completed",
            "unsupported": list(summary.unsupported),
            "total_tokens": summary.total_tokens,
        }
        click.echo(json.dumps(told))
        return
    click.echo(summary.text)
    if summary.unsupported:
        listed = ", ".join(summary.unsupported)
        click.secho(f"! not in the document: {listed}", fg="yellow")
    click.echo(f"by {summary.model_name}", err=True)
