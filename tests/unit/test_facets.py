"""Company, period and form, read out of metadata and out of questions."""

from __future__ import annotations

from typing import Any

import pytest

from tickertape.facets import FORM, PERIOD, WHO, forms, names, of_document, of_question, periods


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Q1 2021", {"2021-Q1"}),
        ("q3'22 results", {"2022-Q3"}),
        ("1Q21", {"2021-Q1"}),
        ("2021Q4", {"2021-Q4"}),
        ("2021-Q2", {"2021-Q2"}),
        ("AAP_q2_2021", {"2021-Q2"}),
        ("fiscal 2021 Q3", {"2021-Q3"}),
        ("the second quarter of fiscal year 2021", {"2021-Q2"}),
        ("third-quarter 2020", {"2020-Q3"}),
        ("2019's fourth quarter", {"2019-Q4"}),
        ("Q1 2021 against Q1 2020 and 2019", {"2021-Q1", "2020-Q1", "2019"}),
        ("FY2022", {"2022"}),
        ("FY22 and FY'21", {"2022", "2021"}),
        ("revenue in 2019 and 2018", {"2019", "2018"}),
        ("what happened in Q3?", {"Q3"}),
        ("the first quarter, as in 2020", {"2020-Q1"}),
        ("$2020 million, 2021.5 and 1,999 of 20211 at 1999%", set()),
        ("revenue", set()),
    ],
)
def test_periods_are_read_however_they_are_written(text: str, said: set[str]) -> None:
    assert {str(period) for period in periods(text)} == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("its 10-K and 10Q", ["10-k", "10-q"]),
        ("form 8 - K", ["8-k"]),
        ("Annual Report", ["10-k"]),
        ("an earnings call", ["call"]),
        ("110-K, 10-KO", []),
    ],
)
def test_forms_are_read_however_they_are_written(text: str, said: list[str]) -> None:
    assert list(forms(text)) == said


@pytest.mark.parametrize(
    ("metadata", "id", "who", "period", "form"),
    [
        (
            {"company": "Acme Auto Parts, Inc.", "ticker": "NYSE: AAP", "quarter": 2, "year": "21"},
            "x",
            {"acme auto parts", "$AAP"},
            {"2021-Q2"},
            set(),
        ),
        ({"title": "Apple Inc. Q2 2021 Earnings Call"}, "x", {"apple"}, {"2021-Q2"}, {"call"}),
        ({"title": "Apple Q2 2021"}, "AAPL_q2_2021", {"apple", "$AAPL"}, {"2021-Q2"}, set()),
        ({}, "COSTCO_2023_8K_dated-2023-01-19", {"costco"}, {"2023"}, {"8-k"}),
        ({"period": "2021-06-30", "form": "10-Q"}, "x", set(), {"2021-Q2"}, {"10-q"}),
        ({"symbol": "BRK.B", "fiscal_year": "FY22"}, "x", {"$BRK", "$BRK.B"}, {"2022"}, set()),
        ({"published": "2023-02-14"}, "x", set(), {"2023", "2022"}, set()),
        ({"published": "2023-08-14"}, "x", set(), {"2023"}, set()),
        ({"company": "Johnson & Johnson"}, "x", {"johnson and johnson"}, set(), set()),
        ({"company": "Berkshire Hathaway"}, "x", {"berkshire"}, set(), set()),
        ({"company": ["A Co", {}, None], "year": True, "ticker": "a b"}, "x", {"a"}, set(), set()),
        ({"title": "Results of the fourth quarter 2020"}, "x", set(), {"2020-Q4"}, set()),
    ],
)  # fmt: skip
def test_a_document_says_whose_it_is_and_of_when(
    metadata: dict[str, Any], id: str, who: set[str], period: set[str], form: set[str]
) -> None:
    found = of_document(metadata, id)
    assert who <= found.who
    assert bool(who) == bool(found.who)
    assert {str(each) for each in found.periods} == period
    assert found.forms == form
    years = {text[:4] for text in period}
    assert {value for name, value in found.leaves() if name == PERIOD} == period | years
    assert {value for name, value in found.leaves() if name == FORM} == form


def read(question: str, *companies: str) -> dict[str, float]:
    """What a question names of these companies, by name or "$TICKER"."""
    known = {
        (WHO, name)
        for company in companies
        for name in ({company} if company.startswith("$") else names(company))
    }
    return of_question(question).who(known)


@pytest.mark.parametrize(
    ("question", "company", "named"),
    [
        ("What did Advance Auto Parts's margin do?", "Advance Auto Parts, Inc.", True),
        ("advance auto parts margin", "Advance Auto Parts", True),
        ("profit of Johnson & Johnson", "Johnson & Johnson", True),
        ("AT&T debt", "AT&T Inc.", True),
        ("Lowe's sales", "Lowe's", True),
        ("what is the target for margins", "Target Corporation", False),
        ("margins at Target in 2020", "Target Corporation", True),
        ("Target", "Target Corporation", True),
        ("NOW revenue", "$NOW", True),
        ("what is on now", "$NOW", False),
        ("now", "$NOW", False),
        ("$now", "$NOW", True),
        ("T", "$T", True),
        ("is it all over", "$ALL", False),
        ("brk.b", "$BRK.B", True),
        ("$5 a share", "$5", False),
    ],
)
def test_a_company_is_known_by_what_is_stored(question: str, company: str, named: bool) -> None:
    assert bool(read(question, company)) == named


def test_the_longest_name_is_meant() -> None:
    found = read("General Motors Financial debt", "General Motors", "General Motors Financial")
    assert "general motors financial" in found
    assert "general" not in read("General Motors debt", "General Motors", "General")


def test_a_very_long_question_is_read_in_no_time() -> None:
    asked = of_question("Q1 " * 4000 + "Apple " * 4000)
    assert len(asked.grams) < 1000
