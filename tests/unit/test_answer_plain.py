"""Nothing leads out of an answer, however it is cut; a source that is not there is marked."""

from __future__ import annotations

import random

import pytest

from tickertape.answer.plain import HELD_CHARACTERS_MAX, LEFT_OUT, Plain, quoted

SOURCES = ["See https://acme.example/q3 for more.", "Two."]


def said(text: str, seed: int = 0) -> str:
    chance = random.Random(seed)
    plain = Plain(SOURCES)
    found = ""
    while text:
        size = chance.choice((1, 2, 5, 11))
        found += plain.take(text[:size])
        text = text[size:]
    return found + plain.end()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Revenue rose 9 % to $4.2 billion [1].", "Revenue rose 9 % to $4.2 billion [1]."),
        ("It rose [1, 2] and fell [3].", "It rose [1][2] and fell [3?]."),
        ("It rose [source 2], \u30101\u2020L1-L4\u3011 and [12].", "It rose [2], [1] and [12?]."),
        ("In [2023] it rose.", "In [2023] it rose."),
        ("More: https://acme.example/q3.", "More: https://acme.example/q3."),
        ("More: https://evil.example/?q=4.2bn, now", f"More: {LEFT_OUT}, now"),
        ("![logo](https://evil.example/x.png)", f"![logo] ({LEFT_OUT})"),
        ("[click me](//evil.example/x)", f"[click me] ({LEFT_OUT})"),
        ("[a]: http://evil.example/x", f"[a] : {LEFT_OUT}"),
        ("<img src=x onerror=alert(1)> and <b>", "< img src=x onerror=alert(1)> and < b>"),
        ("[x](javascript:alert(1))", f"[x] ({LEFT_OUT}))"),
        ("!\u30101\u3011(https:/evil.example/x.png?d=s)", f"![1] ({LEFT_OUT})"),
        ("\u30101\u3011(http:evil.example/?d=s)", f"[1] ({LEFT_OUT})"),
        ("\u3010source 1\u2020L1 - L4\u3011(evil.example)", "[1] (evil.example)"),
        ("\u30101\u3011: http:evil.example", f"[1] : {LEFT_OUT}"),
        ("[9](evil.example)", "[9?] (evil.example)"),
        ("www.evil.example now", f"{LEFT_OUT} now"),
        ("Margins <5 % and 3 < 4", "Margins <5 % and 3 < 4"),
        ("A list:\n- one [1]\n- two [2]\n", "A list:\n- one [1]\n- two [2]\n"),
    ],
)
def test_an_answer_is_plain_text(text: str, plain: str) -> None:
    for seed in range(25):
        assert said(text, seed) == plain


def test_words_come_as_soon_as_they_are_whole() -> None:
    plain = Plain(SOURCES)
    assert plain.take("Revenue ro") == "Revenue"
    assert plain.take("se by 9 %") == " rose by 9"
    assert plain.end() == " %"


def test_an_endless_word_is_passed_on_too() -> None:
    plain = Plain(SOURCES)
    assert len("".join(plain.take("x" * 100) for _ in range(100)) + plain.end()) == 10_000


@pytest.mark.parametrize(
    ("text", "gone"),
    [("[a](evil.example)", "]("), ("\u30101\u3011(evil.example)", "]("), ("<img src=x>", "<img")],
)
def test_no_mark_gets_through_where_an_endless_word_is_cut(text: str, gone: str) -> None:
    for before in range(HELD_CHARACTERS_MAX - len(text), HELD_CHARACTERS_MAX + 1):
        plain = Plain(SOURCES)
        passed = "".join(map(plain.take, "x" * before + text)) + plain.end()
        assert gone not in passed
        assert "\u3010" not in passed


def test_a_passage_that_is_quoted_cites_nothing_and_keeps_its_losses() -> None:
    assert quoted("Up [9], see [1, 2], [7?] and \u30103\u2020L1\u3011.") == (
        "Up {9}, see {1, 2}, {7?} and {3\u2020L1}."
    )
    same = "In [2023] a loss of (9); [a] and ![x](https://evil.example)"
    assert quoted(same) == same
