"""Search over the embedded store: how long it takes, idle and while ingesting, and what it misses.

``python -m loadtest.search [--chunks 10000,100000,1000000] [--json]``

One store grows from size to size (loadtest/search_corpus.py says what it is filled with, out of
the paragraphs and questions in ``--data``). At each size, p50 and p95 in ms of dense, keyword and
hybrid search through `tickertape.search.Search`:

- ``new``: keyword search by a process that never saw these words: it reads their lists.
- ``idle``: nothing else runs; the query's vector is ready, so this is the store's part. The words
  of the questions were asked for before, as in a worker that has served for a while.
- ``ingesting``: another process writes to the same file through the store's own `apply`, as a
  worker does, as fast as it can; ``written`` says how fast that was.
- ``embedding``: idle, the model's embedding of the query included.

Also the recall@10 of dense search against exact search over all vectors, the time and memory of
the first search of a process, and bytes on disk a chunk and a document. Exit code 1 when a
target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import psutil

from loadtest import data
from loadtest.processes import Report, main, say
from loadtest.search_corpus import CHUNKS_PER_DOCUMENT, Corpus, Sources, read
from testkit.models import ensure_model, model_settings
from tickertape import embed
from tickertape.documents import Vector
from tickertape.embed.runner import Runner
from tickertape.search import MODES, Search, SearchRequest
from tickertape.settings import Settings
from tickertape.stores.sqlite import SqliteStore

SIZES = (10_000, 100_000, 1_000_000)
QUERIES = 200
RECALL_QUERIES = 100
RECALL_AT = 10
WARM = 5
FILL_WINDOW = 2_000  # documents a transaction
INGEST_WINDOW = 32  # documents a transaction, as a stream makes them
INGEST_SHARE = 20  # the writer's documents: one for so many of the corpus, written again and again
INGEST_MIN = 500
SETTLE_SECONDS = 1.0
READ_ROWS = 20_000
RECALL_TARGET = 0.98
TARGETS_MS = {(100_000, "idle"): 10.0, (100_000, "ingesting"): 40.0, (1_000_000, "idle"): 30.0}


@dataclass(frozen=True)
class Known:
    """Embeds queries by looking them up."""

    vectors: dict[str, Vector]
    identity: str

    @property
    def embedder(self) -> Known:
        """Itself: it knows the model's identity."""
        return self

    async def embed_text(self, text: str) -> Vector:
        """Return [dimension]."""
        return self.vectors[text]


class Writer:
    """A process that writes to the store until it is stopped."""

    def __init__(self, folder: Path, sources: Sources, documents: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self.chunks: Synchronized[int] = context.Value("q", 0)
        self._process = context.Process(
            target=_write, args=(folder, sources, documents, self._stop, self.chunks), daemon=True
        )

    def start(self) -> None:
        """Return when it writes."""
        self._process.start()
        while not self.chunks.value:
            assert self._process.is_alive(), "the writer died"
            time.sleep(0.05)

    def stop(self) -> None:
        """Return when it has ended."""
        self._stop.set()
        self._process.join()


def _write(
    folder: Path, sources: Sources, documents: int, stop: Any, chunks: Synchronized[int]
) -> None:
    """Write the writer's own documents, then newer versions of them, window by window."""

    async def run() -> None:
        store = SqliteStore(Settings(data_dir=folder))
        await store.start()
        corpus, version = Corpus(sources), 0
        parent = multiprocessing.parent_process()
        assert parent is not None
        ready: list[Any] = []  # made before, so that what it costs to make them is not measured
        while not stop.is_set():
            if version < 2:
                version += 1
                ready = list(corpus.puts(0, min(documents, 5_000), version, prefix="live"))
            for low in range(0, len(ready), INGEST_WINDOW):
                if stop.is_set() or not parent.is_alive():
                    stop.set()
                    break
                window = ready[low : low + INGEST_WINDOW]
                await store.heads([put.document.key for put in window])
                await store.apply(window)
                chunks.value += len(window) * CHUNKS_PER_DOCUMENT
        await store.stop()

    asyncio.run(run())


@contextmanager
def writing(folder: Path, sources: Sources, chunks: int) -> Iterator[Writer]:
    """A writer beside the block."""
    writer = Writer(folder, sources, max(INGEST_MIN, chunks // CHUNKS_PER_DOCUMENT // INGEST_SHARE))
    writer.start()
    try:
        time.sleep(SETTLE_SECONDS)
        yield writer
    finally:
        writer.stop()


class Peak:
    """The most memory that this process had inside the block, above what it had at its start."""

    def __enter__(self) -> Peak:
        gc.collect()
        self._process = psutil.Process()
        self._first = self._most = self._process.memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kept_mb = (self._process.memory_info().rss - self._first) / 2**20
        self._done.set()
        self._thread.join()
        self.peak_mb = (self._most - self._first) / 2**20

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self._most = max(self._most, self._process.memory_info().rss)


async def fill(store: SqliteStore, corpus: Corpus, first: int, last: int) -> float:
    """Write documents ``first`` to ``last`` in large windows; return seconds."""
    began = time.monotonic()
    window: list[Any] = []
    for number, put in enumerate(corpus.puts(first, last), first + 1):
        window.append(put)
        if len(window) == FILL_WINDOW or number == last:
            failed = [r for r in await store.apply(window) if isinstance(r, Exception)]
            assert not failed, failed[0]
            window = []
            rate = (number - first) / (time.monotonic() - began)
            say(f"{number * CHUNKS_PER_DOCUMENT:,} chunks, {rate * CHUNKS_PER_DOCUMENT:,.0f}/s")
    return time.monotonic() - began


async def times(search: Search, mode: str, queries: Sequence[str]) -> dict[str, float]:
    """Search one after the other; p50 and p95 in ms. The first are not counted."""
    took: list[float] = []
    for query in queries:
        began = time.perf_counter()
        await search.search(SearchRequest(query, mode=mode))
        took.append((time.perf_counter() - began) * 1000)
    counted = took[WARM:]
    return {
        "p50": round(float(np.percentile(counted, 50)), 2),
        "p95": round(float(np.percentile(counted, 95)), 2),
    }


async def recall(search: Search, file: Path, queries: Sequence[str]) -> float:
    """The share of the exact ten nearest that dense search returns, over these queries."""
    say("exact search")
    vectors = [await search.runner.embed_text(query) for query in queries]
    exact = await asyncio.to_thread(nearest, file, np.stack(vectors))
    found = 0
    for query, truth in zip(queries, exact, strict=True):
        result = await search.search(SearchRequest(query, mode="dense", k=RECALL_AT))
        found += len(truth & {(hit.key.id, hit.ordinal) for hit in result.hits})
    return found / (RECALL_AT * len(queries))


def nearest(file: Path, queries: Any) -> list[set[tuple[str, int]]]:
    """The chunks of greatest cosine for each row of ``queries``, by reading every vector."""
    db = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    db.execute("BEGIN")
    best_ids = np.zeros((len(queries), 0), dtype=np.int64)
    best = np.zeros((len(queries), 0), dtype=np.float32)
    cursor = db.execute("SELECT id, vector FROM passages")
    while rows := list(islice(cursor, READ_ROWS)):
        ids = np.fromiter((id for id, _ in rows), dtype=np.int64)
        part = np.frombuffer(b"".join(v for _, v in rows), dtype=np.float32).reshape(len(ids), -1)
        scores = np.hstack([best, queries @ part.T])
        all_ids = np.hstack([best_ids, np.tile(ids, (len(queries), 1))])
        places = np.argpartition(-scores, RECALL_AT - 1, axis=1)[:, :RECALL_AT]
        best = np.take_along_axis(scores, places, axis=1)
        best_ids = np.take_along_axis(all_ids, places, axis=1)
    sql = "SELECT d.key, c.ordinal FROM chunks c JOIN documents d ON d.id = c.document"
    names = []
    for row in best_ids:
        found = (db.execute(f"{sql} WHERE c.id = ?", (int(id),)).fetchall()[0] for id in row)
        names.append({(str(key), int(str(ordinal))) for key, ordinal in found})
    db.close()
    return names


async def first_search(folder: Path, known: Known, query: str) -> dict[str, float]:
    """What the first search of a process costs: it loads the index."""
    store = SqliteStore(Settings(data_dir=folder))
    await store.start()
    try:
        with Peak() as memory:
            began = time.perf_counter()
            await Search(store, known).search(SearchRequest(query))
            seconds = time.perf_counter() - began
            gc.collect()
    finally:
        await store.stop()
    return {
        "seconds": round(seconds, 3),
        "kept_mb": round(memory.kept_mb, 1),
        "peak_mb": round(memory.peak_mb, 1),
    }


async def at_size(
    store: SqliteStore, sources: Sources, known: Known, runner: Runner, chunks: int, queries: int
) -> dict[str, Any]:
    """Everything that is measured at one size, with a store that has not searched yet."""
    folder = store.path.parent
    asked = sources.questions[: queries + WARM]
    search, whole = Search(store, known), Search(store, runner)
    result: dict[str, Any] = {"chunks": chunks, "first_search": {}}
    say(f"{chunks:,} chunks: first search")
    result["first_search"] = await first_search(folder, known, asked[0])
    size = sum(file.stat().st_size for file in folder.iterdir())
    result["bytes_per_chunk"] = round(size / chunks)
    result["bytes_per_document"] = round(size / chunks * CHUNKS_PER_DOCUMENT)
    say(f"{chunks:,} chunks: words never asked for")
    result["new"] = {"keyword": await times(search, "keyword", asked)}
    for mode in MODES:
        say(f"{chunks:,} chunks: {mode}, idle")
        result.setdefault("idle", {})[mode] = await times(search, mode, asked)
    for mode in ("dense", "hybrid"):
        say(f"{chunks:,} chunks: {mode}, embedding")
        result.setdefault("embedding", {})[mode] = await times(whole, mode, asked)
    result["recall"] = round(await recall(search, store.path, asked[:RECALL_QUERIES]), 4)
    say(f"{chunks:,} chunks: starting a writer")
    with writing(folder, sources, chunks) as writer:
        before, began = writer.chunks.value, time.monotonic()
        for mode in MODES:
            say(f"{chunks:,} chunks: {mode}, ingesting")
            result.setdefault("ingesting", {})[mode] = await times(search, mode, asked)
        seconds = time.monotonic() - began
        result["written_per_second"] = round((writer.chunks.value - before) / seconds)
    return result


async def measure(options: argparse.Namespace) -> Report:
    """Fill a store size by size and measure at each."""
    folder = options.folder or Path(tempfile.mkdtemp(prefix="tickertape-search-"))
    await asyncio.to_thread(ensure_model)
    runner = Runner(await asyncio.to_thread(embed.load, model_settings()), 16_384)
    await runner.start()
    store = SqliteStore(Settings(data_dir=folder))
    await store.start()
    sizes: list[dict[str, Any]] = []
    try:
        say("embedding the paragraphs")
        sources = await read(options.data, runner)
        corpus = Corpus(sources)
        known = Known(
            dict(zip(sources.questions, sources.question_vectors, strict=True)), sources.model
        )
        there = (await store.count("reports")).documents
        for chunks in options.chunks:
            documents = chunks // CHUNKS_PER_DOCUMENT
            seconds = await fill(store, corpus, min(there, documents), documents)
            there = max(there, documents)
            await store.stop()
            await store.start()
            found = await at_size(store, sources, known, runner, chunks, options.queries)
            sizes.append(found | {"fill_seconds": round(seconds, 1)})
    finally:
        await store.stop()
        await runner.stop()
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    missed = list(misses(sizes))
    return {
        "proof": "search",
        "ok": not missed,
        "model": sources.model,
        "sentences": len(sources.texts),
        "queries": options.queries,
        "sizes": sizes,
        "missed": missed,
    }


def misses(sizes: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Which targets are missed, in words."""
    for size in sizes:
        if size["recall"] < RECALL_TARGET:
            yield f"recall {size['recall']} < {RECALL_TARGET} at {size['chunks']:,}"
        for (chunks, state), target in TARGETS_MS.items():
            if chunks != size["chunks"]:
                continue
            for mode, found in size[state].items():
                if found["p95"] > target:
                    yield f"{mode} {state} p95 {found['p95']} > {target:g} ms at {chunks:,}"


def lines(report: Report) -> Iterator[str]:
    """The report in words."""
    yield f"{report['queries']} queries, p50 / p95 in ms; {report['model']}"
    for size in report["sizes"]:
        first = size["first_search"]
        yield f"{size['chunks']:,} chunks, {size['bytes_per_chunk']} bytes each on disk"
        for state in ("new", "idle", "ingesting", "embedding"):
            found = "  ".join(
                f"{mode} {took['p50']:.1f} / {took['p95']:.1f}"
                for mode, took in size[state].items()
            )
            yield f"  {state:10} {found}"
        yield f"  recall@{RECALL_AT} {size['recall']}, written {size['written_per_second']:,}/s"
        yield (
            f"  first search {first['seconds']} s, {first['kept_mb']} MB kept,"
            f" {first['peak_mb']} MB at most"
        )
    yield "missed: " + ("; ".join(report["missed"]) or "none")


def sizes_of(text: str) -> list[int]:
    """Parse ``--chunks``."""
    return sorted(int(part.replace("_", "")) for part in text.split(","))


def add(parser: argparse.ArgumentParser) -> None:
    """The proof's own options."""
    parser.add_argument("--chunks", type=sizes_of, default=list(SIZES), help="sizes, by commas")
    parser.add_argument("--queries", type=int, default=QUERIES, help="measured in each mode")
    data.add_option(parser, data.PARAGRAPHS, data.QUESTIONS)
    parser.add_argument("--folder", type=Path, help="keep the store here, and go on with it")


if __name__ == "__main__":
    sys.exit(main(__doc__, measure, lines, add))
