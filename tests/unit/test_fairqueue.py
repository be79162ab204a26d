"""Shares take turns by cost; within one it is first come, first served."""

from __future__ import annotations

import threading
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from tickertape.embed.fairqueue import FairQueue

COST_MAX = 50
WORK = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, COST_MAX)), min_size=1)


def drained(queue: FairQueue[object]) -> list[object]:
    return [queue.get() for _ in range(len(queue))]


def test_what_is_urgent_comes_first_in_its_order() -> None:
    queue: FairQueue[object] = FairQueue()
    queue.put("slow", 9, "a")
    queue.put("first", 1, urgent=True)
    queue.put("second", 1, urgent=True)
    assert drained(queue) == ["first", "second", "slow"]


def test_a_small_share_does_not_wait_for_the_end_of_a_large_one() -> None:
    queue: FairQueue[object] = FairQueue()
    for number in range(1000):
        queue.put(("filing", number), 512, "large")
    for _ in range(100):
        queue.get()
    for number in range(5):
        queue.put(("note", number), 64, "small")
    taken = [queue.get() for _ in range(8)]
    assert [item for item in taken if item[0] == "note"] == [("note", n) for n in range(5)]


def test_what_a_share_left_unused_is_not_saved_up() -> None:
    queue: FairQueue[object] = FairQueue()
    for number in range(300):
        queue.put(("busy", number), 10, "busy")
    for _ in range(100):
        queue.get()
    for number in range(100):
        queue.put(("late", number), 10, "late")
    first = [queue.get() for _ in range(20)]
    assert sum(item[0] == "late" for item in first) == 10


@given(WORK)
def test_each_share_keeps_its_order_and_nothing_is_left_out(work: list[tuple[str, int]]) -> None:
    queue: FairQueue[object] = FairQueue()
    for number, (share, cost) in enumerate(work):
        queue.put((share, number), cost, share)
    taken = drained(queue)
    assert sorted(number for _, number in taken) == list(range(len(work)))
    for share in "abc":
        mine = [number for name, number in taken if name == share]
        assert mine == sorted(mine)


@given(WORK)
def test_shares_that_have_work_are_given_the_same(work: list[tuple[str, int]]) -> None:
    queue: FairQueue[object] = FairQueue()
    left: dict[str, int] = defaultdict(int)
    for share, cost in work:
        queue.put((share, cost), cost, share)
        left[share] += 1
    spent = dict.fromkeys(left, 0)
    while all(left.values()):
        share, cost = queue.get()
        spent[share] += cost
        left[share] -= 1
        assert max(spent.values()) - min(spent.values()) <= COST_MAX


def test_a_closed_queue_lets_its_threads_go_and_says_what_was_left() -> None:
    queue: FairQueue[object] = FairQueue()
    ended = []
    threads = [threading.Thread(target=lambda: ended.append(queue.get())) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert queue.close() == []
    for thread in threads:
        thread.join(10)
    assert ended == [None] * 3

    queue = FairQueue()
    queue.put("left", 1, "a")
    queue.put("urgent", 1, urgent=True)
    assert queue.close() == ["urgent", "left"]
    assert queue.get() is None
