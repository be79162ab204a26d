"""Embedding a list of sequences as fast as an engine can: its lanes, and nothing around them.

To measure with; a worker's `tickertape.embed.runner` embeds for many callers at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from tickertape.batching import plan
from tickertape.documents import Vectors
from tickertape.embed.base import Embedder, lanes, spare


def embed(embedder: Embedder, sequences: Sequence[Sequence[int]], budget: int) -> Vectors:
    """Embed in batches of padded tokens under the budget, a thread a lane; rows in order."""
    lengths = [len(ids) + embedder.special_tokens for ids in sequences]
    planned = plan(lengths, budget, spare(embedder))
    batches = [(rows, [sequences[i] for i in rows]) for rows in planned]
    vectors = np.empty((len(sequences), embedder.dimension), np.float32)
    left, lock = iter(batches), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                rows, batch = next(left, (None, None))
            if rows is None or batch is None:
                return
            vectors[rows] = embedder.encode(batch)

    threads = [threading.Thread(target=work) for _ in range(lanes(embedder))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return vectors
