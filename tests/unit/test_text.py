"""Text as it is read: what is left out, what is made alike, and where it stands in what came."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickertape.chunking import sentences
from tickertape.text import blank, comparable, readable

AS_READ = [
    ("Revenue rose 3.5% to $1.2 bn.", "Revenue rose 3.5% to $1.2 bn."),
    ("with\u00addrawn guid\u00ad\nance", "withdrawn guidance"),
    ("Halvor\u200bsen\u2060 back\ufefflog", "Halvorsen backlog"),
    ("a\x07b\x08 c\x85d\te", "ab c\x85d\te"),
    ("rev-\nenue and Halvor-\r\n  sen", "revenue and Halvorsen"),
    ("rev-\n\nenue, long-\r\r\nterm, Item 2-\n\nPlants", "revenue, long-term, Item 2-\n\nPlants"),
    ("long-\nterm, year-over-\nyear, non-\nGAAP", "long-term, year-over-year, non-GAAP"),
    ("Form 10-\nK of 2023-\n24; e-\nmail", "Form 10-K of 2023-24; e-mail"),
    (
        "enterprise\ufffewide, long\x02term and rev\ufffeenue",
        "enterprisewide, long-term and revenue",
    ),
    (f"See ![c](data:image/png;base64,{'iVBORw0K' * 40}=) it rose.", "See ![c]() it rose."),
    ("> It rose\n> in May.\n>> > Well", "It rose\nin May.\nWell"),
    ("a\n> 5% of it", "a\n> 5% of it"),
    ("costs -\nthe rest", "costs -\nthe rest"),
    ("AT&amp;T&nbsp;rose&#8217;s R&D; &unknown;", "AT&T\u00a0rose\u2019s R&D; &unknown;"),
    ("<div>One.</div><DIV class='a'>Two.</DIV>", "\n\nOne.\n\n\n\nTwo.\n\n"),
    ("Net <b>sales</b> of $5<sup>1</sup><br/>rose", "Net sales of $5 1\nrose"),
    ("a<script>if (a<b) alert('</div>')</script>b", "a\n\n\n\nb"),
    ("a<!-- <p>no</p> -->b <!-- open", "ab <!-- open"),
    ("<TYPE>EX-99.1\n<SEQUENCE>2", "\n\nEX-99.1\n\n\n2"),
    ('<ix:nonFraction name="us-gaap:Revenues">52</ix:nonFraction>', "52"),
    ("<Company> rose, 3 < 4 and 5 > 4, <a@b.c>", "<Company> rose, 3 < 4 and 5 > 4, <a@b.c>"),
]
ALIKE = [
    ("The o\ufb03ce's pro\ufb01t", "The office's profit"),
    ("cafe\u0301 \u1112\u1161\u11ab", "caf\u00e9 \ud55c"),
    ("\uff21\uff34\uff06\uff34\u3000\uff17\uff15\uff19\uff16", "AT&T 7596"),
    ("revenue\u00b9 3\u00bd Windows\u2122 CO\u2082", "revenue 1 3 1/2 Windows CO2"),
    ("10\u00b2\u00b3 \u22125\u2011K", "10 23 -5-K"),
    ("\u58f2\u4e0a\uff01\u5229\u76ca\uff1f", "\u58f2\u4e0a\uff01\u5229\u76ca\uff1f"),
]


@pytest.mark.parametrize(("text", "read"), AS_READ)
def test_what_a_reader_sees(text: str, read: str) -> None:
    assert readable(text).text == read


@pytest.mark.parametrize(("text", "form"), ALIKE)
def test_what_looks_alike_is_alike(text: str, form: str) -> None:
    assert readable(text).text == text
    assert comparable(text).text == form


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u200b", "\x07\x08", "\u00ad \ufeff\u2028"])
def test_nothing_to_see_is_blank(text: str) -> None:
    assert blank(text)


def test_tags_alone_are_read_as_they_are() -> None:
    assert readable("<div></div>").text == "<div></div>"
    assert not blank("<div></div>")


def test_places_in_the_given_text() -> None:
    text = "The <b>o\ufb03ce</b> re\u00adported a loss."
    reading = comparable(text)
    assert reading.text == "The office reported a loss."
    for word, came in (("office", "o\ufb03ce"), ("reported", "re\u00adported"), ("loss", "loss")):
        at = reading.text.index(word)
        assert text[reading.start(at) : reading.end(at + len(word))].startswith(came)
    cut = reading.text.index("ffi") + 1  # inside the ligature: it belongs to both sides
    assert text[reading.start(cut)] == "\ufb03"
    assert text[: reading.end(cut)].endswith("\ufb03")


PIECES = st.sampled_from(
    ["Revenue rose. ", "<div>", "</div>", "<b>", "&amp;", "\u00ad", "\u200b", "o\ufb03ce ",
     "rev-\n", "enue. ", "\n", " ", "\uff21", "e\u0301", "\u00bd", "AT&T. ", "\u1100\u1161", "<",
     ">", "\x07", "<script>", "</script>", "<!--", "-->", "\u58f2\u4e0a\u3002", "-\r\n",
     "&#", "\u2212"]
)  # fmt: skip
TEXTS = st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=200))


@given(text=TEXTS)
@example(text="\u200b\u00bd.\u00ad")
@example(text="<div>One. </div>Two.")
def test_nothing_of_the_given_text_is_lost_between_spans(text: str) -> None:
    for reading in (readable(text), comparable(text)):
        spans = reading.spans(sentences(reading.text))
        covered = {at for start, end in spans for at in range(start, end)}
        missed = {at for at in range(len(text)) if not text[at].isspace()} - covered
        assert not missed or not reading.text.strip()
        assert all(0 <= start <= end <= len(text) for start, end in spans)
        assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(spans))


@given(text=TEXTS)
def test_what_is_comparable_stays_so(text: str) -> None:
    once = comparable(text).text
    if "<" not in once and "&" not in once and "\n" not in once:
        assert comparable(once).text == once


@given(text=TEXTS, place=st.integers(0, 400))
def test_a_place_leads_back_into_the_text(text: str, place: int) -> None:
    reading = comparable(text)
    place = min(place, max(0, len(reading.text) - 1))
    assert 0 <= reading.start(place) <= len(text)
    assert 0 <= reading.end(place) <= len(text)
    assert reading.start(place) <= reading.start(place + 1)
    assert reading.end(place) <= reading.end(place + 1)


@pytest.mark.parametrize(
    "filler",
    ["<", "<b", "<a ", "<!--", "<script>", "&", "&a", "a-\n", "\u00ad", "\ufb03", "-", ">"],
)
def test_work_grows_with_the_text_only(filler: str) -> None:
    """Repeats that would make a scan quadratic; each takes well under a second or two."""
    text = filler * (400_000 // len(filler)) + "end"
    assert comparable(text).text
    assert not blank(text)
