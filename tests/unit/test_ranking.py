"""What a passage's score is made of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape import facets, ranking
from tickertape.ranking import Candidate, question, score, scores


def candidate(
    text: str, dense: float | None = 0.5, keyword: float | None = None, **metadata: Any
) -> Candidate:
    return Candidate(text, metadata, "id", dense, keyword)


def scored(asked: ranking.Question, *candidates: Candidate, scale: float = 0.1) -> list[float]:
    return list(scores(asked, dict(enumerate(candidates)), scale).values())


numbers = st.floats(-2, 40) | st.none()


@given(st.text(max_size=60), st.text(max_size=200), numbers, numbers, st.floats(0, 1))
def test_a_score_is_from_0_to_1_and_grows_with_either_side(
    asked: str, text: str, dense: float | None, keyword: float | None, scale: float
) -> None:
    wanted = question(asked)
    found = score(wanted, candidate(text, dense, keyword), scale, facets.Facets())
    more = score(wanted, candidate(text, 1.0, 50.0), scale, facets.Facets())
    assert 0 <= found <= 1
    assert found <= more or (keyword or 0) > 50


def test_words_that_stand_together_are_worth_more_than_apart() -> None:
    asked = question("operating lease cost")
    together, apart = scored(
        asked,
        candidate("The operating lease cost was 5."),
        candidate("The cost of operating a lease was 5."),
    )
    assert together > apart


def test_a_score_does_not_depend_on_what_else_was_found() -> None:
    asked = question("net profit")
    one, other = candidate("net profit rose", 0.6, 4.0), candidate("a loss", 0.3)
    assert scored(asked, one, other)[0] == scored(asked, one)[0]


def test_the_company_period_and_form_that_are_asked_for_come_first() -> None:
    asked = question("Acme profit", {"acme": 1.0}, list(facets.periods("Q2 2021")), ["10-q"])
    texts = [
        candidate("profit", company="Acme Inc.", period="2021-Q2", form="10-Q"),
        candidate("profit", company="Acme Inc.", period="2021-Q2", form="8-K"),
        candidate("profit", company="Acme Inc.", year=2021),
        candidate("profit", company="Acme Inc."),
        candidate("profit", company="Acme Inc.", period="2021-Q1"),
        candidate("profit", company="Acme Inc.", period="2020-Q2"),
        candidate("profit", company="Bolt", period="2020-Q2"),
    ]
    found = scored(asked, *texts)
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found)


def test_a_name_that_is_nowhere_makes_less_sure() -> None:
    asked = question("Does Tesla pay a dividend?")
    theirs, other = scored(
        asked,
        candidate("We pay a dividend.", 0.6, 5.0, company="Tesla"),
        candidate("We pay a dividend.", 0.6, 5.0),
    )
    assert other < 0.5 < theirs
    small, capital = question("does tesla pay a dividend"), question("DOES TESLA PAY A DIVIDEND")
    assert not small.names
    assert not capital.names


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("Liquidity and capital resources", True),
        ("Net profit rose.", False),
        ("Revenue 2021", False),
        ("Liquidity\n\nCash was ample", False),
        ("one two three four five six seven eight nine", False),
    ],
)
def test_a_heading_alone_is_known(text: str, heading: bool) -> None:
    assert ranking.is_heading(text) == heading


def test_bm25_becomes_the_share_of_the_questions_words() -> None:
    asked = question("net profit margin")
    best = [candidate("net profit", None, 6.0), candidate("net margin profit", None, 9.0)]
    scale = ranking.keyword_scale(asked, best)
    assert scale == pytest.approx((2 / 3 + 1) / 15)
    assert ranking.keyword_scale(asked, []) == 0
