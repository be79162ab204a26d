"""What the extractive summaries of reports are made of: prose, or rows, headings and boilerplate.

``python -m loadtest.boilerplate [--count 30] [--show] [--json]``

The reports are made here (`loadtest.report_texts`), of pieces whose kind is known; nothing is
judged by how it is written. A sentence of a summary is good where it stands whole in a piece of
prose. One of a segment's piece, which does not name it, would be the company's when told alone: it
is counted apart. What stands in no single piece is counted as joined. Exit code 1 when a target is
missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from typing import Any

from loadtest.report_texts import Made, reports
from testkit.models import ensure_model, model_settings
from tickertape import embed
from tickertape.embed.runner import Runner
from tickertape.summarize.base import SummaryRequest
from tickertape.summarize.extractive import ExtractiveSummarizer

SENTENCES = 3
BAD_MAX = 0.05  # one sentence in twenty
GOOD = "prose"


def kind(sentence: str, report: Made) -> str:
    """Return the kind of the piece in which a sentence stands."""
    said = " ".join(sentence.split())
    for piece in report.pieces:
        if said in " ".join(piece.text.split()):
            return piece.kind
    return "joined"


async def measure(count: int, *, show: bool = False) -> dict[str, Any]:
    """Summarise ``count`` reports, each with the type that its sender says and without one."""
    await asyncio.to_thread(ensure_model)
    runner = Runner(await asyncio.to_thread(embed.load, model_settings()), 16_384)
    await runner.start()
    summarizer = ExtractiveSummarizer(runner, SENTENCES)
    kinds: Counter[str] = Counter()
    try:
        for number, report in enumerate(reports(count)):
            for metadata in ({"document_type": report.type}, {}):
                chosen = await summarizer.select(SummaryRequest(str(number), report.text, metadata))
                for sentence in chosen:
                    kinds[found := kind(sentence, report)] += 1
                    if show:
                        print(f"{number:3} {found:8} {' '.join(sentence.split())[:200]}")
    finally:
        await runner.stop()
    total = kinds.total()
    parts = kinds["part"] / total
    bad = 1 - kinds[GOOD] / total - parts
    missed = [f"bad {bad:.3f} > {BAD_MAX}"] if bad > BAD_MAX else []
    missed += [f"of segments {parts:.3f} > {BAD_MAX}"] if parts > BAD_MAX else []
    return {
        "reports": count,
        "model": summarizer.name,
        "sentences": total,
        "kinds": dict(kinds.most_common()),
        "bad": round(bad, 3),
        "of_segments": round(parts, 3),
        "missed": missed,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=30, help="how many reports")
    parser.add_argument("--show", action="store_true", help="print each sentence with its kind")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    options = parser.parse_args()
    report = asyncio.run(measure(options.count, show=options.show))
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['reports']} reports, {report['sentences']} sentences, {report['model']}")
        print(*(f"{name} {count}" for name, count in report["kinds"].items()), sep="  ")
        print(f"rows, headings, boilerplate or joined: {report['bad']:.1%}")
        print(f"of a segment, told as the company's: {report['of_segments']:.1%}")
        print("missed:", "; ".join(report["missed"]) or "none")
    return 1 if report["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
