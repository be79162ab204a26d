"""Offsets move only over records whose outcome is confirmed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickertape.delivery.watermark import Lease, Leases


def test_records_in_flight_are_never_passed():
    """The numbers of faust-streaming issue 606: Faust's own calculation returns 2590 here."""
    lease = Lease("t", 0)
    for offset in range(2585, 2590):
        lease.deliver(offset)
    for offset in range(2586, 2590):
        lease.settle(offset)
    assert lease.committable == 2585
    lease.settle(2585)
    assert lease.committable == 2590


def test_a_fresh_group_commits_nothing_past_its_first_record():
    """Of the same issue: 0-9 in flight and 10-12 acknowledged gives 13 there."""
    lease = Lease("t", 0)
    for offset in range(13):
        lease.deliver(offset)
    for offset in (10, 11, 12):
        lease.settle(offset)
    assert lease.committable == 0


def test_nothing_is_committable_before_the_first_record():
    assert Lease("t", 0).committable is None
    assert Leases().committable("t", 0) is None


def test_gaps_of_compacted_topics_are_no_obstacle():
    lease = Lease("t", 0)
    for offset in (3, 7, 20):
        lease.deliver(offset)
        lease.settle(offset)
    assert lease.committable == 21


def test_a_revoked_lease_commits_nothing_whatever_is_settled_later():
    leases = Leases()
    old = leases.of("t", 0)
    old.deliver(5)
    leases.revoke()
    old.settle(5)
    assert old.committable is None
    assert leases.committable("t", 0) is None
    new = leases.of("t", 0)
    assert new.deliver(5)
    assert new.committable == 5


def test_a_record_delivered_twice_in_one_generation_is_taken_once():
    lease = Lease("t", 0)
    assert lease.deliver(1)
    assert not lease.deliver(1)
    assert not lease.deliver(0)


def test_only_the_revoked_partitions_lose_their_leases():
    leases = Leases()
    kept, lost = leases.of("t", 0), leases.of("t", 1)
    kept.deliver(1)
    lost.deliver(1)
    leases.revoke({("t", 1), ("t", 9)})
    assert leases.offsets() == {("t", 0): 1}


@given(st.data(), st.integers(1, 40))
def test_whatever_the_order_the_lowest_unsettled_record_stays(data, count):
    lease = Lease("t", 0)
    offsets = [3 * n for n in range(count)]
    for offset in offsets:
        lease.deliver(offset)
    open_offsets = set(offsets)
    for offset in data.draw(st.permutations(offsets)):
        lease.settle(offset)
        open_offsets.discard(offset)
        expected = min(open_offsets) if open_offsets else offsets[-1] + 1
        assert lease.committable == expected
        assert lease.in_flight == len(open_offsets)


def test_what_is_no_record_is_passed_too():
    """A transaction's marker takes an offset: by deliveries alone, lag stayed 1 for ever."""
    lease = Lease("t", 0)
    lease.deliver(3)
    lease.reach(5)
    assert lease.committable == 3
    lease.settle(3)
    assert lease.committable == 5
    lease.reach(4)
    assert lease.committable == 5


def test_nothing_is_committed_twice():
    leases = Leases()
    lease = leases.of("t", 0)
    lease.reach(0)
    assert leases.uncommitted() == {}
    lease.deliver(0)
    lease.settle(0)
    assert leases.uncommitted() == {("t", 0): 1}
    lease.committed = 1
    assert leases.uncommitted() == {}


def test_a_log_that_begins_again_is_taken_over_and_the_old_one_settles_nothing():
    leases = Leases()
    old = leases.of("t", 0)
    for offset in range(20):
        old.deliver(offset)
    old.committed = 7
    assert old.went_back(0)
    new = leases.again("t", 0)
    assert new.deliver(0)
    old.settle(0)
    assert leases.committable("t", 0) == 0
    new.settle(0)
    assert leases.uncommitted() == {("t", 0): 1}, "lower than what is committed"


@given(st.lists(st.sampled_from(["record", "marker", "settle", "again"]), max_size=60), st.data())
def test_no_offset_passes_what_is_unsettled_whatever_lies_between(steps, data):
    leases = Leases()
    lease, at, unsettled = leases.of("t", 0), 0, []
    for step in steps:
        if step == "record":
            assert lease.deliver(at)
            unsettled.append(at)
            at += 1
        elif step == "marker":
            at += 1
            lease.reach(at)
        elif step == "settle" and unsettled:
            offset = data.draw(st.sampled_from(unsettled))
            unsettled.remove(offset)
            lease.settle(offset)
        elif step == "again":
            lease, at, unsettled = leases.again("t", 0), 0, []
        expected = min(unsettled) if unsettled else at
        assert (lease.committable or 0) == expected
        assert leases.uncommitted() == ({("t", 0): expected} if expected else {})
