"""What must be true after a smoke run. Each check is a name and what is wrong, if anything."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from tickertape.demo.corpus import Corpus, Document
from tickertape.demo.follow import Json
from tickertape.demo.run import RunOutcome
from tickertape.demo.summaries import sentences_of
from tickertape.grounding import unsupported

SHOWN = 3
PASSAGES_ASKED = 12  # one of each kind of document
# int8 rounds by what else is in a batch: a text alone and among others have had a cosine of .973.
# Calls of many companies have passages that are nearly the same: the one asked for is among the
# best.
COSINE_MIN = 0.95
ROUNDING = 0.03
PASSAGES_FOUND = 12
Check = tuple[str, str]  # name, what is wrong ("" for nothing)

EXPLAINED = {
    "batches": "complete, each record done, none dead",
    "stored once": "each document is in the store once, with all of its text",
    "summaries": "one a document, faithful to it",
    "search": "the question finds what answers it, before all else",
    "passages": "the text of a passage finds that passage, by its vector alone",
    "stopped": "worker and broker ended by themselves",
}


async def checks(corpus: Corpus, outcome: RunOutcome, http: httpx.AsyncClient) -> list[Check]:
    """Look at everything that was sent, in the store, on the topics, and by search."""
    return [
        ("batches", _first(_batches(outcome, corpus))),
        ("stored once", _first([*_counts(corpus, outcome), *await _documents(corpus, http)])),
        ("summaries", _first(_summaries(corpus, outcome))),
        ("search", _first(_question(corpus, outcome))),
        ("passages", _first(await _passages(corpus, http))),
    ]


def _first(problems: Iterator[str] | list[str]) -> str:
    """The first few of them."""
    found = list(problems)
    more = f" (and {len(found) - SHOWN} more)" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def _batches(outcome: RunOutcome, corpus: Corpus) -> Iterator[str]:
    totals = []
    for topic, batch in outcome.batches.items():
        total = batch["total_documents"]
        totals.append(total)
        good = batch["status"] == "completed" and batch["done"] == total and not batch["dead"]
        if not good or batch["unchanged"]:
            yield f"{topic}: expected {total} done and none unchanged, got {batch}"
    if sum(totals) != len(corpus):
        yield f"expected {len(corpus)} records in batches, got {totals}"


def _counts(corpus: Corpus, outcome: RunOutcome) -> Iterator[str]:
    if outcome.counts.documents != len(corpus):
        yield f"expected {len(corpus)} documents in the store, got {outcome.counts.documents}"


async def _documents(corpus: Corpus, http: httpx.AsyncClient) -> list[str]:
    """Every document is there once, and its passages hold all of its text."""
    wrong = []
    for id, sent in corpus.by_id.items():
        reply = await http.get(f"/documents/{id}")
        if reply.status_code != httpx.codes.OK:
            wrong.append(f"{id}: {reply.status_code} {reply.text[:200]}")
            continue
        found = reply.json()["documents"]
        if len(found) != 1 or not _whole(found[0]["chunks"], sent["text"]):
            wrong.append(f"{id}: expected one document with all of its text, got {found}"[:300])
    return wrong


def _whole(chunks: list[Json], text: str) -> bool:
    """True when the passages are the text's own and leave nothing but spaces between them."""
    at = 0
    for chunk in chunks:
        start, end = chunk["start"], chunk["end"]
        if text[at:start].strip() or chunk["text"] != text[start:end]:
            return False
        at = max(at, end)
    return bool(chunks) and not text[at:].strip()


def _summaries(corpus: Corpus, outcome: RunOutcome) -> Iterator[str]:
    """An extract is made of whole sentences of its document; an LLM's figures stand in it."""
    for document in corpus.documents:
        summary = outcome.summaries.get(document["id"])
        if summary is None:
            yield f"{document['id']}: no summary"
        elif wrong := _unfaithful(document, summary):
            yield f"{document['id']}: {wrong}"


def _unfaithful(document: Document, summary: Json) -> str:
    text = summary["summary"] or ""
    if not text or summary["error"] or len(text) >= len(document["text"]):
        return f"expected a text shorter than the document, got {summary}"[:300]
    if str(summary["model_name"]).startswith("extractive"):
        found = sentences_of(text, document["text"])
        return "" if found else f"not made of the document's sentences: {text[:200]}"
    invented = unsupported(text, map(str, document.values()))
    if invented and summary["status"] == "completed":
        return f"said to be verified, but the document has no {', '.join(invented)}"
    return ""


def _question(corpus: Corpus, outcome: RunOutcome) -> Iterator[str]:
    ids = [hit["id"] for hit in outcome.search["results"]]
    first = ids[: len(corpus.answers)]
    if not first or not corpus.answers.issuperset(first):
        some = ", ".join(sorted(corpus.answers)[:SHOWN])
        yield f"expected such as {some} for {corpus.question!r}, got {ids}"


async def _passages(corpus: Corpus, http: httpx.AsyncClient) -> list[str]:
    """A stored passage's text finds that passage by meaning alone: its vector is its own."""
    wrong = []
    for document in corpus.documents[:PASSAGES_ASKED]:
        stored = (await http.get(f"/documents/{document['id']}")).json()["documents"][0]
        passage = stored["chunks"][-1]
        body = {"query": passage["text"], "k": PASSAGES_FOUND, "mode": "dense"}
        hits = (await http.post("/search", json=body)).json().get("results", [])
        scores = {(hit["id"], hit["chunk"]): hit["score"] for hit in hits}
        own = scores.get((document["id"], passage["chunk"]), 0.0)
        if own < COSINE_MIN or max(scores.values()) - own > ROUNDING:
            wrong.append(f"{passage['id']} of {document['id']}: {own:.3f} for it, got {scores}")
    return wrong
