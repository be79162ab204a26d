"""Numbers of a summary against its source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.summarize.numbers import numbers, unsupported

SOURCE = (
    "Revenue was $1,234 million, up 15 percent. In the table (in millions) stands 5,678. Margin "
    "rose 150 basis points. Three stores, between 1.2 and 1.3 billion; twenty-five people and "
    "two billion dollars. A loss of (3.49) a share. See Form 10-K for Q4 and COVID-19."
)


@pytest.mark.parametrize(
    "summary",
    [
        "Revenue was $1,234 million.",
        "Revenue was 1234 million, or $1.234bn, or 1,234,000,000.",
        "Revenue was about $1.2 billion.",
        "Up 15%, 15 % and 15 percent.",
        "The margin rose 1.5 points, 150 bps.",
        "3 stores, 25 people, 2 billion dollars; two billion dollars.",
        "$5,678 million, that is $5.7 billion.",
        "Down -15%, a loss of $3.49.",
        "Between 1.2 billion and 1.3 billion.",
        "Form 10-K; COVID-19; Q3 and FY26 are names.",
        "1. Revenue rose 15%.\n2. Margin rose.\n 3) Done.",
        "One of the second things.",
        "",
    ],
)
def test_stands_in_the_source(summary: str) -> None:
    assert unsupported(summary, [SOURCE]) == ()


@pytest.mark.parametrize(
    ("summary", "missing"),
    [
        ("Revenue was $1.1 billion.", ("$1.1 billion",)),
        ("Revenue was $1,234 billion.", ("$1,234 billion",)),
        ("Revenue was $1,235 million.", ("$1,235 million",)),
        ("Up 16%, again 16%, and 17 percent.", ("16%", "17")),
        ("Three billion in all.", ("Three billion",)),
        ("In 2021.", ("2021",)),
        ("A loss of $3.4.", ("$3.4",)),
        ("Two percent? 2%.", ()),  # "two billion" in the source: lenient on a bare number
        ("US$7 and £8bn.", ("$7", "£8bn")),
    ],
)
def test_does_not_stand_in_the_source(summary: str, missing: tuple[str, ...]) -> None:
    assert unsupported(summary, [SOURCE]) == missing


def test_any_of_the_source_texts_will_do() -> None:
    assert unsupported("Fiscal 2026, up 15%.", ["up 15%", "published: 2026-11-21"]) == ()


def test_rounding_has_a_bound() -> None:
    assert unsupported("$1 billion", ["$1.04 billion"]) == ()
    assert unsupported("$1 billion", ["$1.4 billion"]) == ("$1 billion",)


def test_one_endless_run_of_digits_ends() -> None:
    assert len(numbers("9" * 180_000)) == 10_000


@given(st.integers(0, 10**15))
def test_a_number_stands_in_itself_with_or_without_separators(value: int) -> None:
    assert unsupported(f"{value:,}", [str(value)]) == ()
    assert unsupported(str(value), [f"{value:,}"]) == ()


@given(st.text(max_size=300))
def test_every_text_supports_itself(text: str) -> None:
    assert unsupported(text, [text]) == ()
