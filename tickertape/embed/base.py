"""The contract of an embedding engine: text to token ids, token ids to unit vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tickertape.documents import Vectors

Offsets = Sequence[tuple[int, int]]


class Tokens:
    """A text's tokens without special tokens: ids, and (start, end) characters of each.

    Offsets may come as a function, called when they are first asked for: only a text that is
    over the limit of a chunk needs them, and a tuple a token is what costs most here.
    """

    __slots__ = ("_offsets", "ids")

    def __init__(self, ids: Sequence[int], offsets: Offsets | Callable[[], Offsets]) -> None:
        self.ids = ids
        self._offsets = offsets

    @property
    def offsets(self) -> Offsets:
        """Where each token stands in the text, as many as there are ids."""
        if callable(self._offsets):
            self._offsets = self._offsets()
        return self._offsets


class Embedder(Protocol):
    """One loaded model. Every method may be called from any thread.

    One that is at its best with several batches at a time says so by ``lanes`` (see `lanes`),
    and one for which a small batch is cheap, by ``spare`` (see `spare`).
    """

    name: str  # the published name, e.g. sentence-transformers/all-MiniLM-L6-v2
    precision: str  # fp32, int8, ...
    identity: str  # "<name>@<precision>": vectors of different identities are never mixed
    dimension: int
    max_tokens: int  # per sequence, special tokens included
    special_tokens: int  # how many of those `encode` adds to a sequence

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise without truncation and without special tokens. Call it in a thread."""

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Embed one batch of id sequences (no special tokens; they are added here).

        Returns float32 [len(sequences), dimension], pooled and normalised as the model's own
        files say. Raises `InvalidRecord` for a sequence over ``max_tokens - special_tokens``.
        """

    def close(self) -> None:
        """Free the model. Safe to call twice."""


def lanes(embedder: Embedder) -> int:
    """Return how many batches the embedder is best given at a time; 1 where it does not say."""
    return int(getattr(embedder, "lanes", 1))


def spare(embedder: Embedder) -> int | None:
    """Return how much padding of a batch costs the embedder less than one more batch, in tokens;
    None where it does not say: then as few batches as the budget allows are best."""
    found: int | None = getattr(embedder, "spare", None)
    return found
