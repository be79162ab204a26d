"""The runner: order of results, priority, cancellation, failures that stay with their call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from tickertape.documents import Vectors
from tickertape.embed.base import Tokens
from tickertape.embed.runner import Runner
from tickertape.errors import InvalidRecord, TransientError

BAD = 666


class Fake:
    """An embedder whose vector is (first id, length), which logs batches and can be held."""

    name = "fake"
    precision = "fp32"
    identity = "fake@fp32"
    dimension = 2
    max_tokens = 12
    special_tokens = 2

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.closed = 0

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        return [
            Tokens([ord(c) for c in text], [(i, i + 1) for i in range(len(text))]) for text in texts
        ]

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        self.batches.append([sequence[0] for sequence in sequences])
        self.begun.release()
        assert self.gate.wait(10)
        if any(BAD in sequence for sequence in sequences):
            raise InvalidRecord("tokens", "none that is bad")
        return np.array([[s[0], len(s)] for s in sequences], np.float32)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
async def runner(fake: Fake) -> AsyncIterator[Runner]:
    made = Runner(fake, batch_tokens=24)
    await made.start()
    yield made
    fake.gate.set()
    await made.stop()


async def held(runner: Runner, fake: Fake) -> asyncio.Task[Vectors]:
    """Start a call whose batch is in the model, and stays there until the gate opens."""
    fake.gate.clear()
    task = asyncio.create_task(runner.embed([[1] * 10]))
    await asyncio.to_thread(fake.begun.acquire)
    return task


async def queued(runner: Runner, count: int) -> None:
    """Let the event loop run until so many batches wait."""
    while runner.queued_batches < count:  # noqa: ASYNC110 - a count has no event
        await asyncio.sleep(0)


async def test_rows_stand_in_the_order_of_the_sequences(runner: Runner) -> None:
    sequences = [[n] * (1 + n * 7 % 10) for n in range(1, 40)]
    vectors = await runner.embed(sequences)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[s[0], len(s)] for s in sequences]


async def test_batches_stay_within_the_budget(runner: Runner, fake: Fake) -> None:
    runner.batch_tokens = 64
    await runner.embed([[n] * 12 for n in range(7)])  # 14 tokens, padded to 16
    assert [len(batch) for batch in fake.batches] == [4, 3]


async def test_nothing_to_embed(runner: Runner, fake: Fake) -> None:
    assert (await runner.embed([])).shape == (0, 2)
    assert fake.batches == []


async def test_an_urgent_call_overtakes_what_queues(runner: Runner, fake: Fake) -> None:
    first = await held(runner, fake)
    slow = asyncio.create_task(runner.embed([[2] * 10, [3] * 10]))
    await queued(runner, 2)
    search = asyncio.create_task(runner.embed_text("q"))
    await queued(runner, 3)
    fake.gate.set()
    await asyncio.gather(first, slow, search)
    assert fake.batches == [[1], [ord("q")], [2], [3]]


async def test_calls_of_the_same_kind_run_in_their_order(runner: Runner, fake: Fake) -> None:
    first = await held(runner, fake)
    calls = []
    for n in range(2, 7):
        calls.append(asyncio.create_task(runner.embed([[n] * 10])))
        await queued(runner, n - 1)
    fake.gate.set()
    await asyncio.gather(first, *calls)
    assert fake.batches == [[n] for n in range(1, 7)]


async def test_a_cancelled_call_drops_its_queued_batches(runner: Runner, fake: Fake) -> None:
    first = await held(runner, fake)
    doomed = asyncio.create_task(runner.embed([[2] * 10, [3] * 10]))
    await queued(runner, 2)
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doomed
    fake.gate.set()
    await first
    await runner.embed([[4] * 10])
    assert fake.batches == [[1], [4]]


async def test_cancelling_in_mid_batch_harms_nobody(runner: Runner, fake: Fake) -> None:
    first = await held(runner, fake)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    fake.gate.set()
    assert (await runner.embed([[4]])).tolist() == [[4, 1]]


async def test_a_failed_batch_fails_its_own_call_only(runner: Runner, fake: Fake) -> None:
    first = await held(runner, fake)
    bad = asyncio.create_task(runner.embed([[BAD] * 10, [5] * 10, [6] * 10]))
    good = asyncio.create_task(runner.embed([[7] * 10]))
    await queued(runner, 4)
    fake.gate.set()
    with pytest.raises(InvalidRecord, match="none that is bad"):
        await bad
    assert (await good).tolist() == [[7, 10]]
    await first
    assert fake.batches == [[1], [BAD], [7]]  # what was left of the failed call is dropped
    assert runner.counters.failed_batches == 1


async def test_the_thread_survives_what_no_embedder_should_raise(
    runner: Runner, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(sequences: Sequence[Sequence[int]]) -> Vectors:
        raise SystemExit(3)

    monkeypatch.setattr(fake, "encode", explode)
    with pytest.raises(TransientError, match="SystemExit"):
        await runner.embed([[1]])
    monkeypatch.undo()
    assert (await runner.embed([[1]])).tolist() == [[1, 1]]


async def test_rows_of_the_wrong_shape_fail_the_call(
    runner: Runner, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "encode", lambda sequences: np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="shape"):
        await runner.embed([[1]])


async def test_a_query_is_cut_to_the_limit(runner: Runner) -> None:
    assert runner.limit == 10
    assert (await runner.embed_text("q" * 50)).tolist() == [ord("q"), 10]


async def test_tokenize_keeps_order(runner: Runner) -> None:
    tokens = await runner.tokenize(["ab", "", "c"])
    assert [list(t.ids) for t in tokens] == [[97, 98], [], [99]]


async def test_counters(runner: Runner) -> None:
    runner.batch_tokens = 64
    await runner.embed([[1] * 4, [2] * 2])
    counters = runner.counters
    assert (counters.texts, counters.batches) == (2, 1)
    assert (counters.tokens, counters.padded_tokens) == (10, 12)
    assert counters.busy_seconds > 0


async def test_stop_cancels_what_queues_and_closes_the_embedder(runner: Runner, fake: Fake) -> None:
    first = await held(runner, fake)
    waiting = asyncio.create_task(runner.embed([[2] * 10]))
    await queued(runner, 1)
    stopping = asyncio.create_task(runner.stop())
    with pytest.raises(asyncio.CancelledError):
        await waiting
    fake.gate.set()
    await stopping
    assert (await first).tolist() == [[1, 10]]  # the running batch ended
    await runner.stop()
    assert fake.closed == 1
    assert fake.batches == [[1]]
    with pytest.raises(TransientError, match="not running"):
        await runner.embed([[1]])
    with pytest.raises(TransientError, match="not running"):
        await runner.embed_text("late")


async def test_starting_twice_makes_one_thread(runner: Runner) -> None:
    await runner.start()
    names = [t.name for t in threading.enumerate() if t.name == "inference"]
    assert len(names) == 1


class Laned(Fake):
    """One that is best given two batches at a time."""

    lanes = 2


async def test_as_many_batches_run_at_a_time_as_the_embedder_has_lanes() -> None:
    fake = Laned()
    runner = Runner(fake, batch_tokens=16)
    await runner.start()
    fake.gate.clear()
    sequences = [[n] * 10 for n in range(1, 9)]
    call = asyncio.create_task(runner.embed(sequences))
    for _ in range(2):
        await asyncio.to_thread(fake.begun.acquire)
    await queued(runner, 6)
    assert sorted(fake.batches) == [[1], [2]]
    assert not fake.begun.acquire(blocking=False)
    fake.gate.set()
    assert (await call).tolist() == [[n, 10] for n in range(1, 9)]
    assert (runner.counters.batches, runner.counters.texts) == (8, 8)
    with pytest.raises(InvalidRecord):
        await runner.embed([[1], [BAD], [2]])
    await runner.stop()
    assert fake.closed == 1
    assert not [t for t in threading.enumerate() if t.name == "inference"]


async def test_a_few_sequences_are_shared_out_over_idle_lanes() -> None:
    fake = Laned()
    runner = Runner(fake, batch_tokens=1000)
    await runner.start()
    await runner.embed([[n] * 10 for n in range(1, 9)])
    assert sorted(map(len, fake.batches)) == [4, 4]
    for _ in range(2):
        assert fake.begun.acquire(blocking=False)  # those two
    fake.gate.clear()
    waiting = [asyncio.create_task(runner.embed([[n] * 10])) for n in range(1, 4)]
    for _ in range(2):
        await asyncio.to_thread(fake.begun.acquire)
    await queued(runner, 1)
    busy = asyncio.create_task(runner.embed([[n] * 10 for n in range(1, 9)]))
    await queued(runner, 2)
    fake.gate.set()
    await asyncio.gather(*waiting, busy)
    assert sorted(map(len, fake.batches)) == [1, 1, 1, 4, 4, 8]
    await runner.stop()
