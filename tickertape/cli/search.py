"""``search``: ask the configured store, with or without a worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from tickertape import filter_text
from tickertape.cli.failure import one_line
from tickertape.embed import load
from tickertape.embed.runner import Runner
from tickertape.search import READINGS, Search, SearchRequest, SearchResult
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
    @click.option(
        "--reading",
        type=click.Choice(READINGS),
        default="prefer",
        show_default=True,
        help="What is made of the company, period and form that QUERY names.",
    )
    @click.option("--group", default=0, help="By document, with so many other passages of it.")
    @click.option("--neighbours", default=0, help="So many passages before and after each.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    def search(
        query: str,
        k: int,
        mode: str,
        filters: tuple[str, ...],
        collection: str | None,
        reading: str,
        group: int,
        neighbours: int,
        as_json: bool,
    ) -> None:
        """Find the passages nearest to QUERY."""
        with one_line():
            wanted = filter_text.filters(filters)
            request = SearchRequest(
                query=query,
                k=k,
                mode=mode,
                filters=wanted,
                collection=collection,
                reading=reading,
                group=group,
                neighbours=neighbours,
            )
            result = asyncio.run(_search(load_settings(), request))
        if as_json:
            click.echo(json.dumps(_plain(result)))
            return
        for number, hit in enumerate(result.hits, 1):
            title = hit.metadata.get("title") or hit.key.id
            click.secho(f"{number}. {title}", bold=True, nl=False)
            click.echo(f"  {hit.score:.3f}  {hit.key.collection}/{hit.key.id}")
            for line in (*hit.before, hit.excerpt, *hit.after, *(o.excerpt for o in hit.others)):
                click.echo(f"   {' '.join(line.split())}")
        read = (*result.read.companies, *result.read.periods, *result.read.forms)
        first = f", {', '.join(read)} first" if read else ""
        click.echo(f"{len(result.hits)} results in {result.took_ms:.0f} ms{first}")

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
                "excerpt": hit.excerpt,
                "chunk": hit.ordinal,
                "chunk_count": hit.chunk_count,
                "metadata": dict(hit.metadata),
                "summary": hit.summary,
                "others": [
                    {"score": one.score, "text": one.text, "chunk": one.ordinal}
                    for one in hit.others
                ],
                "before": list(hit.before),
                "after": list(hit.after),
            }
            for hit in result.hits
        ],
        "read": asdict(result.read),
        "took_ms": result.took_ms,
    }
