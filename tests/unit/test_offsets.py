"""Offsets move only over records whose outcome is confirmed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickertape.delivery.offsets import ConsumerOffsets, PartitionOffsets


def test_records_in_flight_are_never_passed():
    """The numbers of faust-streaming issue 606: Faust's own calculation returns 2590 here."""
    offsets = PartitionOffsets("t", 0)
    for offset in range(2585, 2590):
        offsets.deliver(offset)
    for offset in range(2586, 2590):
        offsets.settle(offset)
    assert offsets.committable == 2585
    offsets.settle(2585)
    assert offsets.committable == 2590


def test_a_fresh_group_commits_nothing_past_its_first_record():
    """Of the same issue: 0-9 in flight and 10-12 acknowledged gives 13 there."""
    offsets = PartitionOffsets("t", 0)
    for offset in range(13):
        offsets.deliver(offset)
    for offset in (10, 11, 12):
        offsets.settle(offset)
    assert offsets.committable == 0


def test_nothing_is_committable_before_the_first_record():
    assert PartitionOffsets("t", 0).committable is None
    assert ConsumerOffsets().committable("t", 0) is None


def test_gaps_of_compacted_topics_are_no_obstacle():
    offsets = PartitionOffsets("t", 0)
    for offset in (3, 7, 20):
        offsets.deliver(offset)
        offsets.settle(offset)
    assert offsets.committable == 21


def test_a_revoked_lease_commits_nothing_whatever_is_settled_later():
    consumer = ConsumerOffsets()
    old = consumer.of("t", 0)
    old.deliver(5)
    consumer.revoke()
    old.settle(5)
    assert old.committable is None
    assert consumer.committable("t", 0) is None
    new = consumer.of("t", 0)
    assert new.deliver(5)
    assert new.committable == 5


def test_a_record_delivered_twice_in_one_generation_is_taken_once():
    offsets = PartitionOffsets("t", 0)
    assert offsets.deliver(1)
    assert not offsets.deliver(1)
    assert not offsets.deliver(0)


def test_only_the_revoked_partitions_lose_their_leases():
    consumer = ConsumerOffsets()
    kept, lost = consumer.of("t", 0), consumer.of("t", 1)
    kept.deliver(1)
    lost.deliver(1)
    consumer.revoke({("t", 1), ("t", 9)})
    assert consumer.committables() == {("t", 0): 1}


@given(st.data(), st.integers(1, 40))
def test_whatever_the_order_the_lowest_unsettled_record_stays(data, count):
    offsets = PartitionOffsets("t", 0)
    delivered = [3 * n for n in range(count)]
    for offset in delivered:
        offsets.deliver(offset)
    open_offsets = set(delivered)
    for offset in data.draw(st.permutations(delivered)):
        offsets.settle(offset)
        open_offsets.discard(offset)
        expected = min(open_offsets) if open_offsets else delivered[-1] + 1
        assert offsets.committable == expected
        assert offsets.in_flight == len(open_offsets)


def test_what_is_no_record_is_passed_too():
    """A transaction's marker takes an offset: by deliveries alone, lag stayed 1 for ever."""
    offsets = PartitionOffsets("t", 0)
    offsets.deliver(3)
    offsets.reach(5)
    assert offsets.committable == 3
    offsets.settle(3)
    assert offsets.committable == 5
    offsets.reach(4)
    assert offsets.committable == 5


def test_nothing_is_committed_twice():
    consumer = ConsumerOffsets()
    offsets = consumer.of("t", 0)
    offsets.reach(0)
    assert consumer.uncommitted() == {}
    offsets.deliver(0)
    offsets.settle(0)
    assert consumer.uncommitted() == {("t", 0): 1}
    offsets.committed = 1
    assert consumer.uncommitted() == {}


def test_a_log_that_begins_again_is_taken_over_and_the_old_one_settles_nothing():
    consumer = ConsumerOffsets()
    old = consumer.of("t", 0)
    for offset in range(20):
        old.deliver(offset)
    old.committed = 7
    assert old.went_back(0)
    new = consumer.again("t", 0)
    assert new.deliver(0)
    old.settle(0)
    assert consumer.committable("t", 0) == 0
    new.settle(0)
    assert consumer.uncommitted() == {("t", 0): 1}, "lower than what is committed"


@given(st.lists(st.sampled_from(["record", "marker", "settle", "again"]), max_size=60), st.data())
def test_no_offset_passes_what_is_unsettled_whatever_lies_between(steps, data):
    consumer = ConsumerOffsets()
    offsets, at, unsettled = consumer.of("t", 0), 0, []
    for step in steps:
        if step == "record":
            assert offsets.deliver(at)
            unsettled.append(at)
            at += 1
        elif step == "marker":
            at += 1
            offsets.reach(at)
        elif step == "settle" and unsettled:
            offset = data.draw(st.sampled_from(unsettled))
            unsettled.remove(offset)
            offsets.settle(offset)
        elif step == "again":
            offsets, at, unsettled = consumer.again("t", 0), 0, []
        expected = min(unsettled) if unsettled else at
        assert (offsets.committable or 0) == expected
        assert consumer.uncommitted() == ({("t", 0): expected} if expected else {})
