"""Vectors kept in a file from one run to the next: a corpus is embedded once for many runs."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from tickertape.documents import Vectors
from tickertape.embed.base import Embedder
from tickertape.embed.runner import Runner

DIGEST = 16  # bytes


class KeptRunner(Runner):
    """A runner that looks up what it has embedded before, in ``path``; `save` writes it."""

    def __init__(self, embedder: Embedder, batch_tokens: int, path: Path | None) -> None:
        super().__init__(embedder, batch_tokens)
        self._path = path
        self._known: dict[bytes, np.ndarray[tuple[int], np.dtype[np.float32]]] = {}
        self._added = False
        if path is not None and path.is_file():
            with np.load(path) as kept:
                if str(kept["identity"]) == embedder.identity:
                    joined, vectors = kept["keys"].tobytes(), kept["vectors"]
                    keys = (joined[at : at + DIGEST] for at in range(0, len(joined), DIGEST))
                    self._known = dict(zip(keys, vectors, strict=True))

    async def embed(
        self, sequences: Sequence[Sequence[int]], urgent: bool = False, share: Hashable = None
    ) -> Vectors:
        """Embed what is not known yet."""
        if urgent:  # a question: its time is measured
            return await super().embed(sequences, urgent, share)
        keys = [_digest(ids) for ids in sequences]
        new = {key: ids for key, ids in zip(keys, sequences, strict=True) if key not in self._known}
        if new:
            made = await super().embed(list(new.values()), urgent, share)
            self._known.update(zip(new, made, strict=True))
            self._added = True
        return np.array([self._known[key] for key in keys], np.float32)

    def save(self) -> None:
        """Write all that is known, where it is to be kept."""
        if self._path is None or not self._added:
            return
        keys = np.frombuffer(b"".join(self._known), np.uint8)
        part = self._path.with_suffix(".part.npz")
        np.savez(
            part,
            identity=self.embedder.identity,
            keys=keys,
            vectors=np.array(list(self._known.values()), np.float32),
        )
        part.replace(self._path)
        self._added = False


def _digest(ids: Sequence[int]) -> bytes:
    return hashlib.blake2b(np.asarray(ids, np.int32).tobytes(), digest_size=DIGEST).digest()
