"""``ask``: a question to the configured store, answered with its sources; no worker is needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import click

from tickertape import filter_text
from tickertape.answer import Answer, Answers, Question, Sources, Statement, shown
from tickertape.cli.failure import one_line
from tickertape.embed import load
from tickertape.embed.runner import Runner
from tickertape.llm import open_llm
from tickertape.search import Search
from tickertape.settings import Settings
from tickertape.stores import open_stores


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the command ``ask``."""

    @click.command("ask")
    @click.argument("question")
    @click.option(
        "-k", "k", default=6, show_default=True, type=click.IntRange(1, 50), help="Sources."
    )
    @click.option("--filter", "filters", multiple=True, metavar="FIELD=VALUE", help="Metadata.")
    @click.option("--collection", help="Answer from one collection only.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    def ask(
        question: str, k: int, filters: tuple[str, ...], collection: str | None, as_json: bool
    ) -> None:
        """Answer QUESTION from the stored passages, with the sources of each sentence."""
        with one_line():
            wanted = filter_text.filters(filters)
            asked = Question(question, k=k, filters=wanted, collection=collection)
            answer = asyncio.run(_ask(load_settings(), asked, show=not as_json))
        if as_json:
            click.echo(json.dumps(shown(answer)))
        else:
            tell(answer)

    return [ask]


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Answers]:
    """Answers as a worker of these settings gives them."""
    store = open_stores(settings)[0]  # the first answers
    model = open_llm(settings)
    await store.start()
    runner = Runner(await asyncio.to_thread(load, settings), settings.batch_tokens)
    await runner.start()
    try:
        yield Answers(Search(store, runner), model, settings.answer_tokens_max)
    finally:
        if model is not None:
            await model.stop()
        await runner.stop()
        await store.stop()


async def _ask(settings: Settings, question: Question, *, show: bool) -> Answer:
    async with opened(settings) as answers:
        return await said(answers, question, show=show)


async def said(answers: Answers, question: Question, *, show: bool = True) -> Answer:
    """Ask, write the answer as it comes, and return it."""
    async with aclosing(answers.stream(question)) as events:
        async for event in events:
            if isinstance(event, Answer):
                if show:
                    click.echo()
                return event
            if show and not isinstance(event, Sources):
                click.echo(event, nl=False)
    raise AssertionError("a stream ends with its answer")


def tell(answer: Answer) -> None:
    """Write what is to be known of an answer: doubts about its sentences, and its sources."""
    for sentence in answer.sentences:
        for doubt in doubts(sentence):
            click.secho(f"! {doubt}: {' '.join(sentence.text.split())[:160]}", fg="yellow")
    if answer.cut:
        click.secho("! cut at its greatest length (TICKERTAPE_ANSWER_TOKENS_MAX)", fg="yellow")
    for source in answer.sources:
        hit = source.hit
        title = hit.metadata.get("title") or hit.key.id
        place = f", passage {hit.ordinal + 1} of {hit.chunk_count}" if hit.chunk_count > 1 else ""
        click.secho(f"[{source.number}] {title}", bold=True, nl=False)
        click.echo(f"  {hit.key.collection}/{hit.key.id}{place}")
    click.echo(f"by {answer.model} in {answer.took_ms / 1000:.1f} s")


def doubts(sentence: Statement) -> list[str]:
    """Return what is wrong with a sentence, in words."""
    wrong = [figure.text for figure in sentence.figures if not figure.stands]
    found = [f"not in its sources: {', '.join(wrong)}"] if wrong else []
    if sentence.unknown:
        found.append(f"no such source: {', '.join(f'[{n}]' for n in sentence.unknown)}")
    if not sentence.sources:
        found.append("rests on no source")
    return found
