"""Each sentence of an answer: what it rests on, and whether its figures stand there as values."""

from __future__ import annotations

import random

import pytest

from tickertape.answer.base import Reference
from tickertape.answer.checking import split, statements
from tickertape.chunking import sentences
from tickertape.documents import DocumentKey
from tickertape.quantities import Number, numbers
from tickertape.search import SearchHit


def source(number: int, text: str, **metadata: object) -> Reference:
    key = DocumentKey("c", f"d{number}")
    return Reference(number, SearchHit(key, 0, 1, text, 1.0, 0.9, None, metadata))


ACME = source(
    1, "Revenue rose 9 % to $4.2 billion. Net loss was $38.6 million.", title="Acme, 2024"
)
BOLT = source(2, "Bolt sold 1,234 units in NOK 612m of orders, as its board had said.")


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        ("It rose [1]. It fell [2].", ["It rose [1].", "It fell [2]."]),
        ("It rose. [1] It fell. [2]", ["It rose. [1]", "It fell. [2]"]),
        ("It rose [1]. [2] says it fell.", ["It rose [1].", "[2] says it fell."]),
        ("[1] says it rose.", ["[1] says it rose."]),
        ("- It rose [1]\n- It fell [2]", ["- It rose [1]", "- It fell [2]"]),
        ("It rose to 4.2. [1][2]", ["It rose to 4.2. [1][2]"]),
        ("", []),
    ],
)
def test_citations_belong_to_the_sentence_before_them(answer: str, parts: list[str]) -> None:
    assert split(answer) == parts


def test_a_sentence_rests_on_what_it_names() -> None:
    (one,) = statements("Revenue rose 9 percent to 4,200 million dollars [1].", [ACME, BOLT])
    assert (one.sources, one.cited, one.unknown) == ((1,), True, ())
    assert [(figure.text, figure.stands) for figure in one.figures] == [
        ("9 percent", True),
        ("4,200 million dollars", True),
    ]
    assert one.supported


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ("Revenue rose 9 % to $4.3 billion [1].", ["$4.3 billion"]),
        ("Revenue rose 9 % to $4.2 million [1].", ["$4.2 million"]),
        ("Revenue rose to 4.2 billion euros [1].", ["4.2 billion euros"]),
        ("Revenue fell 9 % [1].", ["9 %"]),
        ("Net profit was $38.6 million [1].", ["$38.6 million"]),
        ("Revenue rose 9 % [2].", ["9 %"]),  # it stands in another source
        ("Revenue was $4.2 billion in 2023 [1].", ["2023"]),
    ],
)
def test_figures_are_compared_with_the_sources_that_are_named(
    answer: str, wrong: list[str]
) -> None:
    (one,) = statements(answer, [ACME, BOLT])
    assert [figure.text for figure in one.figures if not figure.stands] == wrong
    assert not one.supported


def test_a_source_that_is_not_there_is_marked() -> None:
    (one,) = statements("Revenue rose 9 % [1][7?].", [ACME, BOLT])
    assert (one.sources, one.unknown, one.supported) == ((1,), (7,), False)
    (one,) = statements("Margins doubled in Norway [9?].", [ACME, BOLT])
    assert (one.sources, one.cited, one.unknown) == ((), False, (9,))


def test_a_sentence_that_names_none_rests_on_the_nearest_or_on_nothing() -> None:
    (one,) = statements("The board of Bolt sold 1,234 units.", [ACME, BOLT])
    assert (one.sources, one.cited, one.supported) == ((2,), False, True)
    (one,) = statements("The weather in Oslo was mild.", [ACME, BOLT])
    assert (one.sources, one.supported) == ((), False)


# Seeded figures

FIGURES = """\
Halvorsen reported revenue of $456.4 million for the quarter, up 8.0% from $422.4 million.
Gross margin was 41.7%, compared with 40.2%. Operating income rose to $61.3 million.
Net loss was $(12.9) million, or $0.31 per share, against net income of $7.4 million.
Cash flow from operations was $88.1 million; capital expenditures were $23.6 million.
The order backlog stood at EUR 1,245 million. The company employed 5,310 people in 14 countries.
For 2025 it expects revenue of $1.90 billion to $1.96 billion and a tax rate of about 23.5 percent.
It repurchased 1.2 million shares for $54 million and paid a dividend of $0.18 per share.
Restructuring charges fell 35 basis points to 1.15% of sales. Debt was reduced by NOK 612m.
"""
REWRITTEN = (  # as an answer may say the same
    "Revenue of 456,400,000 dollars was up 8 percent from $0.4224 billion.",
    "The gross margin rose to 41.7 per cent from 40.2 per cent, operating income to $61.3m.",
    "It lost $12.9 million, or 31 cents per share, after a profit of $7.4 million.",
    "Operations generated $88.1m of cash, and capital expenditures took 23.6 million dollars.",
    "Its backlog was \u20ac1.245 billion; 5310 people worked for it in fourteen countries.",
    "It guides to revenue between 1.90 and 1.96 billion dollars in 2025, taxed at 23.5%.",
    "1,200,000 shares were bought back for $54m; the dividend was 18 cents a share.",
    "Restructuring charges were 0.35% of sales lower at 115 basis points.",
    "Debt went down by 612 million kroner.",
)
CASES = 200


def sentences_with_figures(text: str) -> list[tuple[str, list[Number]]]:
    found = [text[start:end] for start, end in sentences(text)]
    rows = [(each, [n for n in numbers(each) if n.figure and n.text[-1:] != "."]) for each in found]
    return [(each, held) for each, held in rows if held]


def altered(number: Number, chance: random.Random) -> str:
    """The number with one or two digits changed, or its scale, or its unit."""
    text = number.text
    kinds = ["digits", "digits"]
    swaps = {"million": "billion", "billion": "million", "%": " million", "EUR": "GBP"}
    if any(word in text for word in swaps):
        kinds.append("unit")
    if chance.choice(kinds) == "unit":
        word = next(word for word in swaps if word in text)
        return text.replace(word, swaps[word], 1)
    places = [at for at, one in enumerate(text) if one.isdigit()]
    at = chance.choice(places[:2])
    digit = chance.choice([d for d in "123456789" if d != text[at]])
    return text[:at] + digit + text[at + 1 :]


def test_wrong_figures_are_marked_and_right_ones_are_not() -> None:
    """200 seeded wrong ones: none unmarked. Of the right ones at most 2 in 100 are marked."""
    chance = random.Random(16)
    rows = sentences_with_figures(FIGURES)
    passage = source(1, FIGURES)
    values = {number.value for number in numbers(FIGURES)}
    wrong = marked = 0
    while wrong < CASES:
        sentence, held = chance.choice(rows)
        number = chance.choice(held)
        seeded = altered(number, chance)
        now = sentence[: number.start] + seeded + sentence[number.end :]
        (changed,) = [n for n in numbers(now) if n.start <= number.start < n.end][:1] or [None]
        if changed is None or (changed.value in values and changed.unit == number.unit):
            continue  # it is another figure of the passage, and right where it stands
        wrong += 1
        found = statements(f"{now.strip()} [1]", [passage])
        marked += any(not figure.stands for one in found for figure in one.figures)
    assert (wrong, marked) == (CASES, CASES)
    figures = [
        figure
        for sentence, _ in rows
        for one in statements(f"{sentence.strip()} [1]", [passage])
        for figure in one.figures
    ]
    figures += [
        figure
        for text in REWRITTEN
        for one in statements(f"{text} [1]", [passage])
        for figure in one.figures
    ]
    assert len(figures) > 40
    assert sum(not figure.stands for figure in figures) <= 0.02 * len(figures)
