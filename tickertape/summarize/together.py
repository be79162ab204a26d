"""Sentences of several documents in one call of the model.

A note has a few sentences of all lengths: alone they make small batches. What is asked for while
the model is at work goes into the next call, of all who wait: a quarter less CPU a sentence, and no
wait where nobody else asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from typing import Protocol

from tickertape.documents import Vectors
from tickertape.embed.base import Embedder, Tokens

Ids = Sequence[Sequence[int]]


class SentenceEncoder(Protocol):
    """What is needed of `tickertape.embed.runner.Runner`."""

    @property
    def embedder(self) -> Embedder:
        """The model."""

    async def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise without special tokens and without a limit."""

    async def embed(
        self, sequences: Sequence[Sequence[int]], urgent: bool = False, share: Hashable = None
    ) -> Vectors:
        """Embed id sequences; returns float32 unit rows [len(sequences), dimension]."""


class Together:
    """Embeds for many callers, one call of the encoder at a time."""

    def __init__(self, encoder: SentenceEncoder, share: Hashable) -> None:
        """``share``: see `Runner.embed`."""
        self._encoder = encoder
        self._share = share
        self._waiting: list[tuple[Ids, asyncio.Future[Vectors]]] = []
        self._task: asyncio.Task[None] | None = None

    async def embed(self, sequences: Ids) -> Vectors:
        """Embed id sequences; rows in their order. Raises what the encoder raises for these."""
        future: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        self._waiting.append((sequences, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            calls, self._waiting = self._waiting, []
            try:
                await self._run(calls)
            except BaseException:  # the encoder was stopped
                for _, future in (*calls, *self._waiting):
                    future.cancel()
                raise

    async def _run(self, calls: Sequence[tuple[Ids, asyncio.Future[Vectors]]]) -> None:
        calls = [call for call in calls if not call[1].done()]  # the others were cancelled
        every = [ids for sequences, _ in calls for ids in sequences]
        if not calls:
            return
        try:
            vectors = await self._encoder.embed(every, share=self._share)
        except Exception as error:
            if len(calls) > 1:  # one may be to blame, and is to fail alone
                for call in calls:
                    await self._run([call])
            else:
                calls[0][1].set_exception(error)
            return
        at = 0
        for sequences, future in calls:
            if not future.done():
                future.set_result(vectors[at : at + len(sequences)])
            at += len(sequences)
