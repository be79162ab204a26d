"""What stores on servers share: any text in what takes not any, words, a client's errors."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.errors import OutageError, PermanentError, Timeout, TransientError
from tickertape.stores import texts, words
from tickertape.stores.faults import Faults
from tickertape.stores.pgvector import words as lexemes
from tickertape.stores.prepare import words as indexed

anything = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ("\0", "\x1a", "\x1a0000", "\ud800\udc00", "x\x1ad800")
)


@given(anything, anything)
def test_any_text_comes_back_and_is_alike_where_it_is_the_same(one: str, other: str) -> None:
    plain = texts.plain(one)
    plain.encode()
    assert "\0" not in plain
    assert texts.restored(plain) == one
    assert (plain == texts.plain(other)) == (one == other)
    assert texts.plain(None) is texts.restored(None) is None


@given(st.lists(anything, max_size=3), st.lists(anything, max_size=3))
def test_names_are_alike_where_all_parts_are(one: list[str], other: list[str]) -> None:
    assert (texts.name(*one) == texts.name(*other)) == (one == other)


def test_words_are_those_of_the_index_of_sqlite() -> None:
    text = indexed("The ﬁlings of AT&T rose; naïve revenues, 東京証券")
    assert {"file", "naiv", "revenu", "東京", "京証"} <= set(words.stems(text))
    assert words.asked("what were the revenues, and the REVENUE of filings?") == ["revenu", "file"]
    assert words.asked("!?") == []


def test_a_titles_words_count_for_two() -> None:
    assert lexemes.told("Acme", "acme rose rose") == ("'acm':1,2,3 'rose':4,5", 4)
    assert lexemes.told("", "") == ("", 0)


class Refused(Exception):
    """Of a client's."""


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (Refused("no"), PermanentError),
        (TimeoutError(), Timeout),
        (ConnectionRefusedError("nobody"), OutageError),
    ],
)
def test_a_clients_errors_are_ours_by_the_first_row_that_matches(
    raised: Exception, ours: type[Exception]
) -> None:
    found = Faults("x", ((Refused, PermanentError), (Exception, TransientError))[:1])
    with pytest.raises(ours) as caught, found.translated():
        raise raised
    assert caught.value.__cause__ is raised
    assert "store x" in str(caught.value)
    assert getattr(caught.value, "dependency", "store:x") == "store:x"


def test_what_no_row_tells_goes_through_and_so_does_a_cancellation() -> None:
    found = Faults("x", ())
    for raised in (KeyError("k"), asyncio.CancelledError(), OutageError("o", dependency="d")):
        with pytest.raises(type(raised)) as caught, found.translated():
            raise raised
        assert caught.value is raised


def test_a_line_is_one_line_without_what_is_hidden() -> None:
    found = Faults("x", (), lambda text: text.replace("hunter2", "***"))
    assert found.line(ValueError("at\n  hunter2@host")) == "ValueError: at ***@host"
    assert found.line(TimeoutError()) == "no answer in time"
