"""Texts like filed reports, made here: covers, tables, headings, prose, and pages of caution.

Each text is made of pieces whose kind is known, so what a summary takes can be told apart without
looking at how it is written. No two are set alike: columns by spaces, tabs, bars or dots, a cell a
line, lines wrapped at any column or not at all, HTML, and EDGAR's SGML header.
"""

from __future__ import annotations

import html
import random
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

NAMES = (
    ("Alderbrook Foods", "AFDS"), ("Corvane Networks", "CVNE"), ("Halden Shipping", "HLDN"),
    ("Marrick Tools", "MRKT"), ("Pellworth Energy", "PLWE"), ("Quillon Health", "QLNH"),
    ("Stroud & Vale", "STVL"), ("Tessary Semiconductor", "TSRY"), ("Umberley Rail", "UMBR"),
    ("Wexcombe Paper", "WXCP"),
)  # fmt: skip
PARTS = (("Household", "Industrial"), ("Americas", "Overseas"), ("Cloud Services", "Devices"))
UNITS = (("$", " million", "USD"), ("NOK ", "m", "NOK"), ("\u20ac", "m", "EUR"), ("$", "M", "USD"))
KINDS = ("8-K", "10-Q", "10-K", "earnings release", "annual report")
COLUMNS = (None, 40, 56, 72, 96)

COVERS = (
    """UNITED STATES
SECURITIES AND EXCHANGE COMMISSION
Washington, D.C. 20549
FORM {kind}
(Mark One)
[X] REPORT PURSUANT TO SECTION 13 OR 15(d) OF THE SECURITIES EXCHANGE ACT OF 1934
For the period ended June 30, {year}
{name}, Inc.
(Exact name of registrant as specified in its charter)
Delaware 001-{n} {n}-2918
(State or other jurisdiction of incorporation) (Commission File Number) (IRS Employer No.)
{n} Harbor Street, Millport, Ohio 44114
(Address of principal executive offices, including zip code)
Registrant's telephone number, including area code: (216) 555-{n}
Title of each class Trading Symbol Name of each exchange on which registered
Common Stock, par value $0.01 per share {ticker} New York Stock Exchange
1.875% Notes due 2029 {ticker}29 New York Stock Exchange
Indicate by check mark whether the registrant is a shell company (as defined in Rule 12b-2 of the \
Exchange Act). Yes [ ] No [X]
The aggregate market value of the voting stock held by non-affiliates was $2,918,412,000.
As of July 28, {year}, there were {n},412,918 shares of the registrant's common stock \
outstanding.""",
    """FOR IMMEDIATE RELEASE
Contact: Dana Whitlock, Investor Relations, (216) 555-{n}
{name} Reports Second Quarter {year} Results
Net Sales Up 6% to a Record; Outlook Raised to $3.60 to $3.75 Per Share""",
    """{name} ASA
Interim Report
Second Quarter and First Half of {year}
Unaudited figures in millions unless otherwise stated
Page 1 of 24""",
)
CAUTIONS = (
    """Forward-Looking Statements
This report contains forward-looking statements within the meaning of the Private Securities \
Litigation Reform Act of 1995. Words such as "expects" and "plans" mark them. Earnings per share \
for the full year of $3.60 to $3.75 are such a statement. Many things could make what comes differ \
from it, among them prices of energy of over $90 a barrel, a fall in demand of 5% or more, strikes \
and storms. We have no duty to bring them up to date.""",
    """SAFE HARBOR STATEMENT
Statements in this release that are not of the past involve risks and uncertainties. Actual \
results may differ materially. Our revenue guidance of $850 million to $880 million rests on \
assumptions that may prove wrong. Readers should not place undue reliance on it. {name} undertakes \
no obligation to update any of it, except as the law requires.""",
    """Cautionary note
The outlook rests on what management knew on the date of this report. It is no guarantee of future \
results. Exchange rates, of which a change of 10% moves operating profit by some $14 million, are \
beyond the company's control. See the risk factors in the annual report.""",
)
ENDS = (
    """Item 9.01. Financial Statements and Exhibits.
(d) Exhibits
Exhibit No. Description
99.1 Press release of {name}, Inc. dated July 30, {year}
104 Cover Page Interactive Data File (embedded within the Inline XBRL document)
SIGNATURES
Pursuant to the requirements of the Securities Exchange Act of 1934, the registrant has duly \
caused this report to be signed on its behalf by the undersigned hereunto duly authorized.
{name}, Inc.
Date: July 30, {year} By: /s/ Dana Whitlock
Dana Whitlock
Chief Financial Officer""",
    """Conference Call
{name} will hold a conference call at 8:30 a.m. Eastern time to discuss these results. A replay \
will be there for 30 days at www.example.com/investors.
About {name}
{name} makes and sells goods in 40 countries, with revenue of over $3 billion a year. It was \
founded in 1911 and has 12,400 employees.
Contacts
Dana Whitlock, ir@example.com""",
    """Use of Non-GAAP Financial Measures
Adjusted earnings per share leave out amortization of $0.12 and restructuring of $0.05 a share. \
Management believes that they help investors. They are no substitute for results under GAAP.""",
)
RESULTS = (
    "Revenue was {rev}, compared with {rev0} in the second quarter of {last}.",
    "Net sales in the quarter rose {pct}% to {rev} from {rev0} a year earlier.",
    "Total revenue for the second quarter came to {rev}, an increase of {pct} percent.",
)
EARNED = (
    "Diluted earnings per share were {cur}{eps}, compared with {cur}{eps0} in the same quarter of"
    " {last}.",
    "The net loss was {cur}({eps}) per share, against a profit of {cur}{eps0} per share in {last}.",
    "Net income was {net}, or {cur}{eps} per diluted share.",
)
OUTLOOKS = (
    "For the full year the company now expects revenue of {low} to {high}.",
    "{name} raised its outlook for {year} and expects revenue between {low} and {high}.",
    "Management forecasts revenue of {low} to {high} for {year}, as before.",
)
PROSE = (
    "Operating cash flow was {net}, helped by lower stocks of raw materials.",
    "The board declared a dividend of {cur}0.22 per share, payable on September 5.",
    "The chief executive, Dana Whitlock, thanked the staff of the Peoria plant.",
    "Demand held up in most markets, and prices were steady through the period.",
    "Two plants were closed for a week in May because of floods along the river.",
    "Gross margin widened by {pct}0 basis points as freight costs fell.",
    "The company ended the quarter with {rev0} of cash and no borrowings under its credit line.",
)
OF_A_PART = (
    "Revenue was {part}, an increase of {pct}% on the second quarter of {last}.",
    "Earnings before interest and tax were {part}, compared with {net} a year earlier.",
    "Sales grew {pct} percent to {part} as new contracts began.",
)
ROWS = (
    "Net sales", "Cost of goods sold", "Gross profit",
    "Selling, general and administrative expenses", "Operating income", "Net income",
    "Diluted earnings per share", "Weighted average shares",
    "Total current assets", "Long-term debt", "Total liabilities and equity",
)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A part of a report. ``kind``: prose, part (a segment's), or what a summary is not to take."""

    kind: str
    text: str


@dataclass(frozen=True)
class Made:
    """A report as text, with its pieces and the type that its sender says."""

    text: str
    type: str
    pieces: Sequence[Piece]


def reports(count: int) -> list[Made]:
    """Return ``count`` reports, always the same."""
    kinds = list(product(range(len(KINDS)), COLUMNS))
    return [
        _report(n, KINDS[kinds[n % len(kinds)][0]], kinds[n % len(kinds)][1]) for n in range(count)
    ]


def _report(number: int, kind: str, column: int | None) -> Made:
    rng = random.Random(number)
    words = _words(rng, kind)
    say: Callable[[Sequence[str]], str] = lambda texts: rng.choice(texts).format(**words)  # noqa: E731
    prose = rng.sample(PROSE, 4)
    pieces = [
        Piece("cover", COVERS[_cover(kind)].format(**words)),
        Piece("heading", "Results of Operations"),
        Piece("prose", " ".join((say(RESULTS), say(EARNED), prose[0].format(**words)))),
        Piece("table", _table(rng)),
        Piece(
            "prose", " ".join((prose[1].format(**words), say(OUTLOOKS), prose[2].format(**words)))
        ),
    ]
    for name in rng.choice(PARTS):
        pieces += [Piece("heading", f"{name} Segment"), Piece("part", say(OF_A_PART))]
    pieces += [
        Piece("heading", "LIQUIDITY AND CAPITAL RESOURCES"),
        Piece("prose", prose[3].format(**words)),
        Piece("table", _table(rng)),
    ]
    back = [Piece("caution", say(CAUTIONS)), Piece("end", say(ENDS)), Piece("end", say(ENDS[:2]))]
    if number % 4 == 3:  # some say it in front
        pieces[1:1] = back[:1]
        back = back[1:]
    pieces += back
    shape = (_plain, _plain, _html, _sgml)[number % 4]
    return Made(shape(pieces, column), kind, pieces)


def _cover(kind: str) -> int:
    return {"earnings release": 1, "annual report": 2}.get(kind, 0)


def _words(rng: random.Random, kind: str) -> dict[str, object]:
    name, ticker = rng.choice(NAMES)
    before, after, _ = rng.choice(UNITS)
    revenue = rng.randrange(4_000, 9_000)

    def money(tenths: int) -> str:
        return f"{before}{tenths // 10:,}.{tenths % 10}{after}"

    year = rng.randrange(2021, 2026)
    return {
        "name": name, "ticker": ticker, "kind": kind, "year": year, "last": year - 1,
        "n": rng.randrange(100, 1000), "pct": rng.randrange(2, 19), "cur": before,
        "rev": money(revenue), "rev0": money(revenue * 94 // 100), "net": money(revenue // 9),
        "part": money(revenue * 6 // 10), "low": money(revenue * 41 // 10),
        "high": money(revenue * 43 // 10), "eps": f"{rng.randrange(20, 300) / 100:.2f}",
        "eps0": f"{rng.randrange(20, 300) / 100:.2f}",
    }  # fmt: skip


def _table(rng: random.Random) -> str:
    """A table, set in one of the ways in which tables are left in a text."""
    rows = [["(in millions, except per share data)", "2024", "2023", "2022"]]
    for label in rng.sample(ROWS, 7):
        cells = [f"{rng.randrange(100, 99_999) / 10:,.1f}" for _ in range(3)]
        rows.append([label, *(f"({cell})" if rng.random() < 0.2 else cell for cell in cells)])
    rows.append(["Diluted earnings per share", "$ 0.91", "$ 0.78", "$ (0.12)"])
    way = rng.randrange(5)
    if way == 0:
        return "\n".join(
            f"{row[0]:<48}" + "".join(f"{cell:>14}" for cell in row[1:]) for row in rows
        )
    if way == 1:
        return "\n".join("\t".join(row) for row in rows)
    if way == 2:
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)
    if way == 3:
        return "\n".join(f"{row[0]} {'.' * 12} {'  '.join(row[1:])}" for row in rows)
    return "\n".join(" ".join(row) for row in rows)  # as PDF readers give them


def _plain(pieces: Sequence[Piece], column: int | None) -> str:
    between = "\n" if column and column > 60 else "\n\n"  # PDF readers leave no empty lines
    return between.join(_wrapped(piece, column) for piece in pieces)


def _wrapped(piece: Piece, column: int | None) -> str:
    if column is None or piece.kind == "table":
        return piece.text
    lines = piece.text.split("\n")
    return "\n".join(textwrap.fill(line, column) if len(line) > column else line for line in lines)


def _html(pieces: Sequence[Piece], column: int | None) -> str:
    found = []
    for piece in pieces:
        lines = [html.escape(line, quote=False) for line in piece.text.split("\n")]
        if piece.kind == "table":
            rows = (line.replace(" | ", "</td><td>").replace("\t", "</td><td>") for line in lines)
            found.append(
                "<table>" + "".join(f"<tr><td>{row}</td></tr>" for row in rows) + "</table>"
            )
        else:
            found += [f"<div><font size='2'>{line}</font></div>" for line in lines]
    return ("" if column is None else "\n").join(found)


def _sgml(pieces: Sequence[Piece], column: int | None) -> str:
    return (
        "<SEC-HEADER>0000912057-24-004321.hdr.sgml : 20240730\n"
        "ACCESSION NUMBER:\t0000912057-24-004321\n"
        "CONFORMED SUBMISSION TYPE:\t8-K\nPUBLIC DOCUMENT COUNT:\t\t2\nFILER:\n\tCOMPANY DATA:\n"
        "\t\tCOMPANY CONFORMED NAME:\t\t\tEXAMPLE CORP\n</SEC-HEADER>\n<DOCUMENT>\n<TYPE>8-K\n"
        f"<SEQUENCE>1\n<FILENAME>form8k.txt\n<TEXT>\n<PAGE>\n{_plain(pieces, column)}\n"
        "</TEXT>\n</DOCUMENT>"
    )
