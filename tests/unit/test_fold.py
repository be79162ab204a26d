"""Batch progress: the fold is the same however often and in whatever order deltas come."""

from __future__ import annotations

from itertools import pairwise

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tables.fold import SHARD_OFFSETS, fold
from tickertape.delivery import progress
from tickertape.delivery.outcome import State
from tickertape.delivery.progress import Delta, Entry, Event, Forget
from tickertape.errors import InvalidRecord
from tickertape.ranges import Ranges
from tickertape.versions import Origin

STORE = ("store",)
BOTH = ("store", "summary")


class Cells(dict):  # type: ignore[type-arg]
    def set(self, key, value):
        if value is None:
            self.pop(key, None)
        else:
            self[key] = value


def moved(state, *offsets, stage="store", stages=STORE, replays=0, partition=0, at=1):
    entry = Entry("t", partition, stage, stages, state, replays, Ranges.of(offsets))
    return Delta("b", (entry,), timestamp_ms=at)


def declared(total, at=0):
    return Delta("b", total=total, declared=True, timestamp_ms=at)


def state_of(*deltas):
    return fold(Cells(), deltas)["b"]


def test_a_declared_batch_goes_from_queued_to_completed():
    assert state_of(declared(2))["status"] == "queued"
    half = state_of(declared(2), moved(State.DONE, 0))
    assert (half["status"], half["done"], half["total_documents"]) == ("processing", 1, 2)
    full = state_of(declared(2), moved(State.DONE, 0), moved(State.UNCHANGED, 1))
    assert (full["status"], full["done"], full["unchanged"]) == ("completed", 2, 1)


def test_a_document_with_two_parts_is_done_when_both_are():
    stored = moved(State.DONE, 0, stages=BOTH)
    summarised = moved(State.DONE, 0, stage="summary", stages=BOTH)
    assert state_of(declared(1), stored)["status"] == "processing"
    assert state_of(declared(1), summarised)["done"] == 0
    assert state_of(declared(1), summarised, stored)["status"] == "completed"


def test_either_part_may_be_the_one_that_fails():
    stored = moved(State.DONE, 0, stages=BOTH)
    failed = state_of(declared(1), stored, moved(State.DEAD, 0, stage="summary", stages=BOTH))
    assert (failed["status"], failed["dead"], failed["done"]) == ("failed", 1, 0)
    assert failed["error_message"] == "1 of 1 document is a dead letter"


def test_a_replay_moves_dead_to_done_and_the_batch_to_completed():
    dead = (declared(1), moved(State.RETRYING, 0), moved(State.DEAD, 0))
    assert state_of(*dead)["status"] == "failed"
    again = state_of(*dead, moved(State.RETRYING, 0, replays=1))
    assert (again["status"], again["retrying"], again["dead"]) == ("processing", 1, 0)
    assert state_of(*dead, moved(State.DONE, 0, replays=1))["status"] == "completed"
    assert state_of(*dead, moved(State.DEAD, 0, replays=1))["dead"] == 1


def test_a_batch_that_nothing_will_complete_is_failed_until_a_total_is_declared_again():
    said = Delta("b", error="filings: no such folder")
    read = progress.decode(orjson.loads(progress.encode("t", said).value or b""), 1, 1)
    failed = state_of(declared(3), moved(State.DONE, 0), read)
    assert (failed["status"], failed["error_message"]) == ("failed", "filings: no such folder")
    assert (failed["done"], failed["total_documents"]) == (1, 3)
    again = state_of(declared(3), read, declared(1), moved(State.DONE, 0))
    assert (again["status"], again["error_message"]) == ("completed", None)


def test_without_a_total_a_batch_is_complete_when_idle_with_what_it_saw():
    seen = (moved(State.DONE, 0, 1, at=5),)
    assert state_of(*seen)["status"] == "processing"
    assert state_of(*seen)["total_documents"] is None
    closed = state_of(*seen, Delta("b", close=5))
    assert (closed["status"], closed["total_documents"]) == ("completed", 2)
    reopened = state_of(*seen, Delta("b", close=5), moved(State.DONE, 2, at=9))
    assert reopened["status"] == "processing"


def test_an_idle_batch_that_waits_for_a_retry_is_not_complete():
    assert state_of(moved(State.RETRYING, 0, at=5), Delta("b", close=5))["status"] == "processing"


def test_a_repeated_document_counts_once_and_completes_when_quiet():
    deltas = (declared(2), moved(State.DONE, 0, at=3), moved(State.REPEAT, 1, at=3))
    assert state_of(*deltas)["status"] == "processing"
    quiet = state_of(*deltas, Delta("b", close=3))
    assert (quiet["status"], quiet["done"], quiet["repeats"]) == ("completed", 1, 1)


def forget(last, idle_ms=None, at=0):
    return Delta("b", forget=Forget(last, idle_ms), timestamp_ms=at)


def test_a_batch_is_forgotten_whole():
    cells = Cells()
    assert fold(cells, [moved(State.DONE, 0, 70_000, at=1), forget(1)])["b"] is None
    assert not cells
    assert fold(cells, [forget(1)]) == {"b": None}, "so that readers of an old status hear it too"


def test_a_batch_that_moved_since_is_not_forgotten():
    cells = Cells()
    assert fold(cells, [moved(State.DONE, 0, at=7), forget(6)])["b"] is not None
    assert cells


def test_age_is_what_the_broker_says_on_both_sides():
    day = 86_400_000
    cells = Cells()
    fold(cells, [moved(State.DONE, 0, at=1000)])
    # A worker whose clock is nine days ahead takes the batch for old; the broker's stamp does not.
    assert fold(cells, [forget(1000, 7 * day, at=2000)]) == {}
    assert fold(cells, [forget(1000, 7 * day, at=1000 + 7 * day)]) == {"b": None}


def test_no_id_of_a_batch_is_the_key_of_another_ones_shard():
    cells = Cells()
    for id in ("b", "b\x1ft/0/0", "b\x1f", "b\x1f\x1ft/0/0"):
        entry = Entry("t", 0, "store", STORE, State.DONE, 0, Ranges.of([0]))
        assert fold(cells, [Delta(id, (entry,), timestamp_ms=1)])[id]["done"] == 1
    assert len(cells) == 8
    for id in ("b", "b\x1ft/0/0", "b\x1f", "b\x1f\x1ft/0/0"):
        refreshed = fold(cells, [Delta(id, refresh=True)])[id]
        assert (refreshed["batch_id"], refreshed["seen"]) == (id, 1)
    fold(cells, [forget(1)])
    assert len(cells) == 6


def test_keys_of_ids_without_a_separator_are_as_they_were():
    cells = Cells()
    fold(cells, [moved(State.DONE, 3)])
    assert set(cells) == {"b", "b\x1ft/0/0"}


def dead(count, *, total=None, closed=False):
    deltas = [moved(State.DEAD, *range(count), at=1), moved(State.DONE, 1000, at=1)]
    if total is not None:
        deltas.append(declared(total, at=1))
    if closed:
        deltas.append(Delta("b", close=1))
    return state_of(*deltas)["error_message"]


def test_the_message_says_how_many_are_dead_and_of_how_many_where_that_is_known():
    assert dead(1) == "1 document is a dead letter"
    assert dead(12) == "12 documents are dead letters"
    assert dead(1, closed=True) == "1 of 2 documents is a dead letter"
    assert dead(2, total=40) == "2 of 40 documents are dead letters"
    assert state_of(declared(1), moved(State.DEAD, 0))["error_message"] == (
        "1 of 1 document is a dead letter"
    )


def test_more_than_were_declared_are_counted_and_said():
    state = state_of(declared(1), moved(State.DONE, 0, 1, 2))
    assert (state["status"], state["total_documents"], state["done"]) == ("completed", 3, 3)
    assert state["error_message"] == "3 came, 1 was declared"
    open_ = state_of(declared(1), moved(State.DONE, 0, 1), moved(State.RETRYING, 2))
    assert (open_["status"], open_["total_documents"]) == ("processing", 3)


ODD = st.sampled_from(
    ["b", "c", "", "b\x1ft/0/0", "b\x1f", "\x00", "\ud800", "x" * 300_000, 7, 1.5]
)
RUN = st.lists(st.one_of(st.integers(-2, 40), st.just(2**64), st.none(), st.text()), max_size=3)
ITEM = st.tuples(
    st.one_of(st.sampled_from(["t", "t\x1f0", "", "u"]), st.integers()),
    st.one_of(st.integers(-1, 2), st.booleans(), st.floats()),
    st.sampled_from(["store", "summary", "at", "parts", "\x1f", 3]),
    st.lists(st.sampled_from(["store", "summary", "at", "parts"]), max_size=3),
    st.sampled_from(["done", "unchanged", "repeat", "retrying", "dead", "no", None]),
    st.one_of(st.integers(-1, 3), st.text()),
    st.lists(RUN, max_size=3),
)
HOSTILE = st.fixed_dictionaries(
    {"batch_id": ODD},
    optional={
        "items": st.lists(ITEM, max_size=3),
        "declared": st.booleans(),
        "total": st.one_of(st.integers(-1, 50), st.booleans(), st.floats(), st.just(2**70)),
        "close": st.one_of(st.integers(-1, 50), st.text()),
        "forget": st.one_of(st.booleans(), st.lists(st.one_of(st.none(), st.integers(-1, 50)))),
        "refresh": st.booleans(),
    },
)


@given(st.lists(st.tuples(HOSTILE, st.integers(0, 60)), max_size=12))
def test_whatever_stands_on_the_topic_is_refused_or_folded_and_hurts_no_other_batch(values):
    """Beside it a batch of two documents counts as ever."""
    cells = Cells()
    mine = (Entry("t", 0, "store", STORE, State.DONE, 0, Ranges.of([0])), "mine")
    fold(cells, [Delta(mine[1], (mine[0],), timestamp_ms=100)])
    for offset, (value, at) in enumerate(values):
        try:
            delta = progress.decode(value, at, offset)
        except (InvalidRecord, KeyError, TypeError, ValueError):
            continue
        for id, state in fold(cells, [delta]).items():
            assert id == delta.batch_id
            if state is not None:
                assert state["processed_documents"] <= state["seen"]
                assert state["done"] + state["dead"] == state["processed_documents"]
    second = Entry("t", 0, "store", STORE, State.DONE, 0, Ranges.of([1]))
    done = fold(cells, [Delta(mine[1], (second,), total=2, declared=True, timestamp_ms=100)])
    assert (done["mine"]["status"], done["mine"]["done"]) == ("completed", 2)


def test_deltas_survive_the_wire():
    events = [Event("b", Origin("t", 1, n), "store", BOTH, State.DONE) for n in (3, 4, 9)]
    (record,) = progress.outgoing("batch-progress", events)
    import orjson

    delta = progress.decode(orjson.loads(record.value), 7, 0)
    assert delta.entries[0].offsets.to_json() == [[3, 5], [9, 10]]
    assert progress.decode(orjson.loads(progress.encode("x", declared(3)).value), 0, 0) == declared(
        3
    )


moves = st.lists(
    st.builds(
        moved,
        st.sampled_from([State.DONE, State.UNCHANGED, State.RETRYING, State.DEAD]),
        st.sampled_from([0, 1, SHARD_OFFSETS - 1, SHARD_OFFSETS]),
        stage=st.sampled_from(BOTH),
        stages=st.just(BOTH),
        replays=st.integers(0, 2),
        partition=st.integers(0, 1),
    ),
    max_size=30,
)


def ranked(deltas):
    """The model: per item and part the highest rank wins."""
    best = {}
    for delta in deltas:
        for e in delta.entries:
            final = e.state in (State.DONE, State.UNCHANGED)
            rank = (9, True) if final else (e.replays, e.state is State.DEAD)
            for offset in e.offsets:
                item = best.setdefault((e.partition, offset), {})
                if e.stage not in item or rank > item[e.stage][0]:
                    item[e.stage] = (rank, e.state)
    dead = sum(any(s is State.DEAD for _, s in item.values()) for item in best.values())
    done = sum(
        len(item) == 2 and all(s in (State.DONE, State.UNCHANGED) for _, s in item.values())
        for item in best.values()
    )
    return len(best), done, dead


@given(moves, st.data())
def test_order_and_repetition_do_not_matter(deltas, data):
    cells = Cells()
    once = fold(cells, deltas)
    again = data.draw(st.lists(st.sampled_from(deltas), max_size=20)) if deltas else []
    shuffled = data.draw(st.permutations(deltas + again))
    twice = fold(Cells(), shuffled)
    counts = ("seen", "done", "retrying", "dead")
    if deltas:
        assert [once["b"][k] for k in counts] == [twice["b"][k] for k in counts]
        seen, done, dead = ranked(deltas)
        assert (once["b"]["seen"], once["b"]["done"], once["b"]["dead"]) == (seen, done, dead)
        assert fold(cells, again)["b"] == once["b"] if again else True


numbers = st.frozensets(st.integers(0, 60))


@given(numbers, numbers)
def test_ranges_are_sets(a, b):
    left, right = Ranges.of(a), Ranges.of(b)
    assert set(left | right) == a | b
    assert set(left & right) == a & b
    assert set(left - right) == a - b
    assert len(left) == len(a)
    assert Ranges(left.to_json()) == left
    assert all(end < start for (_, end), (start, _) in pairwise(left.to_json()))


def test_a_shard_is_gone_through_once_for_all_the_runs_of_a_delta():
    class Counted(Cells):
        writes = 0

        def set(self, key, value):
            self.writes += "\x1f" in key
            super().set(key, value)

    cells = Counted()
    runs = range(0, 2 * SHARD_OFFSETS, 512)  # of a batch whose records alternate with others'
    state = fold(cells, [moved(State.DONE, *runs)])["b"]
    assert state["done"] == len(runs)
    assert cells.writes == 2, "one for each block"


def test_a_refresh_writes_every_value_again_and_changes_nothing():
    cells = Cells()
    before = fold(cells, [declared(2), moved(State.DONE, 0, SHARD_OFFSETS)])["b"]
    written = []
    original = cells.set
    cells.set = lambda key, value: (written.append(key), original(key, value))
    assert fold(cells, [Delta("b", refresh=True)])["b"] == before
    assert sorted(written) == sorted(cells)
    assert fold(cells, [Delta("unknown", refresh=True)]) == {"unknown": None}


def test_every_value_says_which_delta_was_the_last():
    cells = Cells()
    entry = Entry("t", 0, "store", STORE, State.DONE, 0, Ranges.of([1]))
    first = Delta("b", (entry,), timestamp_ms=1, offset=40)
    assert fold(cells, [first])["b"]["at"] == 40
    assert fold(cells, [Delta("b", close=1, offset=41)])["b"]["at"] == 41
    assert fold(cells, [first])["b"]["at"] == 41, "delivered again"
    assert {value["at"] for value in cells.values()} == {40, 41}
