"""A model that costs nothing, or sleeps as long as a GPU would take; its tokeniser is the real one.

So token counts and chunks are the real model's, and what is measured is all that is around it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import numpy as np

from tickertape.batching import padded
from tickertape.documents import Vectors
from tickertape.embed.base import Tokens
from tickertape.embed.manifest import TOKENIZER, ModelFiles
from tickertape.embed.tokens import TextTokenizer

COST = "STUB_TOKEN_MICROSECONDS"  # time of a padded token; unset: none
ROWS = 4096


class StubEmbedder:
    """An `embed.base.Embedder` that gives each sequence one of `ROWS` unit vectors."""

    def __init__(self, model: ModelFiles, **_: object) -> None:
        """Load the tokeniser; the device and the number of threads are no matter."""
        self.name = model.manifest.name
        self.precision = "stub"
        self.identity = f"{self.name}@{self.precision}"
        self.dimension = model.manifest.dimension
        self.max_tokens = model.manifest.max_tokens
        self._tokenizer = TextTokenizer(model.folder / TOKENIZER)
        self.special_tokens = self._tokenizer.special_tokens
        self._table = unit_vectors(ROWS, self.dimension)
        self._token_seconds = float(os.environ.get(COST, "0")) / 1e6

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise as the real model does."""
        return self._tokenizer.tokenize(texts)

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Return a row each, the same for the same ids; sleep for the batch's padded tokens."""
        if self._token_seconds:
            lengths = [len(sequence) + self.special_tokens for sequence in sequences]
            time.sleep(self._token_seconds * padded(lengths))
        rows = [hash(tuple(sequence)) % ROWS for sequence in sequences]  # of ints: not salted
        vectors: Vectors = self._table[rows]
        return vectors

    def close(self) -> None:
        """There is nothing to free."""


def unit_vectors(count: int, dimension: int) -> Vectors:
    """Return random vectors of length 1, the same in every process."""
    made = np.random.default_rng(7).standard_normal((count, dimension), dtype=np.float32)
    vectors: Vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
    return vectors
