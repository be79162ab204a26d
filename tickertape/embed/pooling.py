"""Token vectors to one unit vector a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from tickertape.documents import Vectors
from tickertape.embed.manifest import Pooling
from tickertape.embed.tokens import Ids

_TINY = 1e-9  # keeps a row without tokens, or without length, from dividing by zero


def pool(
    hidden: np.ndarray[Any, np.dtype[np.float32]], mask: Ids, pooling: Pooling, *, normalize: bool
) -> Vectors:
    """Pool token vectors [n, tokens, d] to [n, d], and scale each to length 1 where asked."""
    if pooling == "cls":
        vectors = hidden[:, 0]
    elif pooling == "max":
        vectors = np.where(mask[:, :, None] == 1, hidden, -np.inf).max(axis=1)
    else:
        weights = mask.astype(np.float32)
        counts = np.maximum(weights.sum(axis=1, keepdims=True), _TINY)
        vectors = np.einsum("ntd,nt->nd", hidden, weights) / counts
    if normalize:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.maximum(lengths, _TINY)
    return np.ascontiguousarray(vectors, dtype=np.float32)
