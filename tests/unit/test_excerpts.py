"""The part of a passage that is shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickertape.excerpts import MORE, excerpt
from tickertape.stores import words

FILL = "The board met in Oslo and talked about nothing that matters here. "


def test_a_short_passage_is_shown_whole_on_one_line() -> None:
    assert excerpt("Net  profit\nrose.", ["profit"]) == "Net profit rose."


def test_the_sentence_that_answers_is_shown_with_what_fits_beside_it() -> None:
    text = FILL * 9 + "The dividend is 42 cents a share. It is paid in May. " + FILL * 9
    shown = excerpt(text, words.asked("dividend a share"))
    assert "The dividend is 42 cents a share. It is paid in May." in shown
    assert shown.startswith(f"{MORE}The ")
    assert shown.endswith(f".{MORE}")
    assert len(shown) <= 322


def test_a_long_sentence_is_cut_between_words() -> None:
    text = "alpha " * 100 + "dividend of forty cents " + "omega " * 100
    shown = excerpt(text, words.asked("dividend cents"))
    assert "dividend of forty cents" in shown
    assert set(shown.strip(MORE).split()) == {"alpha", "omega", "dividend", "of", "forty", "cents"}


@given(st.text(max_size=900), st.lists(st.text(max_size=5), max_size=4), st.integers(1, 200))
def test_an_excerpt_is_of_the_text_and_of_whole_words(
    text: str, stems: list[str], limit: int
) -> None:
    shown = excerpt(text, stems, limit)
    plain = " ".join(text.split())
    bare = shown if shown == plain else shown.removeprefix(MORE).removesuffix(MORE)
    assert bare in plain
    assert len(bare) <= limit or len(plain) <= limit
    longest = max(map(len, text.split()), default=0)
    if longest <= limit:
        start = plain.find(bare)
        while start >= 0:  # somewhere where it begins and ends with a word
            before, after = plain[:start][-1:], plain[start + len(bare) :][:1]
            if not before.strip() and not after.strip():
                break
            start = plain.find(bare, start + 1)
        assert start >= 0 or not bare
