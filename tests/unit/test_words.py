"""Ids by words that were met before are the library's own. The vocabulary is made here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel

from tickertape.embed import words
from tickertape.embed.words import Words, apart

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = [
    *"abcdefghijklmnopqrstuvwxyz0123456789.,%$'-()/",
    "revenue",
    "rose",
    "\u03c3",
    "\u03c2",
    "é",
    "日",
]
VOCABULARY = [*SPECIAL, *PIECES, *(f"##{piece}" for piece in PIECES)]
# What normalisers and spaces are made of, beside any other character.
ODD = st.sampled_from(
    [
        *("\x00", "\x0b", "\x1c", "\x85", "\xa0", "\xad", "\u0301", "\u1680", "\u180e", "\u200b"),
        *("\u2003", "\u2028", "\u202f", "\u3000", "\ufeff", "\ufffd", "\ue000", "\u03a3", "\u1e9e"),
        *("\u0130", "\u65e5", "[MASK]", "[", "\n", "\t", "x" * 70),
    ]
)
TEXT = st.lists(
    st.sampled_from(["revenue", "rose", " ", " ", "4.2%", "(a)"]) | ODD | st.text(max_size=4)
).map("".join)


def tokenizer() -> Tokenizer:
    vocabulary = {piece: number for number, piece in enumerate(VOCABULARY)}
    made = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = BertNormalizer(lowercase=True)
    made.pre_tokenizer = BertPreTokenizer()
    made.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    return made


LIBRARY = tokenizer()
WORDS = Words(LIBRARY)


def whole(texts: list[str]) -> list[list[int]]:
    return [LIBRARY.encode(text, add_special_tokens=False).ids for text in texts]


@given(texts=st.lists(TEXT, max_size=6))
@example(
    texts=["\u0394\u03a3 \u0394\u03a3.\u0394", "a\u200bb", "a \u0301b", "[MASK]s", "e\u0301 É", ""]
)
def test_the_same_ids_as_the_library(texts: list[str]) -> None:
    assert WORDS.ids(texts) == whole(texts)
    assert WORDS.ids(texts) == whole(texts)  # now all of them are known


def test_a_bound_on_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "WORDS_MAX", 100)
    small = Words(LIBRARY)
    texts = [f"revenue {number} rose" for number in range(300)]
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: small.ids(texts), range(20)):
            assert found == whole(texts)
    small._known = {}
    small.ids(["x" * 24, "y" * 25])
    assert set(small._known) == {"x" * 24}


def test_a_known_word_is_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Words(LIBRARY)
    expected = whole(["revenue rose 4.2%", "rose"])
    fresh.ids(["rose revenue", "4.2%"])
    encoded: list[str] = []
    monkeypatch.setattr(words, "encoded", lambda _library, texts: encoded.extend(texts) or [])
    assert fresh.ids(["revenue rose 4.2%", "rose"]) == expected
    assert encoded == []


def test_which_tokenisers() -> None:
    made = tokenizer()
    assert apart(made)
    made.pre_tokenizer = ByteLevel()
    assert not apart(made)
    made.pre_tokenizer = None
    assert not apart(made)
    for added in (AddedToken("net income"), AddedToken("ebitda", normalized=True)):
        made = tokenizer()
        made.add_tokens([added])
        assert not apart(made)
