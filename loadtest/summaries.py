"""Quality of the extractive summaries, measured on earnings calls with reference bullets.

``python -m loadtest.summaries [--data PATH] [--json]``

The data is JSON lines (gzipped or not) of ``{"sentences": [str], "reference": [str]}``, such as
ECTSum's. ROUGE is rouge-score's F1 with its stemmer, x100, sentences on lines for RLsum. Calls
before ``--first`` are for tuning; what is reported is from there on. Beside ours, in the same
run: the first three sentences, and sumy's TextRank and LexRank on the data's own sentences. Ours
gets the call as one text and finds the sentences itself. Means have bootstrap intervals of 95 %
beside them. Needs rouge-score and sumy; exit code 1 when a gate is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rouge_score.rouge_scorer import RougeScorer
from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence
from sumy.nlp.stemmers import Stemmer
from sumy.summarizers.lex_rank import LexRankSummarizer
from sumy.summarizers.text_rank import TextRankSummarizer
from sumy.utils import get_stop_words

from loadtest import data
from loadtest.figures import interval
from tickertape import embed
from tickertape.embed.runner import Runner
from tickertape.grounding import unsupported
from tickertape.settings import load
from tickertape.summarize.base import SummaryRequest
from tickertape.summarize.extractive import ExtractiveSummarizer

METRICS = {"r1": "rouge1", "r2": "rouge2", "rlsum": "rougeLsum"}
GATES = {"r1": 28.0, "r2": 11.5, "rlsum": 25.5}
TEXTRANK_TIMES = 2.0
GATED = "extractive-3"


class Words:
    """sumy's tokenizer interface without NLTK's data files."""

    def to_words(self, sentence: str) -> tuple[str, ...]:
        """Return the words."""
        return tuple(re.findall(r"\w+", sentence))


RANKERS = {"textrank-3": TextRankSummarizer, "lexrank-3": LexRankSummarizer}


def ranked(ranker: Any, sentences: Sequence[str], count: int) -> list[str]:
    """Return the choice of one of sumy's among sentences that are already cut."""
    words = Words()
    summarizer = ranker(Stemmer("english"))
    summarizer.stop_words = get_stop_words("english")
    model = ObjectDocumentModel([Paragraph([Sentence(s, words) for s in sentences])])
    return [str(s) for s in summarizer(model, count)]


class Scores:
    """The mean ROUGE of one system."""

    def __init__(self) -> None:
        self._scorer = RougeScorer(list(METRICS.values()), use_stemmer=True)
        self._found: dict[str, list[float]] = {name: [] for name in METRICS}
        self._words = 0

    def add(self, reference: Sequence[str], summary: Sequence[str]) -> None:
        """Score one summary, a sentence an entry."""
        found = self._scorer.score("\n".join(reference), "\n".join(summary))
        for name, metric in METRICS.items():
            self._found[name].append(100 * found[metric].fmeasure)
        self._words += sum(len(s.split()) for s in summary)

    def result(self) -> dict[str, Any]:
        """Return the means, x100, what they lie between, and the words a summary."""
        means = {name: interval(values, digits=2) for name, values in self._found.items()}
        count = len(next(iter(self._found.values())))
        return {
            **{name: each["mean"] for name, each in means.items()},
            "words": round(self._words / count, 1),
            "intervals": {name: [each["low"], each["high"]] for name, each in means.items()},
        }


def calls(path: Path, first: int, limit: int | None) -> list[dict[str, Any]]:
    """Read the calls to measure on."""
    return data.rows(path)[first:][:limit]


async def measure(rows: Iterable[dict[str, Any]], precision: str | None) -> dict[str, Any]:
    """Run every system over the calls."""
    settings = load()
    if precision:
        settings = settings.model_copy(update={"precision": precision})
    runner = Runner(embed.load(settings), settings.batch_tokens)
    await runner.start()
    ours = {f"extractive-{count}": ExtractiveSummarizer(runner, count) for count in (2, 3)}
    scores = {name: Scores() for name in ("lead-3", *RANKERS, *ours)}
    false_numbers = 0
    seconds = 0.0
    try:
        for row in rows:
            sentences, reference = row["sentences"], row["reference"]
            scores["lead-3"].add(reference, sentences[:3])
            for name, ranker in RANKERS.items():
                scores[name].add(reference, ranked(ranker, sentences, 3))
            request = SummaryRequest("call", " ".join(sentences))
            for name, summarizer in ours.items():
                begun = time.perf_counter()
                chosen = await summarizer.select(request)
                seconds += time.perf_counter() - begun
                scores[name].add(reference, chosen)
                false_numbers += len(unsupported(" ".join(chosen), [request.text]))
    finally:
        await runner.stop()
    return {
        "model": ours[GATED].name,
        "tools": {name: version(name) for name in ("rouge-score", "sumy")},
        "seconds": round(seconds, 1),
        "numbers_not_in_source": false_numbers,
        "scores": {name: score.result() for name, score in scores.items()},
    }


def missed(report: dict[str, Any]) -> list[str]:
    """Return the gates that the report misses, in words."""
    ours, other = report["scores"][GATED], report["scores"]["textrank-3"]
    found = [f"{k} {ours[k]} < {gate}" for k, gate in GATES.items() if ours[k] < gate]
    found += [
        f"{k} {ours[k]} < {TEXTRANK_TIMES:g} x TextRank's {other[k]}"
        for k in GATES
        if ours[k] < TEXTRANK_TIMES * other[k]
    ]
    if report["numbers_not_in_source"]:
        found.append(f"{report['numbers_not_in_source']} numbers do not stand in their source")
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    data.add_option(parser, data.CALLS)
    parser.add_argument("--first", type=int, default=1200, help="first call measured on")
    parser.add_argument("--limit", type=int, help="at most so many calls")
    parser.add_argument("--precision", choices=("fp32", "int8"), help="default: the setting")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    options = parser.parse_args()
    rows = calls(options.data, options.first, options.limit)
    report = {"calls": len(rows), "first": options.first}
    report |= asyncio.run(measure(rows, options.precision))
    report["missed"] = missed(report)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['calls']} calls, {report['model']}, {report['seconds']} s")
        for name, score in report["scores"].items():
            print(f"{name:18}", *(f"{k} {v:5}" for k, v in score.items()), sep="  ")
        print("missed:", "; ".join(report["missed"]) or "none")
    return 1 if report["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
