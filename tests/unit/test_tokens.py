"""A long text is tokenised in pieces: all of it, each once, and cut between words where it can."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from tickertape.embed import tokens

TEXT = st.lists(st.sampled_from(["a", "word", " ", "  ", "\n", "\x0c", "x" * 20])).map("".join)


@given(text=TEXT, size=st.integers(2, 12))
def test_the_pieces_are_the_text(text: str, size: int) -> None:
    with patch.object(tokens, "_PIECE_CHARS", size):
        pieces = list(tokens._pieces(text))
    assert "".join(text[low:high] for low, high in pieces) == text
    assert all(high - low <= size for low, high in pieces)
    assert all(low < high for low, high in pieces) or not text


def test_it_is_cut_between_words() -> None:
    text = "revenue rose a lot"
    with patch.object(tokens, "_PIECE_CHARS", 10):
        pieces = [text[low:high] for low, high in tokens._pieces(text)]
    assert pieces == ["revenue", " rose a", " lot"]
