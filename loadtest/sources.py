"""Sources: rows of PostgreSQL a second to the queue, memory meanwhile, PDFs beside the bare
library, and how soon a change is found.

``python -m loadtest.sources [--rows 100000] [--changes 20] [--json]``

The worker that ingests has no other role but to fold progress, so that nothing waits for a model.
A change is a file that is written, or a row that is put, into a source that is watched; it is found
when a keyword search of the worker answers with it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pypdfium2

from loadtest import processes, usage
from loadtest.processes import Bench, Report, say
from testkit.postgres import Postgres
from testkit.system import Worker, until
from tickertape.sources.pdf import PdfReader

ROWS_A_SECOND_MIN = 5_000.0
FLAT_MB = 50.0  # from the first fifth to the last
PDF_SHARE_MIN = 0.9
FOUND_SECONDS_MAX = 2.0  # p95
ROUNDS = 9
AHEAD = 10_000_000


async def measure(options: argparse.Namespace) -> Report:
    """Run all legs."""
    server = await asyncio.to_thread(Postgres)
    try:
        async with processes.broker() as broker:
            async with processes.bench(broker, TICKERTAPE_ROLES="ingest,progress") as bench:
                rows = await _rows(bench, server, options.rows)
            async with processes.bench(broker) as bench:
                found = await _changes(bench, server, options.changes)
    finally:
        await asyncio.to_thread(server.close)
    pages = await asyncio.to_thread(_pages, options.pdfs)
    report = {"proof": "sources", **rows, **pages, **found}
    slowest = max(report["file_found_p95"], report["row_found_p95"])
    share = report["pdf_over_bare"]
    report["ok"] = (
        report["rows_a_second"] >= ROWS_A_SECOND_MIN
        and report["memory_grown_mb"] <= FLAT_MB
        and (share is None or share >= PDF_SHARE_MIN)
        and slowest <= FOUND_SECONDS_MAX
    )
    return report


async def _rows(bench: Bench, server: Postgres, count: int) -> Report:
    """Read a table to the queue."""
    text = "'Company ' || n || ' reported revenue of $' || n || '.5 million for the quarter.'"
    server.run(
        "CREATE TABLE many (id int PRIMARY KEY, note text, ticker text)",
        f"INSERT INTO many SELECT n, {text}, 'T' || n % 500 FROM generate_series(1, {count}) AS n",
    )
    tree = {"many": {"kind": "postgres", "url": server.url, "table": "many"}}
    bench.configure(TICKERTAPE_SOURCES=json.dumps(tree), TICKERTAPE_INGEST_AHEAD_MAX=str(AHEAD))
    worker = await bench.worker()
    say(f"{count} rows to the queue")
    batch = f"many-{uuid.uuid4().hex[:8]}"
    began = time.monotonic()
    await bench.send(
        bench.settings.topic_data_ingestion,
        [{"source_id": "many", "batch_id": batch}],
        lambda _: "many",
    )
    memory: list[float] = []

    async def sent() -> int:
        # Each transaction leaves a marker in each partition; they are not documents
        memory.append(usage.rss_mb(worker.process.pid))
        metrics = (await worker.get("/metrics")).text
        lines = [x for x in metrics.splitlines() if x.startswith("tickertape_ingested_total")]
        return int(float(lines[0].rpartition(" ")[2])) if lines else 0

    async def all_sent() -> bool:
        return await sent() >= count

    await until(all_sent, "all rows to be sent")
    seconds = time.monotonic() - began
    fifth = max(len(memory) // 5, 1)
    grown = statistics.median(memory[-fifth:]) - statistics.median(memory[:fifth])
    await worker.stop()
    return {
        "rows": count,
        "rows_a_second": round(count / seconds),
        "memory_mb": round(max(memory)),
        "memory_grown_mb": round(grown, 1),
    }


async def _changes(bench: Bench, server: Postgres, count: int) -> Report:
    """Change a folder and a table that are watched, one thing at a time."""
    folder = bench.folder / "notes"
    await asyncio.to_thread(folder.mkdir)
    server.run(
        "CREATE TABLE few (id int PRIMARY KEY, note text, at timestamptz DEFAULT clock_timestamp())"
    )
    watched = {"watch_seconds": 0.3}
    desk = {"kind": "postgres", "url": server.url, "table": "few", "cursor": "at", **watched}
    tree = {"notes": {"kind": "files", "path": str(folder), **watched}, "desk": desk}
    bench.configure(TICKERTAPE_SOURCES=json.dumps(tree))
    worker = await bench.worker()
    say(f"{count} changes of each source that is watched")

    def write(number: int, word: str) -> None:
        (folder / f"{number}.txt").write_text(f"A note that says {word}.")

    def put(number: int, word: str) -> None:
        server.run(f"INSERT INTO few VALUES ({number}, 'A row that says {word}.')")

    files = [await _found(worker, write, number) for number in range(count)]
    rows = [await _found(worker, put, number) for number in range(count)]
    await worker.stop()
    return {
        "changes": count,
        "file_found_p50": round(statistics.median(files), 2),
        "file_found_p95": round(sorted(files)[int(len(files) * 0.95)], 2),
        "row_found_p50": round(statistics.median(rows), 2),
        "row_found_p95": round(sorted(rows)[int(len(rows) * 0.95)], 2),
    }


async def _found(worker: Worker, change: Callable[[int, str], None], number: int) -> float:
    word = f"w{uuid.uuid4().hex[:12]}"
    await asyncio.to_thread(change, number, word)
    began = time.monotonic()

    async def found() -> bool:
        return bool((await worker.json("/search", q=word, mode="keyword", k=1))["results"])

    await until(found, f"{word} to be found:\n{worker.tail()}")
    return time.monotonic() - began


def _pages(folder: Path | None) -> Report:
    """Read the same PDFs by the library and by our reader, in turns."""
    paths = sorted(folder.glob("*.pdf")) if folder is not None else []
    if not paths:
        return {"pdf_over_bare": None}
    reader = PdfReader(10_000)
    shares = []
    try:
        sum(1 for _ in reader.pages(paths[0]))  # the child starts
        for _ in range(ROUNDS):
            ours, bare = _timed(lambda: _ours(reader, paths)), _timed(lambda: _bare(paths))
            shares.append(bare / ours)
    finally:
        reader.close()
    return {"pdf_over_bare": round(statistics.median(shares), 2)}


def _ours(reader: PdfReader, paths: list[Path]) -> int:
    return sum(len(page.text) for path in paths for page in reader.pages(path))


def _bare(paths: list[Path]) -> int:
    length = 0
    for path in paths:
        document = pypdfium2.PdfDocument(path)
        for page in document:
            text = page.get_textpage()
            length += len(text.get_text_range())
            text.close()
            page.close()
        document.close()
    return length


def _timed(work: Callable[[], int]) -> float:
    began = time.perf_counter()
    assert work()
    return time.perf_counter() - began


def lines(report: Report) -> Iterator[str]:
    """Yield the report in words."""
    yield (
        f"{report['rows']} rows of PostgreSQL to the queue: {report['rows_a_second']}/s, "
        f"target {ROWS_A_SECOND_MIN:.0f}; memory {report['memory_mb']} MB, "
        f"{report['memory_grown_mb']} MB more at the end than at first"
    )
    if report["pdf_over_bare"] is not None:
        yield f"PDFs: {report['pdf_over_bare']} of the bare library, target {PDF_SHARE_MIN}"
    yield (
        f"a changed file is found after {report['file_found_p50']} s (p95 "
        f"{report['file_found_p95']}), a new row after {report['row_found_p50']} s (p95 "
        f"{report['row_found_p95']}); target {FOUND_SECONDS_MAX:.0f} s at p95"
    )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=100_000, help="of the table (default 100000)")
    default = os.environ.get("LOADTEST_DATA")
    parser.add_argument(
        "--pdfs",
        type=Path,
        default=Path(default, "filings") if default else None,
        help="folder of PDFs (default: filings/ in LOADTEST_DATA; without it they are left out)",
    )
    parser.add_argument("--changes", type=int, default=20, help="of each source (default 20)")


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
