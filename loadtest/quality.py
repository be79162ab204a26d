"""How good search and summaries are, on texts whose right answers are known.

``python -m loadtest.quality [--data PATH] [--store NAME] [--parts ...] [--keep FILE] [--json]``

- ``questions``: the paragraphs of ``paragraphs.jsonl.gz``, each a document, and the questions of
  ``questions.jsonl.gz`` beside them. A question's answers are all paragraphs with the text of one
  that is marked relevant.
- ``known``: every earnings call is a document, and is asked for by its company and period
  (`loadtest.known_items`). Reported are companies on which nothing was tuned; ``--tuning`` reports
  the others instead.
- ``odd``: queries of `loadtest.odd_queries`, asked among the calls.
- ``summaries``: what `loadtest.summaries` measures.

Asked are `tickertape.search.Search` in each mode and, in the same run, what it is made of: the
store's BM25, its cosines, and ``plain``, their min-max sum, which reads nothing out of a question
(the ranking that Search had before it did). Means have bootstrap intervals of 95 % beside them.
``--keep`` names a file in which the vectors of the corpus stay for the next run. Exit code 1 when a
gate is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr

from loadtest import data, known_items
from loadtest.data import rows
from loadtest.figures import interval, percentiles
from loadtest.kept import KeptRunner
from loadtest.odd_queries import DOCUMENTS, ODD
from testkit import postgres, redis
from testkit.models import ensure_model, model_settings
from testkit.postgres import Postgres
from testkit.redis import Redis
from tickertape import embed
from tickertape.documents import Document, DocumentKey
from tickertape.pipeline import Pipeline
from tickertape.search import MODES, Search, SearchRequest
from tickertape.settings import Settings
from tickertape.stores import STORES, open_stores
from tickertape.stores.base import Hit, Mode, Query, Store
from tickertape.text import comparable
from tickertape.versions import Origin, Stamp, Version

PARTS = ("questions", "known", "odd", "summaries")
TOP = 10
DEPTH = 200  # candidates of each side
WINDOW = 256
FIRST_CALL = 1200  # summaries are tuned on those before
# (part, system, figure): at least
GATES = {
    ("questions", "dense", "ndcg@10"): 0.46,
    ("questions", "keyword", "ndcg@10"): 0.50,
    ("questions", "hybrid", "ndcg@10"): 0.545,
    ("known", "hybrid", "recall@5"): 0.95,
}
# Of stores on servers: the server, and the setting that names it
SERVERS: Mapping[str, tuple[Callable[[], Postgres | Redis | None], str]] = {
    "pgvector": (postgres.shared, "database_url"),
    "redis": (redis.shared, "redis_url"),
}

Texts = Mapping[str, tuple[str, Mapping[str, Any]]]  # text and metadata by id
Ranking = Sequence[str]  # ids of documents, best first
System = Callable[[str], Awaitable[Ranking]]
Report = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A question and the ids that answer it."""

    question: str
    relevant: frozenset[str]


def measures(found: Ranking, relevant: frozenset[str]) -> dict[str, float]:
    """Return recall@1, @5 and @10, the reciprocal rank and nDCG@10 of one answer, every relevant
    document as good as the others."""
    places = [rank for rank, id in enumerate(found[:TOP]) if id in relevant]
    discount = 1 / np.log2(np.arange(2, TOP + 2))
    at = {
        f"recall@{k}": sum(rank < k for rank in places) / min(len(relevant), k) for k in (1, 5, TOP)
    }
    return at | {
        "mrr": 1 / (places[0] + 1) if places else 0.0,
        "ndcg@10": float(discount[places].sum() / discount[: len(relevant)].sum()),
    }


async def measure(asked: Sequence[Asked], systems: Mapping[str, System]) -> Report:
    """Ask every system every question, in turn."""
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    took: dict[str, list[float]] = {name: [] for name in systems}
    for one in asked:
        for name, system in systems.items():
            begun = time.perf_counter()
            found = await system(one.question)
            took[name].append(1000 * (time.perf_counter() - begun))
            scores[name].append(measures(found, one.relevant))
    report: Report = {"questions": len(asked)}
    for name, each in scores.items():
        report[name] = {
            what: interval([score[what] for score in each]) for what in (each[0] if each else ())
        }
        report[name]["ms"] = percentiles(took[name])
    return report


class Systems:
    """What is measured, over one store."""

    def __init__(self, store: Store, runner: KeptRunner) -> None:
        self.search = Search(store, runner)
        self._store, self._runner = store, runner

    def all(self) -> dict[str, System]:
        """Return them by name."""
        modes: dict[str, System] = {mode: self._mode(mode) for mode in MODES}
        return {"bm25": self._bm25, "cosine": self._cosine, "plain": self._plain} | modes

    def _mode(self, mode: str) -> System:
        async def ask(question: str) -> Ranking:
            request = SearchRequest(question, mode=mode, k=TOP, per_document=True)
            return [hit.key.id for hit in (await self.search.search(request)).hits]

        return ask

    async def _bm25(self, question: str) -> Ranking:
        return _documents(_scores(await self._keyword(question)))

    async def _cosine(self, question: str) -> Ranking:
        return _documents(_scores(await self._dense(question)))

    async def _plain(self, question: str) -> Ranking:
        dense, keyword = await asyncio.gather(self._dense(question), self._keyword(question))
        sums: dict[tuple[str, int], float] = {}
        for hits in (dense, keyword):
            scores = _scores(hits)
            low = min(scores.values(), default=0.0)
            spread = (max(scores.values(), default=0.0) - low) or 1.0
            for chunk, score in scores.items():
                sums[chunk] = sums.get(chunk, 0.0) + (score - low) / spread / 2
        return _documents(sums)

    async def _keyword(self, question: str) -> list[Hit]:
        return await self._store.search(Query(Mode.KEYWORD, DEPTH, text=question))

    async def _dense(self, question: str) -> list[Hit]:
        vector = await self._runner.embed_text(comparable(question).text)
        model = self._runner.embedder.identity
        return await self._store.search(Query(Mode.DENSE, DEPTH, vector=vector, model=model))


def _scores(hits: Iterable[Hit]) -> dict[tuple[str, int], float]:
    return {(hit.key.id, hit.ordinal): hit.score for hit in hits}


def _documents(scores: Mapping[tuple[str, int], float]) -> Ranking:
    ranked = sorted(scores, key=lambda chunk: -scores[chunk])
    return list(dict.fromkeys(id for id, _ in ranked))[:TOP]


@asynccontextmanager
async def filled(name: str, runner: KeptRunner, texts: Texts) -> AsyncIterator[Store]:
    """An empty store of this name, filled with texts and metadata by id."""
    with tempfile.TemporaryDirectory(prefix="tickertape-quality-") as home:
        named: dict[str, Any] = {}
        if name in SERVERS:
            serve, field = SERVERS[name]
            if (server := serve()) is not None:
                named[field] = SecretStr(server.url)
        (store,) = open_stores(Settings(stores=(name,), data_dir=Path(home), **named))
        await store.start()
        try:
            pipeline = Pipeline(store, runner, chunk_tokens=256, overlap_tokens=32)
            documents = [
                Document(
                    *(DocumentKey("p", id), text, Version((), Stamp(1, n)), Origin("p", 0, n)),
                    metadata=metadata,
                )
                for n, (id, (text, metadata)) in enumerate(texts.items())
            ]
            for low in range(0, len(documents), WINDOW):
                for result in await pipeline.run(documents[low : low + WINDOW]):
                    if isinstance(result, Exception):
                        raise result
            runner.save()
            yield store
        finally:
            await store.stop()


async def on_questions(folder: Path, name: str, runner: KeptRunner) -> Report:
    """Questions to paragraphs of reports, which name no company."""
    ids: dict[str, str] = {}  # text: the first id of it
    known: dict[str, str] = {}  # id: that id
    for row in rows(folder / data.PARAGRAPHS):
        known[row["id"]] = ids.setdefault(row["text"], row["id"])
    asked = [
        Asked(row["question"], frozenset(known[id] for id in row["relevant"]))
        for row in rows(folder / data.QUESTIONS)
    ]
    texts: Texts = {id: (text, {}) for text, id in ids.items()}
    async with filled(name, runner, texts) as store:
        return await measure(asked, Systems(store, runner).all())


async def on_calls(
    folder: Path, name: str, runner: KeptRunner, parts: Sequence[str], *, held_out: bool
) -> Report:
    """Known items, and odd queries among them."""
    calls = rows(folder / data.CALLS)
    texts = {call["id"]: known_items.document(call) for call in calls}
    asked = [
        Asked(item.question, frozenset({item.id}))
        for item in known_items.questions(calls)
        if item.held_out == held_out
    ]
    report: Report = {}
    async with filled(name, runner, texts | DOCUMENTS) as store:
        systems = Systems(store, runner)
        if "known" in parts:
            report["known"] = await measure(asked, systems.all())
        if "odd" in parts:
            report["odd"] = await odd(systems.search)
    return report


async def odd(search: Search) -> Report:
    """Ask the odd queries."""
    wrong: dict[str, list[Any]] = {}
    for one in ODD:
        hits = (await search.search(SearchRequest(one.query, k=5, per_document=True))).hits
        found = [(hit.key.id, round(hit.score, 3)) for hit in hits]
        if not one.right(found):
            wrong[one.query] = found[:2]
    return {"queries": len(ODD), "right": len(ODD) - len(wrong), "wrong": wrong}


async def report_of(options: argparse.Namespace) -> Report:
    """Measure the parts that are asked for."""
    await asyncio.to_thread(ensure_model)
    engine = await asyncio.to_thread(embed.load, model_settings())
    runner = KeptRunner(engine, 16_384, options.keep)
    report: Report = {"model": engine.identity, "store": options.store}
    await runner.start()
    try:
        if "questions" in options.parts:
            report["questions"] = await on_questions(options.data, options.store, runner)
        if {"known", "odd"} & set(options.parts):
            report |= await on_calls(
                *(options.data, options.store, runner, options.parts), held_out=not options.tuning
            )
    finally:
        await runner.stop()
    if "summaries" in options.parts:
        from loadtest import summaries  # needs rouge-score and sumy

        calls = summaries.calls(options.data / data.CALLS, FIRST_CALL, options.calls)
        report["summaries"] = found = await summaries.measure(calls, None)
        found["missed"] = summaries.missed(found)
    report["missed"] = missed(report)
    return report


def missed(report: Report) -> list[str]:
    """Return the gates that the report misses, in words."""
    found = []
    for (part, system, figure), least in GATES.items():
        if part in report and (value := report[part][system][figure]["mean"]) < least:
            found.append(f"{part}: {system} {figure} {value} < {least}")
    if "odd" in report and report["odd"]["wrong"]:
        found.append(f"odd: {', '.join(map(repr, report['odd']['wrong']))}")
    if "summaries" in report:
        found += [f"summaries: {each}" for each in report["summaries"]["missed"]]
    return found


def tell(report: Report) -> None:
    """Print the report in words."""
    print(f"{report['model']}, {report['store']}")
    for part in ("questions", "known"):
        for name, scores in report.get(part, {}).items():
            if isinstance(scores, int):
                print(f"{part}: {scores}")
                continue
            figures = (
                f"{what} {value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
                for what, value in scores.items()
                if what != "ms"
            )
            print(f"  {name:8}", *figures, f"p95 {scores['ms']['p95']} ms", sep="  ")
    if "odd" in report:
        print(f"odd: {report['odd']['right']} of {report['odd']['queries']} right")
        for query, found in report["odd"]["wrong"].items():
            print(f"  {query!r}: {found}")
    for name, score in report.get("summaries", {}).get("scores", {}).items():
        print(f"  {name:18}", *(f"{k} {v}" for k, v in score.items()), sep="  ")
    print("missed:", "; ".join(report["missed"]) or "none")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data.add_option(parser, data.PARAGRAPHS, data.QUESTIONS, data.CALLS)
    parser.add_argument(
        "--store", default="sqlite", choices=sorted(STORES), help="the one searched"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="vectors for the next run, .npz")
    parser.add_argument("--tuning", action="store_true", help="the known items to tune on")
    parser.add_argument("--calls", type=int, help="at most so many calls are summarised")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    report = asyncio.run(report_of(options := parser.parse_args()))
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        tell(report)
    return 1 if report["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
