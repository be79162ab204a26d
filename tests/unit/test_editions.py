"""Which texts of a document are shown: every order of arrival ends as the rule says of them all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from tickertape.editions import WHOLE, Deletes, Edition, Editions
from tickertape.versions import Origin, Stamp, Version, read_version

TOPICS = ("a", "b")


@dataclass(frozen=True)
class Event:
    """An edition, or a delete."""

    topic: str
    version: Version
    edition: Edition | None


def at(ms, *numbers, topic="a", offset=None):
    return Version(numbers, Stamp(ms, ms if offset is None else offset, 0, topic))


def text(ms, *numbers, topic="a"):
    return Event(topic, at(ms, *numbers, topic=topic), Edition(at(ms, *numbers, topic=topic)))


def part(ms, number, of, *numbers, model="m", topic="a"):
    version = at(ms, *numbers, topic=topic)
    return Event(topic, version, Edition(version, number, of, model))


def delete(ms, *numbers, topic="a"):
    return Event(topic, at(ms, *numbers, topic=topic), None)


def arrive(events, editions=None):
    editions = editions or Editions()
    for event in events:
        if event.edition is None:
            editions.delete(event.topic, Deletes.of(event.version))
        else:
            editions.add(event.edition, event.topic)
    return editions


def by_the_rule(events):
    """What is shown of all of them: the rule, said once more, without forgetting anything."""
    wrote = {e.topic for e in events if e.edition is not None}
    deletes = [e for e in events if e.edition is None and e.topic in wrote]

    def removed(edition):
        mine = edition.version
        for each in deletes:
            theirs = each.version
            if mine.numbers and theirs.numbers:
                if mine < theirs:
                    return True
            elif mine.stamp < theirs.stamp:
                return True
        return False

    alive = {e.edition for e in events if e.edition is not None and not removed(e.edition)}
    shown = [one for one in alive if not any(other.replaces(one) for other in alive)]
    return sorted(shown, key=lambda edition: edition.part)


@st.composite
def events(draw):
    """Events of one document: each at a time of its own, in an order of their own."""
    times = draw(st.lists(st.integers(1, 30), min_size=1, max_size=9, unique=True))
    numbers = st.one_of(st.just(()), st.tuples(st.integers(1, 4)))
    found = []
    for ms in times:
        topic, number = draw(st.sampled_from(TOPICS)), draw(numbers)
        kind = draw(st.sampled_from(["text", "part", "delete"]))
        if kind == "text":
            found.append(text(ms, *number, topic=topic))
        elif kind == "delete":
            found.append(delete(ms, *number, topic=topic))
        else:
            of = draw(st.integers(1, 3))
            model = draw(st.sampled_from("mn"))
            one = draw(st.integers(0, of - 1))
            found.append(part(ms, one, of, *number, model=model, topic=topic))
    again = draw(st.lists(st.sampled_from(found), max_size=3))
    return draw(st.permutations([*found, *again]))


@settings(max_examples=1500, deadline=None)
@given(events())
@example([text(10, 5), text(20, 4), delete(15)])
@example([part(2, 1, 3), part(1, 0, 3), part(3, 2, 3)])
def test_every_order_of_arrival_ends_as_the_rule_says(arriving):
    editions = arrive(arriving)
    assert editions.shown == by_the_rule(arriving)


@settings(max_examples=300, deadline=None)
@given(events(), st.integers(0, 12))
def test_what_is_written_and_read_again_goes_on_alike(arriving, stop):
    first = arrive(arriving[:stop])
    again = Editions.loads(first.dumps(), first.deletes)
    assert again == first
    assert arrive(arriving[stop:], again).shown == by_the_rule(arriving)


@settings(max_examples=300, deadline=None)
@given(events(), events())
def test_asking_changes_nothing_and_tells_what_adding_does(arriving, more):
    editions = arrive(arriving)
    before = editions.dumps()
    for event in more:
        if event.edition is not None and editions.find(event.edition) is None:
            asked = editions.would_show(event.edition, event.topic)
            assert editions.dumps() == before
            with_it = arrive([event], editions.copy())
            assert asked == (event.edition in with_it.shown)


CASES = {
    "a newer text": ([text(1), text(2)], [2]),
    "a delete, then a text": ([text(1), delete(2), text(3)], [3]),
    "version 1, a delete, version 2": ([text(1, 1), delete(2), text(3, 2)], [3]),
    "version 5, a delete, version 1": ([text(1, 5), delete(2), text(3, 1)], [3]),
    "version 3, a delete, no version": ([text(1, 3), delete(2), text(3)], [3]),
    "versions in microseconds": ([text(1, 1764000000000000), delete(2)], []),
    "versions as yyyymmddhhmmss": ([text(1, 20261125220000), delete(2)], []),
    "an older version, later": ([text(1, 5), text(2, 4)], [1]),
    "no version after one": ([text(1, 5), text(2)], [1]),
    "an older delete with a number": ([text(1, 5), delete(2, 3)], [1]),
    "a newer delete with a number": ([text(2, 5), delete(1, 6)], []),
    "a topic deletes what another wrote since": (
        [text(1), text(2, topic="b"), delete(3)],
        [],
    ),
    "a topic that never wrote it": ([text(1), delete(2, topic="b")], [1]),
    "a delete of a topic whose text comes late": (
        [text(2), delete(3, topic="b"), text(1, topic="b")],
        [],
    ),
    "parts in any order": ([part(2, 1, 3), part(1, 0, 3), part(3, 2, 3)], [1, 2, 3]),
    "fewer parts": ([part(1, 0, 2), part(2, 1, 2), part(3, 0, 1)], [3]),
    "another model": ([part(1, 0, 2), part(2, 1, 2), part(3, 0, 2, model="n")], [3]),
    "a whole text": ([part(1, 0, 2), part(2, 1, 2), text(3)], [3]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_shown(name):
    arriving, shown = CASES[name]
    assert [edition.version.stamp.ms for edition in arrive(arriving).shown] == shown


def test_a_text_that_was_passed_over_comes_back_when_what_hid_it_is_deleted():
    editions = arrive([text(10, 5), text(20, 4)])
    assert [e.version.numbers for e in editions.shown] == [(5,)]
    arrive([delete(15)], editions)
    assert [e.version.numbers for e in editions.shown] == [(4,)]


def test_a_place_that_comes_again_with_another_record_is_another_edition():
    """Its topic was made anew, or its log cut off: what is there now was said later."""
    first, again = Edition(at(10, offset=7)), Edition(at(30, offset=7))
    editions = arrive([Event("a", first.version, first), Event("a", again.version, again)])
    assert editions.shown == [again]
    parts = [Event("a", e.version, replace(e, part=0, parts=1)) for e in (first, again)]
    assert [e.version for e in arrive(parts).shown] == [again.version]


def test_a_count_that_grows_costs_no_more_than_it_has_to():
    """Vectors told one by one, before their number is known."""
    editions = arrive([part(n + 1, n, n + 1) for n in range(300)])
    assert [e.part for e in editions.shown] == list(range(300))


def test_little_is_remembered():
    whole = arrive([text(ms) for ms in range(1, 500)])
    assert len(whole.dumps()) < 80
    parts = arrive([part(1000 * round + n, n, 400) for round in range(3) for n in range(400)])
    assert len(parts.shown) == 400
    assert parts.dumps().count("[[]") == 400
    arrive([part(9000 + n, n, 400, model="n") for n in range(400)], parts)
    assert parts.dumps().count("[[]") <= 402


@pytest.mark.parametrize(
    "version",
    [at(5), at(5, 7), at(5, 10**30), at(5, 1, 2), Version((), Stamp(1, 2, 3, "a.b-c_d"))],
)
def test_versions_are_read_as_they_were_written(version):
    assert Version.parse(str(version)) == version
    assert Origin.parse(str(version.stamp.place)) == version.stamp.place


def test_a_version_of_before_is_read():
    origin = Origin("t", 3, 12)
    stamped = read_version("1764000000000.12", origin)
    assert stamped == Version((), Stamp(1_764_000_000_000, 12, 3, "t"))
    assert read_version(str(stamped), origin) == stamped
    for number in (5, 1_764_000_000_000_000, 20261125220000):
        assert read_version(f"{number}.9", origin) == Version((number,), Stamp(0, 9))


def test_whole_is_no_part():
    assert WHOLE not in range(3)
