"""Numbers of a summary against its source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.grounding import unsupported
from tickertape.quantities import numbers

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
        "A loss of $3.49, or -$3.49; a loss per share of $(3.49).",
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
        ("Up 16%, again 16%, and 17 percent.", ("16%", "17 percent")),
        ("Three billion in all.", ("Three billion",)),
        ("In 2021.", ("2021",)),
        ("A loss of $3.4.", ("$3.4",)),
        ("Two percent? 2%.", ("2%",)),  # "two billion dollars" in the source
        ("US$7 and £8bn.", ("US$7", "£8bn")),
        ("Down 15%.", ("15%",)),
        ("Revenue was -$1,234 million.", ("-$1,234 million",)),
        ("Revenue was 15 million.", ("15 million",)),
        ("Revenue was €1,234 million.", ("€1,234 million",)),
        ("A profit of $3.49.", ("$3.49",)),
    ],
)
def test_does_not_stand_in_the_source(summary: str, missing: tuple[str, ...]) -> None:
    assert unsupported(summary, [SOURCE]) == missing


@pytest.mark.parametrize(
    ("source", "true", "false"),
    [
        ("net loss of $(38.6) million", "a loss of $38.6 million", "a profit of $38.6 million"),
        ("a net loss of $(38.6) million", "it lost $38.6 million", "it earned $38.6 million"),
        ("a net loss of $38.6 million", "a $38.6 million loss", "net income of $38.6 million"),
        ("net income (loss) was $(1.07)", "net loss was $1.07", "net income was $1.07"),
        ("net income (loss) was $1.07", "net income was $1.07", "a net loss of $1.07"),
        ("Loss: ($4.2) million", "a loss of 4.2 million", "a gain of 4.2 million"),
        ("the margin was (8.3)%", "the margin was -8.3%", "the margin was 8.3%"),
        ("the margin was -8.3%", "a negative margin of 8.3%", "the margin was 8.3%"),
        ("growth of (5)% in sales", "sales fell 5%", "sales rose 5%"),
        ("sales fell 5 per cent to $4bn", "a 5% decline to $4 billion", "a 5% rise to $4 billion"),
        ("sales rose 5%, costs fell 3%", "costs were 3% lower", "costs were 3% higher"),
        ("revenue of NOK 612m", "NOK 612 million", "$612 million"),
        ("revenue of 612m kroner", "kr 612 million", "EUR 612 million"),
        ("revenue of A$5.2bn", "$5.2 billion", "£5.2 billion"),
        ("Rs 4,512 crore", "INR 45.12 billion", "Rs 4,512 lakh"),
        ("up 8 per cent", "up 8%", "up $8"),
        ("up 150 basis points", "up 1.5 percentage points", "up 15 basis points"),
        ("91 cents a share", "$0.91", "91 dollars"),
        ("a dividend of 18.2p", "18.2 pence", "\u00a318.2"),
        ("Rs. 1,23,456", "₹123,456", "₹123"),
    ],
)  # fmt: skip
def test_sign_scale_and_unit(source: str, true: str, false: str) -> None:
    assert unsupported(true, [source]) == ()
    assert unsupported(source, [source]) == ()
    assert unsupported(false, [source]) != ()


@pytest.mark.parametrize(
    ("source", "summary"),
    [
        # What is only nearby, or said otherwise, is not held against a figure.
        ("Income rose 10% (14% in constant currencies).", "Up 14% in constant currencies."),
        ("The net loss narrowed to $5 million from $9 million.", "The loss fell to $5 million."),
        ("Costs of $3 million offset an increase in sales.", "Costs fell by $3 million."),
        ("Up to $5 million may be paid, down from $7 million.", "It may pay $5 million."),
        ("The loss ratio was 62%.", "Income: the loss ratio was 62%."),
        ("Diluted EPS were $2.45, an increase of 66%.", "Earnings per share of $2.45, up 66%."),
        ("Total 5,678 (4,321)", "Revenue of $5,678 million against a loss of $4,321 million."),
    ],
)  # fmt: skip
def test_what_is_not_said_is_not_held_against_it(source: str, summary: str) -> None:
    assert unsupported(summary, [source]) == ()


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
