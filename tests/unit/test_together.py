"""Sentences of several documents go through the model together, and each caller gets its own."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence

import numpy as np
import pytest

from tests.unit.test_runner import Fake
from tickertape.documents import Vectors
from tickertape.embed.base import Tokens
from tickertape.errors import TransientError
from tickertape.summarize.together import Together

BAD = 13


class Encoder:
    """Holds each call until it is let go; a sequence with `BAD` in it fails its call."""

    embedder = Fake()

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.shares: set[Hashable] = set()
        self.go = asyncio.Event()

    async def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        raise NotImplementedError

    async def embed(
        self, sequences: Sequence[Sequence[int]], urgent: bool = False, share: Hashable = None
    ) -> Vectors:
        self.calls.append(len(sequences))
        self.shares.add(share)
        await self.go.wait()
        if any(BAD in ids for ids in sequences):
            raise TransientError("a batch failed")
        return np.array([[ids[0], len(ids)] for ids in sequences], np.float32)


async def started(together: Together, *asked: list[list[int]]) -> list[asyncio.Task[Vectors]]:
    tasks = [asyncio.create_task(together.embed(each)) for each in asked]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_who_asks_while_the_model_is_at_work_shares_the_next_call() -> None:
    encoder = Encoder()
    together = Together(encoder, "summaries")
    first = await started(together, [[1]])
    others = await started(together, [[2, 2], [3]], [[4, 4, 4]], [[5]])
    encoder.go.set()
    found = [each.tolist() for each in await asyncio.gather(*first, *others)]
    assert found == [[[1, 1]], [[2, 2], [3, 1]], [[4, 3]], [[5, 1]]]
    assert encoder.calls == [1, 4]
    assert encoder.shares == {"summaries"}
    assert (await together.embed([[6]])).tolist() == [[6, 1]]  # and it goes on


async def test_one_that_fails_fails_alone() -> None:
    encoder = Encoder()
    together = Together(encoder, None)
    first = await started(together, [[1]])
    good, bad, other = await started(together, [[2]], [[BAD]], [[3]])
    encoder.go.set()
    await first[0]
    with pytest.raises(TransientError, match="a batch failed"):
        await bad
    assert (await good).tolist() == [[2, 1]]
    assert (await other).tolist() == [[3, 1]]


async def test_who_is_cancelled_takes_nobody_with_it() -> None:
    encoder = Encoder()
    together = Together(encoder, None)
    first = await started(together, [[1]])
    gone, stays = await started(together, [[2], [2]], [[3]])
    first[0].cancel()
    gone.cancel()
    await asyncio.sleep(0)
    encoder.go.set()
    assert (await stays).tolist() == [[3, 1]]
    assert encoder.calls == [1, 1]  # what nobody waits for is not embedded
    assert first[0].cancelled()
    assert gone.cancelled()


async def test_an_encoder_that_is_stopped_leaves_nobody_waiting() -> None:
    class Stopped(Encoder):
        async def embed(
            self, sequences: Sequence[Sequence[int]], urgent: bool = False, share: Hashable = None
        ) -> Vectors:
            await self.go.wait()
            raise asyncio.CancelledError  # as a runner does to those who wait

    encoder = Stopped()
    together = Together(encoder, None)
    tasks = await started(together, [[1]], [[2]])
    encoder.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [asyncio.CancelledError] * 2
