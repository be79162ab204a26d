"""The model behind an async front: a thread for each of its lanes, fed in batches.

A call's sequences are cut into batches (`tickertape.batching`). Batches of searches overtake
those of ingestion, and those of ingestion take turns by share (`tickertape.embed.fairqueue`). A
batch that runs is never interrupted, so a search waits for one batch at most. Most engines have
one lane; where several batches at a time are faster, the engine has more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tickertape import metrics
from tickertape.batching import padded, plan, share
from tickertape.documents import Vector, Vectors
from tickertape.embed.base import Embedder, Tokens, lanes, spare
from tickertape.embed.fairqueue import FairQueue
from tickertape.errors import TransientError

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counters:
    """What the runner did since it was made. ``tokens`` and ``padded_tokens`` count special ones;
    ``busy_seconds`` is time in the model, of all lanes together."""

    texts: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    batches: int = 0
    failed_batches: int = 0
    busy_seconds: float = 0.0


class _Call:
    """One `embed`: where its rows go, and who waits for them. Rows are written by the thread."""

    def __init__(self, sequences: Sequence[Sequence[int]], dimension: int, batches: int) -> None:
        self.sequences = sequences
        self.vectors: Vectors = np.empty((len(sequences), dimension), np.float32)
        self.left = batches
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Vectors] = self.loop.create_future()
        self.over = False  # cancelled or failed: its batches that still queue are dropped

    def settle(self, error: BaseException | None) -> None:
        """Tell the waiting loop, from the thread."""
        self.over = True
        # A closed loop has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(self.vectors)
        else:
            self.future.set_exception(error)


class Runner:
    """Runs an `Embedder` for many callers. `start` before use; `stop` closes the embedder too."""

    def __init__(self, embedder: Embedder, batch_tokens: int) -> None:
        """``batch_tokens`` is the budget of padded tokens of one inference."""
        self.embedder = embedder
        self.batch_tokens = batch_tokens
        self.counters = Counters()
        self._queue: FairQueue[tuple[_Call, list[int]]] = FairQueue()
        self._threads: list[threading.Thread] = []
        self._counting = threading.Lock()  # of the counters, and of what is left of a call
        self._tokenizers: ThreadPoolExecutor | None = None

    @property
    def queued_batches(self) -> int:
        """How many batches wait, those of cancelled calls included."""
        return len(self._queue)

    @property
    def running(self) -> bool:
        """True between `start` and `stop`."""
        return bool(self._threads)

    @property
    def limit(self) -> int:
        """Most tokens of one sequence, special tokens not counted."""
        return self.embedder.max_tokens - self.embedder.special_tokens

    async def start(self) -> None:
        """Start the threads."""
        if self._threads:
            return
        # Two, so that a search is tokenised beside a large window.
        self._tokenizers = ThreadPoolExecutor(2, thread_name_prefix="tokenize")
        self._threads = [
            threading.Thread(target=self._work, name="inference", daemon=True)
            for _ in range(lanes(self.embedder))
        ]
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """Cancel what is queued, let the running batch end, close the embedder. Safe twice."""
        threads, self._threads = self._threads, []
        if not threads:
            return
        for call in {id(call): call for call, _ in self._queue.close()}.values():
            call.over = True
            with contextlib.suppress(RuntimeError):  # its loop is closed
                call.loop.call_soon_threadsafe(call.future.cancel)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        if self._tokenizers is not None:
            self._tokenizers.shutdown(wait=False, cancel_futures=True)
        self.embedder.close()

    async def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise in a thread; see `Embedder.tokenize`."""
        self._check_running()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._tokenizers, self.embedder.tokenize, texts)

    async def embed(
        self, sequences: Sequence[Sequence[int]], urgent: bool = False, share: Hashable = None
    ) -> Vectors:
        """Embed id sequences (no special tokens), each of at most `limit` ids.

        Calls of one ``share`` wait for each other; shares take turns.
        Returns float32 [len(sequences), dimension], rows in the order of ``sequences``.
        Cancelling drops the batches that still queue; a failure fails this call alone.

        Raises:
            InvalidRecord: a sequence is over the limit.
            TransientError: the inference failed, or the runner is not running.
        """
        self._check_running()
        lengths = [len(sequence) + self.embedder.special_tokens for sequence in sequences]
        batches = plan(lengths, self._budget(lengths), spare(self.embedder))
        call = _Call(sequences, self.embedder.dimension, len(batches))
        if not batches:
            return call.vectors
        for indices in batches:
            cost = padded([lengths[index] for index in indices])
            self._queue.put((call, indices), cost, share, urgent)
        try:
            return await call.future
        finally:
            call.over = True

    async def embed_text(self, text: str, urgent: bool = True) -> Vector:
        """Embed one text, cut to the model's limit: for queries. Returns [dimension]."""
        tokens = (await self.tokenize([text]))[0]
        vector: Vector = (await self.embed([tokens.ids[: self.limit]], urgent))[0]
        return vector

    def _budget(self, lengths: Sequence[int]) -> int:
        """While nothing waits, a few sequences are shared out over the lanes: sooner there."""
        if len(self._threads) < 2 or len(self._queue):
            return self.batch_tokens
        return min(self.batch_tokens, share(lengths, len(self._threads)))

    def _check_running(self) -> None:
        if not self._threads:
            raise TransientError("the embedding runner is not running", dependency="embedder")

    def _work(self) -> None:
        """An inference thread. Whatever a batch raises goes to its caller; the thread lives."""
        while (taken := self._queue.get()) is not None:
            call, indices = taken
            if call.over:
                continue
            try:
                call.vectors[indices] = self._infer([call.sequences[i] for i in indices])
            except BaseException as error:
                with self._counting:
                    self.counters.failed_batches += 1
                log.warning("a batch of %d failed: %s", len(indices), error)
                call.settle(error if isinstance(error, Exception) else TransientError(repr(error)))
                continue
            with self._counting:
                call.left -= 1
                done = call.left == 0
            if done:
                call.settle(None)

    def _infer(self, batch: list[Sequence[int]]) -> Vectors:
        lengths = [len(sequence) + self.embedder.special_tokens for sequence in batch]
        size = padded(lengths)
        metrics.embed_batch_fill.observe(size / self.batch_tokens)
        begun = time.perf_counter()
        try:
            return self.embedder.encode(batch)
        finally:
            with self._counting:
                counters = self.counters
                counters.busy_seconds += time.perf_counter() - begun
                counters.batches += 1
                counters.texts += len(batch)
                counters.tokens += sum(lengths)
                counters.padded_tokens += size
