"""Which passages bear on a question: what it names must stand there, or nothing is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web_parts import Parts, parts, store_text
from tickertape.answer.relevance import bearing, is_near, names, searched, years
from tickertape.documents import DocumentKey
from tickertape.facets import TEXT_MAX
from tickertape.search import SearchHit, SearchRequest


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Does Tesla pay a dividend?", [("tesla",)]),
        ("What was Sallow Creek's revenue in Q3 of FY2023?", [("sallow", "creek")]),
        ("TSLA dividend", [("tsla",)]),
        ("Acme's outlook? Bolt's too.", [("acme",), ("bolt",)]),
        ("How much did AT&T spend on Model Y?", [("at&t",), ("model", "y")]),
        ("What is EPS, EBITDA and the CEO's view for January?", []),
        ("What was revenue?", []),
        ("does tesla pay a dividend?", []),
        ("WHAT WAS THE REVENUE OF ACME", []),
        ("", []),
    ],
)
def test_what_a_question_names(question: str, found: list[tuple[str, ...]]) -> None:
    assert names(question) == found


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("revenue in 2023 and FY22", [("2022",), ("2023",)]),
        ("fiscal 2021?", [("2021",)]),
        ("costs of $2023.50 m or 12023", [("2023",)]),
        ("revenue", []),
    ],
)
def test_the_years_of_a_question(question: str, found: list[tuple[str, ...]]) -> None:
    assert years(question) == found


def test_a_question_that_goes_on_is_looked_for_with_the_one_before() -> None:
    before = ["What was Acme's revenue?"]
    assert searched("And its margin?", before) == f"{before[0]}\nAnd its margin?"
    assert searched("Why?", before) == f"{before[0]}\nWhy?"
    whole = "Which plant of Bolt had a fire last spring?"
    assert searched(whole, before) == whole
    assert searched("Why?", []) == "Why?"


def test_of_a_field_only_the_beginning_is_read() -> None:
    def near(field: str) -> bool:
        hit = SearchHit(DocumentKey("", "a"), 0, 1, "Text.", 0, None, None, {"about": field})
        return is_near("copper pumps", hit)

    assert near("Copper pumps, " + "x" * TEXT_MAX)
    assert not near("x" * TEXT_MAX + " copper pumps")


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path) as made:
        await store_text(
            made,
            "acme-1",
            "The company pays a quarterly dividend of $0.40 a share since the year of the merger.",
            "Acme Industrial makes pumps and valves for ships, and nothing else, in two plants.",
            published="2024-05-02",
        )
        await store_text(made, "bolt-1", "Bolt pays no dividend.", company="Bolt Energy")
        yield made


async def found(made: Parts, question: str) -> list[str]:
    hits = await bearing(made.search, SearchRequest(question, k=12))
    return [hit.key.id for hit in hits]


async def test_a_name_may_stand_in_the_passage_its_document_or_what_is_known_of_it(
    made: Parts,
) -> None:
    assert (await found(made, "Does Acme pay a quarterly dividend?"))[0] == "acme-1"
    assert set(await found(made, "Does Acme pay a quarterly dividend?")) == {"acme-1"}
    assert await found(made, "Does Bolt Energy pay a dividend?") == ["bolt-1"]


async def test_another_companys_passages_say_nothing(made: Parts) -> None:
    assert await found(made, "Does Tesla pay a quarterly dividend of its own?") == []
    assert await found(made, "Does the company pay a quarterly dividend in 2031?") == []
    assert await found(made, "Does the company pay a quarterly dividend in 2024?") != []


async def test_what_is_far_from_the_question_is_left_out(made: Parts) -> None:
    assert await found(made, "recipe for pancakes with maple syrup") == []
    assert await found(made, "quarterly dividend a share") != []
