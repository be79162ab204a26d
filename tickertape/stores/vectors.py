"""Vectors as stores compare them, and what a store says of those that it does not take."""

from __future__ import annotations

from typing import Any

import numpy as np

from tickertape.documents import Vector, Vectors
from tickertape.errors import InvalidRecord
from tickertape.stores.base import Query


def normalised(vectors: Vectors) -> tuple[np.ndarray[Any, Any], Vectors]:
    """Return the lengths of vectors, and the vectors with length 1, or 0 as they are."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=-1)
    units = wide / np.where(norms > 0, norms, 1.0)[..., np.newaxis]
    return norms, units.astype(np.float32)


def lengthened(unit: Vector, norm: float) -> Vector:
    """Return the vector that `normalised` was given."""
    return np.asarray(unit.astype(np.float64) * norm, np.float32)


def asked(query: Query) -> tuple[Vector, str]:
    """Return a dense search's vector and model.

    Raises:
        InvalidRecord: it has none, or no finite numbers.
    """
    if query.vector is None or query.model is None:
        raise InvalidRecord("query", "a vector and its model for a dense search")
    if not np.isfinite(query.vector).all():
        raise InvalidRecord("vector", "finite numbers", "NaN or infinity")
    return query.vector, query.model


def check_size(vector: Vector, model: str, dimension: int) -> None:
    """Raise `InvalidRecord` where a search's vector is of another size than its model's."""
    if vector.shape != (dimension,):
        expected = f"{dimension} numbers, as {model} has"
        raise InvalidRecord("vector", expected, f"shape {vector.shape}")


def other_size(model: str, dimension: int, got: int) -> InvalidRecord:
    """Return what is wrong with a Put whose vectors are of another size than their model's."""
    expected = f"{dimension} numbers, as {model} has (one of another model has another model_name)"
    return InvalidRecord("vector", expected, got)
