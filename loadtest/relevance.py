"""How good search is: nDCG@10 of dense, keyword and hybrid on questions with known answers.

``python -m loadtest.relevance [--data PATH] [--store NAME] [--json]``

The paragraphs of ``paragraphs.jsonl.gz`` go through the pipeline into an empty store, each as a
document; the questions of ``questions.jsonl.gz`` beside them are asked through
`tickertape.search.Search`, in each mode. A question's answers are all paragraphs with the text of
one that is marked relevant. Exit code 1 when a gate is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr

from loadtest import data
from loadtest.data import rows
from testkit import postgres
from testkit.models import ensure_model, model_settings
from tickertape import embed
from tickertape.documents import Document, DocumentKey
from tickertape.embed.runner import Runner
from tickertape.pipeline import Pipeline
from tickertape.search import MODES, Search, SearchRequest
from tickertape.settings import Settings
from tickertape.stores import STORES, open_stores
from tickertape.versions import Origin, Stamp, Version

TOP = 10
GATES = {"dense": 0.46, "keyword": 0.50, "hybrid": 0.525}
WINDOW = 256


def gain(found: Sequence[str], relevant: set[str]) -> float:
    """nDCG of one answer, every relevant document as good as the others."""
    discount = 1 / np.log2(np.arange(2, TOP + 2))
    got = sum(discount[rank] for rank, id in enumerate(found[:TOP]) if id in relevant)
    return float(got / discount[: len(relevant)].sum())


async def measure(folder: Path, name: str) -> dict[str, Any]:
    """Store the paragraphs, ask the questions."""
    ids: dict[str, str] = {}  # text: the first id of it
    known: dict[str, str] = {}  # id: that id
    for row in rows(folder / data.PARAGRAPHS):
        known[row["id"]] = ids.setdefault(row["text"], row["id"])
    await asyncio.to_thread(ensure_model)
    runner = Runner(await asyncio.to_thread(embed.load, model_settings()), 16_384)
    await runner.start()
    with tempfile.TemporaryDirectory(prefix="tickertape-relevance-") as home:
        server = postgres.shared() if name == "pgvector" else None
        url = None if server is None else SecretStr(server.url)
        settings = Settings(stores=(name,), data_dir=Path(home), database_url=url)
        (store,) = open_stores(settings)
        await store.start()
        try:
            pipeline = Pipeline([store], runner, chunk_tokens=256, overlap_tokens=32)
            documents = [
                Document(DocumentKey("p", id), text, Version((), Stamp(1, n)), Origin("p", 0, n))
                for n, (text, id) in enumerate(ids.items())
            ]
            for low in range(0, len(documents), WINDOW):
                await pipeline.run(documents[low : low + WINDOW])
            search = Search(store, runner)
            scores: dict[str, list[float]] = {mode: [] for mode in MODES}
            for row in rows(folder / data.QUESTIONS):
                relevant = {known[id] for id in row["relevant"]}
                for mode in MODES:
                    request = SearchRequest(row["question"], mode=mode, k=TOP, per_document=True)
                    hits = (await search.search(request)).hits
                    scores[mode].append(gain([hit.key.id for hit in hits], relevant))
        finally:
            await store.stop()
            await runner.stop()
    found = {mode: round(float(np.mean(each)), 4) for mode, each in scores.items()}
    return {
        "model": runner.embedder.identity,
        "store": name,
        "paragraphs": len(ids),
        "questions": len(scores["dense"]),
        "ndcg_at_10": found,
        "missed": [f"{m} {found[m]} < {gate}" for m, gate in GATES.items() if found[m] < gate],
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data.add_option(parser, data.PARAGRAPHS, data.QUESTIONS)
    parser.add_argument(
        "--store", default="sqlite", choices=sorted(STORES), help="the one searched"
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    options = parser.parse_args()
    report = asyncio.run(measure(options.data, options.store))
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['questions']} questions, {report['model']}, {report['store']}")
        print(*(f"{mode} {value}" for mode, value in report["ndcg_at_10"].items()), sep="  ")
        print("missed:", "; ".join(report["missed"]) or "none")
    return 1 if report["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
