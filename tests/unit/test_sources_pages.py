"""A web page as its reader sees it, and its tables as rows that say what their figures are."""

from __future__ import annotations

import pytest

from tickertape.sources import pages

TABLE = """<table>
<tr><td></td><td></td><td></td></tr>
<tr><td>(In millions)</td><td colspan=3>2023</td><td colspan=3>2022</td></tr>
<tr><td>REVENUES</td></tr>
<tr><td>Total revenues</td><td>$</td><td>67,954</td><td></td><td>$</td><td>58,100</td><td></td></tr>
<tr><td>Loss</td><td></td><td>(62</td><td>)</td><td></td><td>(0.1</td><td>)%</td></tr>
</table>"""


def test_a_row_of_figures_repeats_its_headings_with_signs_and_brackets():
    assert pages.read(TABLE.encode()).text.split("\n") == [
        "(In millions) > REVENUES > Total revenues | 2023: $67,954 | 2022: $58,100",
        "(In millions) > REVENUES > Loss | 2023: (62) | 2022: (0.1)%",
    ]


def test_headings_of_several_rows_stand_over_what_they_span():
    table = """<table>
    <tr><th rowspan=2>Segment</th><th colspan=2>2023</th><th>2022</th></tr>
    <tr><th>Amount</th><th>Share</th><th>Amount</th></tr>
    <tr><td>Americas</td><td>10</td><td>50%</td><td>9</td></tr></table>"""
    assert pages.read(table.encode()).text == (
        "Segment > Americas | 2023 Amount: 10 | 2023 Share: 50% | 2022 Amount: 9"
    )


def test_a_table_that_only_lays_a_page_out_is_text():
    page = "<table><tr><td><table><tr><td>a<td>b</table><td><p>Long text.</p></table>"
    assert "Long text." in pages.read(page.encode()).text


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>evil()</script>",
        "<style>p {}</style>",
        "<nav><a>Home</a></nav>",
        "<header>Site</header>",
        "<div style='display: none'>a<b>b</b></div>",
        "<div hidden>a</div>",
        "<div style='display:none'><ix:header>us-gaap</ix:header></div>",
        "<!-- a comment -->",
        "<template>a</template>",
        "<div role=navigation>a</div>",
    ],
)
def test_what_no_reader_sees_is_left_out(hidden: str):
    page = f"<body>{hidden}<p>Revenue rose.</p>{hidden}</body>"
    assert pages.read(page.encode()).text == "Revenue rose."


def test_blocks_are_paragraphs_words_stay_whole_and_headings_are_known():
    page = "<h2>Item 1</h2><p>Rev<span>en</span>ue\nrose<br>again.</p>tail<pre>a\n b</pre>"
    found = pages.read(page.encode())
    assert found.text == "Item 1\n\nRevenue rose\nagain.\n\ntail\n\na\nb"
    assert found.headings == ["Item 1"]


def test_inline_xbrl_is_read_as_text():
    page = '<p>Sales of $<ix:nonFraction scale="6">4.2</ix:nonFraction> million</p>'
    assert pages.read(page.encode()).text == "Sales of $4.2 million"


def test_a_page_is_read_to_its_depth_or_refused():
    deep, endless = ("<div>" * count + "deep" for count in (1_500, 20_000))
    assert pages.read(deep.encode()).text == "deep"
    with pytest.raises(ValueError, match="nest over"):
        pages.read(endless.encode())
