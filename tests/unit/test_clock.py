"""A partition's clock: it never goes back, is never ahead, and goes on alike when read again."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from tickertape.kafka.clock import AHEAD_MS_MAX, LOG_APPEND, PartitionClock
from tickertape.kafka.metadata import Metadata

NOW = 1_764_000_000_000
stamps = st.lists(st.integers(-1, NOW + AHEAD_MS_MAX), min_size=1, max_size=30)


@given(stamps, st.data())
def test_what_is_read_again_from_a_commit_comes_out_alike(
    said: list[int], data: st.DataObject
) -> None:
    clock = PartitionClock()
    times = [clock.read(offset, ms, 0, NOW) for offset, ms in enumerate(said)]
    assert times == sorted(times)
    start = data.draw(st.integers(0, len(said)))
    forgotten = data.draw(st.integers(0, start))
    clock.forget(forgotten)
    kept = Metadata.decode(Metadata("id", clock.at(start)).encode())
    again = PartitionClock(kept.clock_ms)
    assert [again.read(o, said[o], 0, NOW) for o in range(start, len(said))] == times[start:]


def test_a_time_of_the_future_is_the_moment_of_reading_and_the_brokers_own_is_believed() -> None:
    clock = PartitionClock()
    assert clock.read(0, NOW + AHEAD_MS_MAX + 1, 0, NOW) == NOW
    assert clock.read(1, NOW - 5, 0, NOW) == NOW
    assert clock.read(2, NOW + AHEAD_MS_MAX, 0, NOW) == NOW + AHEAD_MS_MAX
    assert clock.read(3, NOW + 10**9, LOG_APPEND, NOW) == NOW + 10**9


def test_offsets_of_before_have_no_clock() -> None:
    assert Metadata.decode('{"topic":"id"}') == Metadata("id", 0)
    for wrong in ("nothing", '{"clock":"x"}', '{"clock":-1}', "[]", '{"clock":true}'):
        assert Metadata.decode(wrong).clock_ms == 0
