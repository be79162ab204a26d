"""Records of one key come out one at a time, in their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickertape.delivery.keyorder import KeyOrder

LARGE = 100


def queue():
    return KeyOrder(
        key_of=lambda item: item[0],
        size_of=lambda item: item[1],
        is_large=lambda item: item[1] >= LARGE,
    )


def test_the_second_of_a_key_waits_for_the_first():
    order = queue()
    for item in (("a", 1), ("a", 2), ("b", 3)):
        order.put(item)
    assert order.take(10, 100) == [("a", 1), ("b", 3)]
    assert order.take(10, 100) == []
    order.release(("b", 3))
    assert order.take(10, 100) == []
    order.release(("a", 1))
    assert order.take(10, 100) == [("a", 2)]


def test_records_without_a_key_wait_for_nobody():
    order = queue()
    order.put((None, 1))
    order.put((None, 2))
    assert order.take(10, 100) == [(None, 1), (None, 2)]


def test_what_is_put_back_stands_at_the_front_and_keeps_its_key():
    order = queue()
    for item in (("a", 1), ("b", 2), ("c", 3), ("a", 4)):
        order.put(item)
    taken = order.take(2, 100)
    order.put_back(taken)
    assert order.take(10, 100) == [("a", 1), ("b", 2), ("c", 3)]


def test_a_window_is_bounded_in_bytes_but_never_empty():
    order = queue()
    for item in (("a", 60), ("b", 60), ("c", 10)):
        order.put(item)
    assert order.take(10, 100) == [("a", 60)]
    assert order.take(10, 5) == [("b", 60)]


def test_dropping_keeps_the_order_of_the_others():
    order = queue()
    for item in (("a", 1), ("a", 2), ("b", 3), ("a", 4)):
        order.put(item)
    assert order.drop(lambda item: item[1] == 1) == [("a", 1)]
    assert order.take(10, 100) == [("b", 3), ("a", 2)]
    order.release(("a", 2))
    assert order.take(10, 100) == [("a", 4)]
    assert len(order) == 0


def test_large_items_stand_in_a_line_of_their_own():
    order = queue()
    for item in (("a", 200), ("b", 1), ("b", 300), ("c", 2)):
        order.put(item)
    assert (order.ready(large=False), order.ready(large=True)) == (2, 1)
    assert order.take(10, 1000) == [("b", 1), ("c", 2)]
    order.release(("b", 1))
    assert order.take(10, 1000, large=True) == [("a", 200), ("b", 300)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30), st.data())
def test_every_item_comes_out_once_in_the_order_of_its_key(keys, data):
    order = queue()
    items = [(key, number + LARGE * large) for number, (key, large) in enumerate(keys)]
    waiting = list(items)
    held, out = [], []
    while len(out) < len(items):
        kinds = [large for large in (False, True) if order.ready(large)]
        steps = (("put", waiting), ("release", held), ("take", kinds))
        step = data.draw(st.sampled_from([name for name, can in steps if can]))
        if step == "put":
            order.put(waiting.pop(0))
        elif step == "release":
            order.release(held.pop(data.draw(st.integers(0, len(held) - 1))))
        else:
            taken = order.take(
                data.draw(st.integers(1, 3)), 1000, data.draw(st.sampled_from(kinds))
            )
            held += taken
            out += taken
            assert len({key for key, _ in held}) == len(held)
    for key in "abc":
        numbers = [number % LARGE for k, number in out if k == key]
        assert numbers == sorted(numbers)
    assert sorted(out, key=lambda item: item[1] % LARGE) == items
