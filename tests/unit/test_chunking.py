"""Sentences and chunks: nothing is lost, nothing is too long."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickertape.chunking import Chunk, _chunks, chunk, sentences
from tickertape.embed.base import Tokens

# Three tokenisers in small, whose offsets differ as real ones' do: punctuation apart and long
# words in pieces (WordPiece); the space before a word is part of it (SentencePiece); several
# tokens of one character, and none for a control character (byte-level BPE).
WORDPIECE = re.compile(r"[^\W_]{1,6}|[^\w\s]|_", re.UNICODE)
METASPACE = re.compile(r"\s?\S{1,8}")


def wordpiece(text: str) -> Tokens:
    spans = [m.span() for m in WORDPIECE.finditer(text) if not "\ud800" <= m[0] <= "\udfff"]
    return Tokens(list(range(len(spans))), spans)


def metaspace(text: str) -> Tokens:
    spans = [m.span() for m in METASPACE.finditer(text)]
    return Tokens(list(range(len(spans))), spans)


def bytelevel(text: str) -> Tokens:
    spans = [
        (at, at + 1)
        for at, character in enumerate(text)
        for _ in range(len(character.encode("utf-8", "surrogatepass")))
        if character.isprintable()
    ]
    return Tokens(list(range(len(spans))), spans)


TOKENIZERS = (wordpiece, metaspace, bytelevel)
TEXTS = st.one_of(
    st.text(st.characters(), max_size=300),  # NUL and lone surrogates too
    st.lists(
        st.sampled_from(
            ["Revenue rose 3.5%.", "Apple Inc.", "The U.S. grew!", "\n", "\n\n", "- item", " ",
             "\x00", "\ud800", "abcdefghijklmnopqrstuvwxyz" * 3, "日本語。", "1. One", "...", "?"]
        ),
        max_size=60,
    ).map(" ".join),
)  # fmt: skip


def covered(text: str, spans: list[tuple[int, int]]) -> set[int]:
    return {at for start, end in spans for at in range(start, end) if not text[at].isspace()}


def everything(text: str) -> set[int]:
    return {at for at, character in enumerate(text) if not character.isspace()}


@given(text=TEXTS)
def test_sentences_cover_the_text_in_order_without_overlap(text: str) -> None:
    spans = sentences(text)
    assert covered(text, spans) == everything(text)
    assert all(start < end for start, end in spans)
    assert all(one[1] <= two[0] for one, two in pairwise(spans))
    assert all(text[start:end].strip() == text[start:end] for start, end in spans)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@given(text=TEXTS, limit=st.integers(1, 40), overlap=st.integers(0, 20))
@example(text="a" * 500, limit=7, overlap=3)
@example(text="", limit=7, overlap=3)
@example(text="\x00", limit=7, overlap=3)
@example(text="\ud83d" * 40, limit=7, overlap=3)
@example(text="Yes. " * 60, limit=10, overlap=5)
def test_chunks_lose_nothing_and_fit(tokenizer, text: str, limit: int, overlap: int) -> None:
    tokens = tokenizer(text)
    chunks = chunk(text, tokens, limit, overlap)

    assert covered(text, [(c.start, c.end) for c in chunks]) == everything(text)
    assert all(len(c.ids) <= limit for c in chunks)
    lost = set(tokens.ids).difference(*(c.ids for c in chunks))
    assert lost == set() or not text.strip()  # spaces alone are not worth a chunk
    # Each chunk's ids are one slice, and chunks move forward at both ends.
    assert all(list(c.ids) == list(range(c.ids[0], c.ids[0] + len(c.ids))) for c in chunks if c.ids)
    with_ids = [c for c in chunks if c.ids]
    assert all(one.ids[-1] < two.ids[-1] for one, two in pairwise(with_ids))
    assert all(one.start <= two.start and one.end <= two.end for one, two in pairwise(chunks))


@given(text=TEXTS, limit=st.integers(1, 40), overlap=st.integers(0, 20))
def test_repeats_at_most_the_overlap(text: str, limit: int, overlap: int) -> None:
    chunks = chunk(text, wordpiece(text), limit, overlap)
    for one, two in pairwise(chunks):
        assert len(set(one.ids) & set(two.ids)) <= overlap


@given(text=TEXTS, limit=st.integers(1, 40))
def test_without_overlap_every_token_is_in_one_chunk(text: str, limit: int) -> None:
    tokens = wordpiece(text)
    ids = [index for c in chunk(text, tokens, limit) for index in c.ids]
    assert ids == list(tokens.ids)


def test_a_token_lies_in_the_text_of_its_chunk() -> None:
    text = "One two three. " * 20 + "endless" * 30 + ". Four five six."
    tokens = wordpiece(text)
    for c in chunk(text, tokens, 12, 4):
        for index in c.ids:
            start, end = tokens.offsets[index]
            assert c.start <= start
            assert end <= c.end


def test_a_text_that_fits_is_one_chunk() -> None:
    text = "  Revenue rose. Costs fell.\n"
    tokens = wordpiece(text)
    assert chunk(text, tokens, len(tokens.ids), 3) == [Chunk(2, 27, tokens.ids)]


def test_cuts_at_sentences_and_repeats_whole_ones() -> None:
    text = "Aa bb cc. Dd ee ff. Gg hh ii. Jj kk ll."  # four tokens a sentence
    chunks = chunk(text, wordpiece(text), 8, 4)
    assert [text[c.start : c.end] for c in chunks] == [
        "Aa bb cc. Dd ee ff.",
        "Dd ee ff. Gg hh ii.",
        "Gg hh ii. Jj kk ll.",
    ]


def test_no_overlap_where_the_next_sentence_would_not_fit_beside_it() -> None:
    text = "Aa bb. Cc dd. Ee ff gg hh ii jj kk."  # 3, 3 and 8 tokens
    chunks = chunk(text, wordpiece(text), 8, 4)
    assert [text[c.start : c.end] for c in chunks] == ["Aa bb. Cc dd.", "Ee ff gg hh ii jj kk."]


def test_a_long_sentence_is_cut_between_words() -> None:
    text = " ".join(["alphabetical"] * 9)  # two tokens a word
    pieces = [text[c.start : c.end] for c in chunk(text, wordpiece(text), 5)]
    assert pieces == ["alphabetical alphabetical"] * 4 + ["alphabetical"]


def test_an_endless_word_is_cut_between_tokens() -> None:
    text = "x" * 100
    chunks = chunk(text, wordpiece(text), 4)
    assert "".join(text[c.start : c.end] for c in chunks) == text
    assert len(chunks) == 5  # 17 tokens of up to six letters


def test_spaces_only_have_no_chunks_and_a_text_without_tokens_has_one() -> None:
    assert chunk(" \n\t", Tokens([], []), 10) == []
    assert chunk("\x00", Tokens([], []), 10) == [Chunk(0, 1, [])]


def test_limit_must_be_positive() -> None:
    with pytest.raises(ValueError, match="limit"):
        chunk("a", wordpiece("a"), 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sales rose 3.5% to $1.2 bn. Costs fell.", ["Sales rose 3.5% to $1.2 bn.", "Costs fell."]),
        (
            "Apple Inc. reported growth. Then it rose.",
            ["Apple Inc. reported growth.", "Then it rose."],
        ),
        ("Apple Inc. The company grew.", ["Apple Inc.", "The company grew."]),
        ("Apple Inc. Chairman Levinson left.", ["Apple Inc. Chairman Levinson left."]),
        ("In the U.S. market it grew. We sold.", ["In the U.S. market it grew.", "We sold."]),
        ("It left the U.S. The rest stayed.", ["It left the U.S.", "The rest stayed."]),
        ("Mr. Cook and Dr. J. P. Smith spoke. OK.", ["Mr. Cook and Dr. J. P. Smith spoke.", "OK."]),
        ("See No. 5 and Fig. 2, i.e. all. No. We did not.",
         ["See No. 5 and Fig. 2, i.e. all.", "No.", "We did not."]),
        ("Growth in 2023. We sold.", ["Growth in 2023.", "We sold."]),
        ('"Really?" he asked. "Yes." She left.', ['"Really?" he asked.', '"Yes."', "She left."]),
        ("Wait... What? OK!", ["Wait...", "What?", "OK!"]),
        ("Yahoo! reported growth. Good.", ["Yahoo! reported growth.", "Good."]),
        ("(It rose.) Then it fell.", ["(It rose.)", "Then it fell."]),
        ("売上高は増加した。利益も！", ["売上高は増加した。", "利益も！"]),  # noqa: RUF001
        ("Results\nRevenue rose\n- one\n- two\n1. First\n2. Second",
         ["Results", "Revenue rose", "- one", "- two", "1. First", "2. Second"]),
        ("This line was wrapped by somebody at sixty letters or so\nand goes on here. Good.",
         ["This line was wrapped by somebody at sixty letters or so\nand goes on here.", "Good."]),
        ("This line was wrapped by somebody at sixty letters or so\n\nBut this is new",
         ["This line was wrapped by somebody at sixty letters or so", "But this is new"]),
        ("Windows\r\nlines\r\n\r\nend", ["Windows\r\nlines", "end"]),
        ("", []),
        (" \n ", []),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


@pytest.mark.parametrize("filler", ["\n", " \n", ". ", "...", "- ", "a.b.c. ", "\x00", '."'])
def test_work_grows_with_the_text_only(filler: str) -> None:
    """Repeats that would make a backtracking splitter quadratic; each takes well under a second."""
    text = filler * (200_000 // len(filler)) + "end"
    assert sentences(text)[-1][1] == len(text)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@given(text=TEXTS, overlap=st.integers(0, 8))
@example(text="\x1c \u2003", overlap=0)
@example(text=" One. \n\n Two \x85", overlap=2)
def test_a_text_that_fits_is_as_the_slow_way_has_it(tokenizer, text: str, overlap: int) -> None:
    tokens = tokenizer(text)
    for limit in {max(1, len(tokens.ids)), len(tokens.ids) + 7}:
        assert chunk(text, tokens, limit, overlap) == _chunks(text, tokens, limit, overlap)


def test_a_text_that_fits_needs_no_offsets() -> None:
    def offsets() -> list[tuple[int, int]]:
        raise AssertionError("asked for")

    assert chunk(" two words ", Tokens([7, 8], offsets), 2) == [Chunk(1, 10, [7, 8])]
    with pytest.raises(AssertionError, match="asked for"):
        chunk(" two words ", Tokens([7, 8], offsets), 1)


def test_german_figures_and_ordinals_end_no_sentence() -> None:
    parts = [
        "Im 3. Quartal stieg der Umsatz auf 1.234,5 Mio. Euro.",
        "Am 5. Mai waren es 1,3 Mrd. EUR.",
        "M\u00fcnchen, 3. November 2026: 1,2 (Vj. 1,1) Mrd. Euro.",
        "It has 45. November was good.",
    ]
    text = " ".join(parts)
    found = [text[start:end] for start, end in sentences(text)]
    assert found == [*parts[:3], "It has 45.", "November was good."]
