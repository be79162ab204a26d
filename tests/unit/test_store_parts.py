"""What stores on servers share: any text in what takes not any, words, a client's errors."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.store_kit import COMPARED, DATED, put
from tests.memory_store import Memory
from tickertape import filter_text
from tickertape.errors import InvalidRecord, OutageError, PermanentError, Timeout, TransientError
from tickertape.stores import texts, words
from tickertape.stores.conditions import BOUND_PATTERN, PART_CHARACTERS_MAX, condition, matches
from tickertape.stores.faults import Faults
from tickertape.stores.pgvector import words as lexemes
from tickertape.stores.prepare import words as indexed
from tickertape.stores.redis import words as tokens
from tickertape.stores.redis.keys import dump_places, load_places

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


def test_tokens_of_redis_are_never_syntax() -> None:
    assert tokens.told("Acme", "acme rose") == "wacm wacm wacm wrose"
    for word in ("or", "inf", "10", "東京", "x" * 400, "AT&T"):
        assert all(re.fullmatch("w[a-z0-9]{1,32}|x[0-9a-f]{24}", one) for one in tokens.asked(word))
    assert tokens.asked("東京") == tokens.told("", "東京").split() != tokens.asked("東証")


@given(st.dictionaries(st.integers(0, 40), st.integers(0, 60)))
def test_places_come_back(places: dict[int, int]) -> None:
    assert load_places(dump_places(places)) == places
    whole = {n: n + 7 for n in range(9)}
    assert dump_places(whole) == b"[[0,7,9]]"


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


@pytest.mark.parametrize(("filters", "passing"), COMPARED)
def test_a_store_with_the_metadata_at_hand_compares_as_all_do(
    filters: dict[str, Any], passing: set[str]
) -> None:
    assert {id for id, metadata in DATED.items() if matches(metadata, filters)} == passing


async def test_the_store_of_the_tests_compares_and_knows_its_fields() -> None:
    memory = Memory()
    await memory.apply([put(id, "words", metadata=metadata) for id, metadata in DATED.items()])
    for filters, passing in COMPARED:
        assert (await memory.count(filters=filters)).documents == len(passing)
    assert {"company", "published"} <= set(await memory.field_names())
    assert await memory.known_fields({("price", "10"), ("x", "y")}) == {("price", "10")}


@pytest.mark.parametrize(
    ("lines", "filters"),
    [
        (["a=b"], {"a": "b"}),
        (["a=b=c", "d=2024", "d=x"], {"a": "b=c", "d": ["2024", 2024, "x"]}),
        (
            ["published>=2024-01-01", "published<2025", "company~mic=ro"],
            {"published": {"gte": "2024-01-01", "lt": "2025"}, "company": {"contains": "mic=ro"}},
        ),
        (["p<=1", "p>0"], {"p": {"lte": "1", "gt": "0"}}),
    ],
)
def test_a_filter_is_read_as_it_is_written(lines: list[str], filters: dict[str, Any]) -> None:
    assert filter_text.filters(lines) == filters


@pytest.mark.parametrize("lines", [["a"], ["=b"], ["a=1", "a>2"], ["a>1", "a>2"]])
def test_a_line_that_is_no_filter_is_refused(lines: list[str]) -> None:
    with pytest.raises(InvalidRecord, match="filter"):
        filter_text.filters(lines)


@given(st.from_regex(re.compile(BOUND_PATTERN, re.ASCII), fullmatch=True))
def test_every_bound_that_the_schema_allows_is_one(bound: str) -> None:
    assert not condition("x", {"gte": bound}).holds("no number and no date")


def test_a_day_that_a_month_does_not_have_is_its_last() -> None:
    assert condition("x", {"lte": "2024-02-31"}).holds("2024-02-29T23:00:00")
    assert not condition("x", {"lte": "2024-02-31"}).holds("2024-03-01")
    assert condition("x", {"gt": "2023-06-31T10:00"}).holds("2023-06-30 12:00")


@pytest.mark.parametrize("bound", ["9999", "9999-12", "9999-12-31", "99991231"])
def test_the_last_day_there_is_is_a_bound(bound: str) -> None:
    assert condition("x", {"lte": bound}).holds("9999-12-31T23:00:00")
    assert condition("x", {"gte": bound}).holds("9999-12-31")
    assert not condition("x", {"gt": bound}).holds("9999-12-31T23:00:00")


def test_a_part_that_is_too_long_is_refused_before_it_is_folded() -> None:
    assert condition("x", {"contains": "a" * PART_CHARACTERS_MAX}).parts
    with pytest.raises(InvalidRecord, match=r"filters\.x\.contains: .*at most 200 characters"):
        condition("x", {"contains": "a" * (PART_CHARACTERS_MAX + 1)})


def test_the_digest_of_a_long_value_has_no_parts() -> None:
    long = {"title": "bond " * 100}
    assert not matches(long, {"title": {"contains": "b"}})
    assert matches(long, {"title": long["title"]})
