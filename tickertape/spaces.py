"""Which vectors are compared with which: the space of a vector that was made elsewhere. Pure.

A space is a model's name with its precision. A vector whose maker names our model is one of ours in
whatever precision it was made: its cosine to ours is .99 and more, and its place in a list hardly
another. One without a name may be of any model, so it is compared with those of its size alone.
"""

from __future__ import annotations

from typing import Protocol

from tickertape.errors import InvalidRecord

UNNAMED = "external-"
ORGANISATION = "sentence-transformers/"  # left out by many


class OwnModel(Protocol):
    """Our embedder, as far as it is known here."""

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def dimension(self) -> int: ...


def unnamed(dimension: int) -> str:
    """Return the space of a vector whose maker gave no name.

    One for each size: a vector of three numbers must not refuse those of 384 that come after it.
    """
    return f"{UNNAMED}{dimension}"


def space_of(field: str, model_name: str, dimension: int, ours: OwnModel) -> str:
    """Return the space of a vector of ``dimension`` numbers in the record's ``field``.

    Raises:
        InvalidRecord: our model's name on a vector of another size.
    """
    if _plain(model_name) != _plain(ours.name):
        return model_name
    if dimension != ours.dimension:
        expected = (
            f"{ours.dimension} numbers, as {ours.name} gives (a vector of another model has that"
            " model's name in model_name)"
        )
        raise InvalidRecord(field, expected, dimension)
    return ours.identity


def note(space: str | None, ours: str) -> str | None:
    """Return what whoever made the vectors of a space should know; None where all is well.

    ``ours``: our model's name.
    """
    if space is None or not space.startswith(UNNAMED):
        return None
    return (
        "made elsewhere, without model_name: compared with vectors of their size alone, never with"
        f" a question. Where {ours} made them, say so in model_name"
    )


def _plain(name: str) -> str:
    """The name without its precision, in one form."""
    return name.partition("@")[0].strip().lower().removeprefix(ORGANISATION)
