"""Words as they are indexed and asked for."""

from __future__ import annotations

import hashlib

import pytest

from tickertape.terms import asked, indexed, significant, ticker

AND, NAME = "\ue0a1", "\ue0a2"


def more(text: str, written: str) -> list[str]:
    """What was written out beside the text itself."""
    assert written.startswith(text)
    return written[len(text) :].split()


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        ("ON Semiconductor (ON) missed", [f"ON{NAME}"] * 2),
        ("ServiceNow (NOW), NASDAQ: COST, $IT", [f"{n}{NAME}" for n in ("NOW", "COST", "IT")]),
        ("NOTES ON THE RESULTS", []),
        ("ALL ABOUT IT", []),
        ("A rise, I think, of GAAP EPS in the U.S.", []),
        ("It is now on, so are we all.", []),
    ],
)
def test_what_an_index_holds_beside_the_text(text: str, beside: list[str]) -> None:
    assert more(text, indexed(text)) == beside


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        ("ON missed estimates", [f"ON{NAME}"]),
        ("NOW", [f"NOW{NAME}"]),
        ("NOW EPS", [f"NOW{NAME}"]),
        ("did COST beat?", [f"COST{NAME}"]),
        ("$it", [f"it{NAME}"]),
        ("WHAT ABOUT THE OUTLOOK", []),
        ("what is it about", []),
    ],
)
def test_any_name_in_capitals_may_be_a_ticker(text: str, beside: list[str]) -> None:
    assert more(text, asked(text)) == beside


@pytest.mark.parametrize(
    ("symbol", "names"),
    [
        ("ON", ["ON"]),
        ("BRK.B", ["BRK", "BRKB"]),
        ("NYSE: T", ["T"]),
        ("", []),
        ("0700.HK", ["0700", "0700HK"]),
    ],
)
def test_a_stored_ticker_is_a_name(symbol: str, names: list[str]) -> None:
    written = ticker(symbol).split()
    assert [word for word in written if NAME in word][-len(names) or len(written) :] == [
        f"{name}{NAME}" for name in names
    ]


@pytest.mark.parametrize("write", [indexed, asked])
def test_words_with_an_and_inside(write) -> None:
    assert write("AT&T, S&P 500 and J & J") == f"AT{AND}T, S{AND}P 500 and J{AND}J"
    assert write("AT&amp;T") == f"AT{AND}T"
    assert write("Johnson&Johnson, salt & pepper") == (
        f"Johnson Johnson Johnson{AND}Johnson, salt & pepper"
    )


def test_chinese_japanese_and_korean_are_pairs() -> None:
    assert indexed("淨利7596億元").split() == ["淨利", "7596", "億元"]
    assert indexed("営業利益 증가").split() == ["営業", "業利", "利益", "증가"]
    assert asked("利").split() == ["利"]


def test_a_word_broken_at_a_line_end_is_found_whole_and_in_halves() -> None:
    assert indexed("energy-\nefficient").split() == ["energyefficient", "energy", "efficient"]
    assert indexed("long-\nterm").split() == ["long-term", "long", "term"]


def test_what_tells_something() -> None:
    words = ["don", "t", "on", f"on{NAME}", f"at{AND}t", "don"]
    assert significant(words) == ["don", f"on{NAME}", f"at{AND}t"]
    assert significant(["what", "is", "it"]) == ["what", "is", "it"]


@pytest.mark.parametrize(
    "alike",
    [
        ("$4.2bn", "$4.2 billion", "4,200 million", "USD 4200mn", "4.20-billion", "4.2B"),
        ("8.0 %", "8 percent", "8%", "8.00 per cent", "8 pct"),
        ("0.35%", "0.350 percent"),
        ("10-K", "10K", "10 - K", "10\u2013K", "10 K"),
        ("$750 thousand", "0.75 million"),
        ("\U0001f680", "up \U0001f680 up"),
    ],
)
def test_a_figure_a_form_and_an_emoji_is_one_word_however_it_is_written(
    alike: tuple[str, ...],
) -> None:
    marks = "\ue0a3\ue0a4\ue0a5"
    found = [
        {word for word in asked(text).lower().split() if word[0] in marks or word == "10k"}
        for text in alike
    ]
    assert found[0]
    assert all(words == found[0] for words in found)
    assert all(found[0] <= set(indexed(text).lower().split()) for text in alike)


@pytest.mark.parametrize("text", ["4.2", "page 10", "section 5 k", "1.2.3 million", "x4 million"])
def test_what_is_no_figure_with_a_scale_is_no_word_of_its_own(text: str) -> None:
    assert not set(indexed(text)) & set("\ue0a3\ue0a4\ue0a5")


def test_the_form_of_what_is_indexed() -> None:
    """Stores hold words in this form. Whoever changes it raises `schema.VERSION` with a migration
    that indexes anew (`stores/sqlite/reindex.py`), and then the digest here."""
    samples = [
        "AT&T (NYSE: T) said on Monday it wouldn\u2019t change its S&P 500 outlook; ON did.",
        "The o\ufb03ce\u2019s rev-\nenue rose 3\u00bd% <b>net</b> with\u00addrawn \u2122.",
        "\u58f2\u4e0a7596\uff08\u524d\u5e74\uff09 cafe\u0301 \u00a35m &amp; more",
        "In its 10-K: $4.2 billion, 4,200 million, 8.25 % \U0001f680",
    ]
    written = "\n".join([*map(indexed, samples), ticker("BRK.B")])
    assert hashlib.sha256(written.encode()).hexdigest()[:16] == "905cec5ba9b9921f"
