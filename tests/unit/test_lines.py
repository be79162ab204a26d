"""Line ends: where a sentence goes on in the next line, and what is a row."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.chunking import sentences
from tickertape.lines import BREAK, is_row, line_ends, unwrapped

PROSE = (
    "Orrin Mills today told of its second quarter of fiscal 2024. Net sales in the quarter were "
    "$1.84 billion, an increase of 6% from $1.73 billion in the second quarter of 2023. Diluted "
    "earnings per share were $0.91, compared with $0.78 in the same quarter of 2023. For the full "
    "year Orrin now expects net sales of $7.30 billion to $7.45 billion, and NOK 612m of them in "
    "Norway. In March Dana Whitlock, the chief executive, opened the plant in Peoria. EBITDA was "
    "(4.2)% lower."
)


def said(text: str) -> list[str]:
    return [" ".join(text[start:end].split()) for start, end in sentences(text)]


@pytest.mark.parametrize("column", [24, 30, 36, 40, 48, 56, 64, 72, 80, 100, 120])
def test_a_text_wrapped_at_any_column_has_the_sentences_of_one_that_is_not(column: int) -> None:
    wrapped = textwrap.fill(PROSE, column)
    assert said(wrapped) == said(PROSE)
    assert said(f"Results\n\n{wrapped}\n\nOutlook\n\n{wrapped}").count(said(PROSE)[1]) == 2


@pytest.mark.parametrize("column", [24, 30, 40, 56, 72, 100])
@pytest.mark.parametrize("end", ["\n\n", "\n\n\n", "\r\n\r\n", "\r\r\n", "\n \t\n"])
def test_a_blank_line_between_all_lines_is_no_end(column: int, end: str) -> None:
    wrapped = textwrap.fill(PROSE, column).replace("\n", end)
    assert said(wrapped) == said(PROSE)
    heading = f"Second Quarter Results{end}{end}"
    assert said(f"{heading}{wrapped}{end}{end}{heading}{wrapped}").count(said(PROSE)[1]) == 2


@pytest.mark.parametrize("at", range(1, 5))
def test_a_page_may_end_within_a_sentence(at: int) -> None:
    lines = textwrap.wrap(PROSE, 72)
    small = [i for i, line in enumerate(lines) if i and line[0].islower()]
    lines.insert(small[at % len(small)], "")
    assert said("\n".join(lines)) == said(PROSE)


@pytest.mark.parametrize(
    "text",
    [
        "Our plants\n\nThe plant in Peoria makes flour\n\nthe one in Bergen makes oil",
        "We sell tools and paints\n\nglass\n\nbooks and all that is made of paper\n\npens",
        "Revenue rose.\n\nOutlook\n\nWe expect more\n\niPhones sold well\n\nMacs did not",
        f"{textwrap.fill(PROSE, 72)}\n\nlower costs\n\n{textwrap.fill(PROSE, 72)}",
    ],
)
def test_paragraphs_are_not_joined(text: str) -> None:
    found = [" ".join(part.split()) for part in text.split("\n\n")]
    assert [one for part in found for one in said(part)] == said(text)


@pytest.mark.parametrize("column", [40, 72, 96])
def test_headings_and_rows_between_wrapped_lines_are_no_part_of_a_sentence(column: int) -> None:
    prose = textwrap.fill(PROSE, column)
    table = "Net sales 1,840.0 1,730.0\nDiluted earnings per share $ 0.91 $ 0.78"
    text = "\n".join(["Second Quarter Results", prose, "Balance Sheet", table, prose])
    found = said(text)
    assert found == [
        "Second Quarter Results",
        *said(PROSE),
        "Balance Sheet",
        *table.split("\n"),
        *said(PROSE),
    ]


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("", []),
        ("one line", []),
        ("Results\nRevenue rose", [True]),
        ("Revenue was\n$5 million", [False]),
        ("Revenue for the quarter ended\nMarch 31 was $5", [False]),
        ("sales of foods,\nDrinks and paper", [False]),
        ("sales rose in\r\neach market", [False]),
        ("Highlights:\nRevenue rose", [True]),
        ("OUTLOOK FOR 2024\nWe expect more", [True]),
        ("We sell\n- tools", [True]),
        ("We sell\n\ntools", [True, True]),
        ("\n".join(["A Corporation of the State of Ohio, USA, Number 1-02918"] * 6), [True] * 5),
        ("sold to Alder\nInc. in May", [False]),
        (
            "\n".join(
                ["The stock of Alder, which it owned for long, was sold to its former owner Widget"]
                * 6
            ),
            [False] * 5,
        ),
        ("Net sales 5,120 4,800\nnet of returns", [True]),
    ],
)
def test_line_ends(text: str, ends: list[bool]) -> None:
    assert line_ends(text) == ends


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n  \n\t\n    "])
def test_what_was_wrapped_is_on_one_line(end: str) -> None:
    wrapped = textwrap.fill(PROSE, 40).replace("\n", end)
    assert unwrapped(wrapped) == PROSE
    assert unwrapped(f"{wrapped}\n\n\n\nResults\n7") == f"{PROSE}\n\n\n\nResults\n7"


@given(st.text(alphabet="aB1$.,\n\r\u2028 -(%", max_size=300))
def test_unwrapping_loses_only_spaces(text: str) -> None:
    assert "".join(unwrapped(text).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "line",
    [
        "Net sales $ 3,226.8 $ 2,729.4 $ 2,198.7",
        "Comparable sales 15.6% 21.4% (4.8%)",
        "Total 12.6 % 11.8 %",
        "2023 2022 2021",
        "Net sales ........ 1,234",
        "Net sales\t1,234\t1,180",
        "| Net sales | 1,234 |",
        "Net sales          1,234          1,180",
        "7",
    ],
)
def test_rows(line: str) -> None:
    assert is_row(line)


@pytest.mark.parametrize(
    "line",
    [
        "Net sales rose 5% to $1,234 million.",
        "The quarter ended January 28, 2023",
        "In 2021, 2022 and 2023 it paid $1.96, $2.16 and $2.18 a share.",
        "We are initiating our 2021, 2022 and 2023 guidance of $1.96 to $2.16 per share",
        "Revenue was $4.2 billion, up 8%",
        "",
    ],
)
def test_no_rows(line: str) -> None:
    assert not is_row(line)


@given(st.text(alphabet="aB1$.,\n\r\u2028 -(%", max_size=300))
def test_an_answer_for_every_line_end(text: str) -> None:
    assert len(line_ends(text)) == len(BREAK.findall(text))
