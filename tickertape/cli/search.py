"""``search``: ask the configured store, with or without a worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import click

from tickertape import filter_text
from tickertape.cli.failure import one_line
from tickertape.embed import load
from tickertape.embed.runner import Runner
from tickertape.search import Search, SearchRequest, SearchResult
from tickertape.settings import Settings
from tickertape.stores import open_stores

FILTER_HELP = "Of the metadata; also with >=, >, <=, < (a number, a date) and ~ (part of a text)."


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the command ``search``."""

    @click.command("search")
    @click.argument("query")
    @click.option("-k", "k", default=5, show_default=True, help="Results.")
    @click.option(
        "--mode",
        type=click.Choice(["hybrid", "dense", "keyword"]),
        default="hybrid",
        show_default=True,
    )
    @click.option("--filter", "filters", multiple=True, metavar="FIELD=VALUE", help=FILTER_HELP)
    @click.option("--collection", help="Search one collection only.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    def search(
        query: str,
        k: int,
        mode: str,
        filters: tuple[str, ...],
        collection: str | None,
        as_json: bool,
    ) -> None:
        """Find the passages nearest to QUERY."""
        with one_line():
            wanted = filter_text.filters(filters)
            request = SearchRequest(
                query=query, k=k, mode=mode, filters=wanted, collection=collection
            )
            result = asyncio.run(_search(load_settings(), request))
        if as_json:
            click.echo(json.dumps(_plain(result)))
            return
        for number, hit in enumerate(result.hits, 1):
            title = hit.metadata.get("title") or hit.key.id
            click.secho(f"{number}. {title}", bold=True, nl=False)
            click.echo(f"  {hit.score:.3f}  {hit.key.collection}/{hit.key.id}")
            click.echo(f"   {' '.join(hit.text.split())[:400]}")
        click.echo(f"{len(result.hits)} results in {result.took_ms:.0f} ms")

    return [search]


async def _search(settings: Settings, request: SearchRequest) -> SearchResult:
    store = open_stores(settings)[0]  # the first answers
    await store.start()
    runner = Runner(await asyncio.to_thread(load, settings), settings.batch_tokens)
    await runner.start()
    try:
        return await Search(store, runner).search(request)
    finally:
        await runner.stop()
        await store.stop()


def _plain(result: SearchResult) -> dict[str, Any]:
    return {
        "results": [
            {
                "id": hit.key.id,
                "collection": hit.key.collection,
                "score": hit.score,
                "text": hit.text,
                "chunk": hit.ordinal,
                "chunk_count": hit.chunk_count,
                "metadata": dict(hit.metadata),
            }
            for hit in result.hits
        ],
        "took_ms": result.took_ms,
    }
