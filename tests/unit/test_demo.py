"""What the demo shows and checks: each check must be able to fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tickertape.chunking import sentences
from tickertape.demo import checks
from tickertape.demo.corpus import corpus
from tickertape.demo.run import RunOutcome
from tickertape.demo.summaries import sentences_of
from tickertape.stores.base import Counts

CORPUS = corpus(8)
DOCUMENT = CORPUS.documents[0]
TEXT = DOCUMENT["text"]
SENTENCES = [TEXT[start:end] for start, end in sentences(TEXT)]


class TestCorpus:
    def test_nothing_is_sent_twice(self):
        some = corpus(300)
        assert (len(some.documents), len(some.texts), len(some)) == (300, 200, 500)
        assert len({each["id"] for each in (*some.documents, *some.texts)}) == 500
        assert len({each["text"] for each in some.documents}) == 300

    def test_a_larger_one_begins_like_a_smaller_one(self):
        assert corpus(30).documents[:8] == CORPUS.documents
        assert corpus(30).texts[:5] == CORPUS.texts

    def test_the_question_is_about_some_of_it(self):
        assert CORPUS.answers == {"sample-00007", "text-01003"}
        assert "fire" in CORPUS.by_id["text-01003"]["text"]
        handful = corpus(2)
        assert handful.answers == {"sample-00001"}
        assert handful.question == handful.documents[0]["title"]


class TestVerbatim:
    def test_sentences_of_the_document_in_its_order(self):
        chosen = [SENTENCES[1], SENTENCES[4], SENTENCES[-1]]
        assert sentences_of(" ".join(chosen), TEXT) == chosen

    @pytest.mark.parametrize(
        "summary",
        [
            "",
            SENTENCES[1].replace("2024", "2023"),
            f"{SENTENCES[4]} {SENTENCES[1]}",
            f"{SENTENCES[1]} And more.",
            SENTENCES[1][:-10],
            SENTENCES[1] + SENTENCES[2],
        ],
    )
    def test_anything_else_is_not(self, summary):
        assert sentences_of(summary, TEXT) is None


def outcome(**more: Any) -> RunOutcome:
    """What a run of `CORPUS` is when all is well."""
    done = {"status": "completed", "unchanged": 0, "dead": 0}
    batches = {
        topic: {**done, "total_documents": n, "done": n}
        for topic, n in (("financial-documents", 8), ("text-messages", 5))
    }
    made = {
        each["id"]: {
            "summary": each["text"].partition(". ")[0] + ".",
            "model_name": "llm",
            "status": "completed",
            "error": None,
        }
        for each in CORPUS.documents
    }
    made[DOCUMENT["id"]] |= {"summary": SENTENCES[2], "model_name": "extractive/model"}
    found = {"results": [{"id": id} for id in ("text-01003", "sample-00007", "sample-00002")]}
    well = RunOutcome(batches=batches, counts=Counts(13, 30), summaries=made, search=found)
    return replace(well, **more)


def wrong(found: RunOutcome) -> list[str]:
    return [
        *checks._batches(found, CORPUS),
        *checks._counts(CORPUS, found),
        *checks._summaries(CORPUS, found),
        *checks._question(CORPUS, found),
    ]


def test_all_is_well():
    assert wrong(outcome()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "failed"),
        ("status", "processing"),
        ("done", 7),
        ("dead", 1),
        ("unchanged", 1),
        ("total_documents", 9),
    ],
)
def test_a_batch_that_is_not_done(field, value):
    found = outcome()
    found.batches["financial-documents"][field] = value
    assert wrong(found)


def test_a_batch_that_is_missing():
    found = outcome()
    del found.batches["text-messages"]
    assert wrong(found)


@pytest.mark.parametrize("documents", [12, 14, 0])
def test_a_store_with_more_or_less(documents):
    assert wrong(outcome(counts=Counts(documents, 30)))


@pytest.mark.parametrize(
    "change",
    [
        {"summary": ""},
        {"summary": None},
        {"summary": "Not one of its sentences."},
        {"summary": TEXT},
        {"error": "no answer"},
    ],
)
def test_a_summary_that_is_not_the_documents(change):
    found = outcome()
    found.summaries[DOCUMENT["id"]] |= change
    assert wrong(found)


def test_a_summary_that_is_missing():
    found = outcome()
    del found.summaries["sample-00003"]
    assert wrong(found) == ["sample-00003: no summary"]


def test_an_invented_figure_must_be_told():
    found = outcome()
    found.summaries["sample-00003"]["summary"] = "It paid $987,654.3 million."
    assert wrong(found)
    found.summaries["sample-00003"]["status"] = "unverified"
    assert wrong(found) == []


@pytest.mark.parametrize(
    "ids", [[], ["sample-00002"], ["text-01003", "sample-00002"], ["sample-00002", "text-01003"]]
)
def test_a_search_that_misses_what_answers(ids):
    assert wrong(outcome(search={"results": [{"id": id} for id in ids]}))


def test_passages_must_hold_the_whole_text():
    text = "One. Two.  Three."

    def cut(*spans):
        return [{"start": s, "end": e, "text": text[s:e]} for s, e in spans]

    assert checks._whole(cut((0, 9), (11, 17)), text)
    assert checks._whole(cut((0, 9), (5, 17)), text)
    assert not checks._whole(cut((0, 4), (11, 17)), text)
    assert not checks._whole(cut((0, 9)), text)
    assert not checks._whole([], text)
    assert not checks._whole([{"start": 0, "end": 17, "text": "Another text here"}], text)
