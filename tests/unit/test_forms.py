"""What a sentence of a report is: prose, or what stands around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.chunking import sentences
from tickertape.summarize.forms import (
    _CAUTION,
    _COVER,
    _POINTER,
    Form,
    places,
    without_bullet,
    words_of,
)

REPORT = """\
FORM 10-Q
(Exact name of registrant as specified in its charter)
Common Stock, par value $0.01 per share WIDG New York Stock Exchange
Indicate by check mark whether the registrant is a shell company. Yes [ ] No [X]

Results of Operations
Revenue was $52.3 million in the quarter, up 8%. Costs fell.
Net sales 52.3 48.4
Diluted earnings per share $ 0.91 $ 0.78
(1) Includes charges of $2 million for plants that were closed.
- Net income rose to $4.4 million, helped by prices

Europe Segment
Revenue was $12.1 million, up 4%.
Sales of the Europe segment were $12.1 million.

CONSOLIDATED OUTLOOK
We expect revenue of $215 million in 2024.

Forward-Looking Statements
This report has statements that look ahead. Earnings of $3.60 a share are one.
Oil at $90 a barrel would change them.

About Widget
Widget had revenue of $200 million last year. It was founded in 1911.

Item 9.01. Financial Statements and Exhibits.
99.1 Press release dated July 30, 2024
SIGNATURES
Date: July 30, 2024 By: /s/ D. Whitlock"""


def forms() -> dict[str, Form]:
    spans = sentences(REPORT)
    found = zip(spans, places(REPORT, spans), strict=True)
    return {REPORT[start:end]: place.form for (start, end), place in found}


def test_what_a_report_says_is_its_prose() -> None:
    assert [said for said, form in forms().items() if form is Form.PROSE] == [
        "Revenue was $52.3 million in the quarter, up 8%.",
        "Costs fell.",
        "- Net income rose to $4.4 million, helped by prices",
        "Revenue was $12.1 million, up 4%.",
        "Sales of the Europe segment were $12.1 million.",
        "We expect revenue of $215 million in 2024.",
    ]


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("Indicate by check mark whether the registrant is a shell company.", Form.BOILERPLATE),
        ("Results of Operations", Form.HEADING),
        ("Net sales 52.3 48.4", Form.ROW),
        ("Diluted earnings per share $ 0.91 $ 0.78", Form.ROW),
        ("Earnings of $3.60 a share are one.", Form.BOILERPLATE),
        ("Widget had revenue of $200 million last year.", Form.BOILERPLATE),
        ("Item 9.01.", Form.HEADING),
        ("(1) Includes charges of $2 million for plants that were closed.", Form.BOILERPLATE),
    ],
)
def test_what_stands_around_it(said: str, form: Form) -> None:
    assert forms()[said] is form


def test_a_figure_under_the_heading_of_a_segment_is_the_segments() -> None:
    spans = sentences(REPORT)
    found = {
        REPORT[slice(*span)]: place
        for span, place in zip(spans, places(REPORT, spans), strict=True)
    }
    assert found["Revenue was $12.1 million, up 4%."].under
    assert found["Sales of the Europe segment were $12.1 million."].named
    assert not found["Revenue was $52.3 million in the quarter, up 8%."].under
    assert not found["We expect revenue of $215 million in 2024."].under


QUARTERLY = """\
Item 1. Financial Statements
(In thousands, except per share amounts)
(Unaudited)
See accompanying notes to condensed consolidated financial statements.
1. Basis of Presentation
The accompanying statements have been prepared for interim periods.
Item 2. Management's Discussion and Analysis of Financial Condition and Results of Operations.
Net revenue increased 6.6% to $182.4 million.
Item 6. Exhibits
The list that follows has 12 of them, of which one is of $5 million."""


def test_an_items_title_begins_a_section_whether_it_has_a_stop_or_not() -> None:
    spans = sentences(QUARTERLY)
    found = zip(spans, places(QUARTERLY, spans), strict=True)
    assert [QUARTERLY[slice(*span)] for span, place in found if place.form is Form.PROSE] == [
        "Net revenue increased 6.6% to $182.4 million."
    ]


HALF_YEAR = """\
Half-year results
Revenue rose 12 per cent to \u00a3612m.

Divisional review
Copper
Revenue was \u00a3401m, 14 per cent higher.
Zinc
Revenue fell 3 per cent to \u00a3120m.

Outlook
Profit will be \u00a3140m."""


def test_short_headings_of_a_review_of_divisions_are_their_names() -> None:
    spans = sentences(HALF_YEAR)
    found = zip(spans, places(HALF_YEAR, spans), strict=True)
    under = {HALF_YEAR[slice(*span)]: place.under for span, place in found}
    assert [said for said in under if said.endswith(".") and under[said]] == [
        "Revenue was \u00a3401m, 14 per cent higher.",
        "Revenue fell 3 per cent to \u00a3120m.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Turning to Europe. Revenue was $5 million.",  # said in a call: no heading
        "Thank you. Our safe harbor is known. Revenue was $5 million. Net income was $1 million.",
        "ACME REPORTS RESULTS ABOUT FORECAST\nRevenue was $5 million.",
        "As the press release says, earnings per share were $1.12.",
        "Acme repurchased shares pursuant to its program for $5 million.",
    ],
)
def test_what_is_said_in_passing_opens_no_section(text: str) -> None:
    spans = sentences(text)
    found = places(text, spans)
    assert found[-1].form is Form.PROSE
    assert not found[-1].under


TELLTALES = {
    _COVER: """refer to page 3; check mark; check the appropriate box; an emerging growth company;
        Exact name of registrant; par value; principal executive offices; IRS Employer;
        I.R.S. Employer; Commission File; State or other jurisdiction; the registrant;
        Title of each class; Trading Symbol; exchange on which registered; Rule 405; 17 CFR 240;
        17 C.F.R. 240; Section 13 or 15(d); aggregate market value; accelerated filer;
        shell company;
        incorporated by reference; incorporated herein; attached as exhibit; furnished herewith;
        filed as exhibit; shall not be deemed; deemed "filed"; duly authorized; hereunto;
        Inline XBRL; interactive data file; Exhibit 99; Securities Exchange Act;
        Securities and Exchange Commission; Securities Act of 1933; all rights reserved;
        unaudited""",
    _CAUTION: """forward-looking; safe harbour; Private Securities Litigation; undertakes no duty;
        no obligation to update; disclaims any intent; assumes no any obligation; differ materially;
        risks and uncertainties; risk factors; words such as; cautionary;
        not a guarantee of future; undue reliance""",
    _POINTER: """conference call; webcast; replay; dial-in; dialing; investor relations;
        press release; for more information; please visit www; https://a.org; www.a.org; a@b.com;
        non-GAAP measure; is defined as; reconciliation of; should read in conjunction;
        accompanying notes; supplemental information""",
}


@pytest.mark.parametrize("telltale", TELLTALES)
def test_what_a_telltale_needs_stands_wherever_its_pattern_does(telltale) -> None:
    for said in TELLTALES[telltale].split(";"):
        sentence = " ".join(said.split())
        assert telltale.pattern.search(sentence), sentence
        assert telltale.stands(sentence, words_of(sentence)), sentence


@given(st.text(max_size=300))
def test_every_sentence_has_a_place(text: str) -> None:
    spans = sentences(text)
    assert len(places(text, spans)) == len(spans)


def test_sentences_without_spaces_are_prose() -> None:
    text = "営業利益は九八億円だった。通期の売上高を見込む。"
    spans = sentences(text)
    assert [place.form for place in places(text, spans)] == [Form.PROSE, Form.PROSE]


def test_without_bullet() -> None:
    assert without_bullet("\u2022 Sales rose.") == "Sales rose."
    assert without_bullet("-5% was lost.") == "-5% was lost."
