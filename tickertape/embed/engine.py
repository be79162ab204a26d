"""What all engines share: an engine of its own is a class with three methods on top of this."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from tickertape.documents import Vectors
from tickertape.embed.base import Tokens
from tickertape.embed.manifest import TOKENIZER, ModelFiles
from tickertape.embed.pooling import pool
from tickertape.embed.tokens import Ids, TextTokenizer
from tickertape.errors import InvalidRecord, StartError, TransientError

Hidden = np.ndarray[Any, np.dtype[np.float32]]

# Of MiniLM a batch costs a core 1 ms beside its tokens, and a token .065. In windows of four or
# eight paragraphs a sixth less CPU so, with ONNX Runtime a third; in full ones it is the same.
CPU_SPARE = 32


class Engine(ABC):
    """An `embed.base.Embedder` whose graph `open` loads, `hidden` runs, and `free` lets go.

    Engines raise what their libraries raise; here it becomes our errors.
    """

    lanes = 1  # batches that are best run at a time; `open` may say more
    spare: int | None = None  # tokens of padding that cost less than one more batch

    def __init__(self, model: ModelFiles, *, device: str = "cpu", threads: int = 0) -> None:
        """Load the model.

        Args:
            model: Files and manifest, as the cache holds them.
            device: ``cpu`` or ``cuda``.
            threads: Of one inference; 0 is one a core that this process may use.

        Raises:
            StartError: the files cannot be loaded, or the graph gives no token vectors.
        """
        self.model = model
        manifest = model.manifest
        self.name = manifest.name
        self.precision = manifest.precision
        self.identity = manifest.identity
        self.dimension = manifest.dimension
        self.max_tokens = manifest.max_tokens
        if device == "cpu":
            self.spare = CPU_SPARE
        try:
            self._tokenizer = TextTokenizer(model.folder / TOKENIZER)
            self.open(device, threads or cores())
        except StartError:
            raise
        except Exception as error:  # the libraries raise bare Exceptions of their own
            raise StartError(f"{self.identity}: cannot be loaded: {_reason(error)}") from error
        self.special_tokens = self._tokenizer.special_tokens
        self._closed = False

    @abstractmethod
    def open(self, device: str, threads: int) -> None:
        """Load the graph. Called once, before anything else."""

    @abstractmethod
    def hidden(self, ids: Ids, mask: Ids) -> Hidden:
        """Run one batch, int64 [n, tokens]; return token vectors, float32 [n, tokens, dimension].

        May be called from several threads at a time.
        """

    @abstractmethod
    def free(self) -> None:
        """Let go of the graph. Safe to call twice."""

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise without truncation and without special tokens. Call it in a thread."""
        return self._tokenizer.tokenize(texts)

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Embed one batch (see `embed.base.Embedder.encode`).

        Raises:
            InvalidRecord: a sequence is longer than the model takes.
            TransientError: the inference failed.
        """
        if self._closed:
            raise TransientError(f"{self.identity}: closed")
        if not sequences:
            return np.empty((0, self.dimension), np.float32)
        limit = self.max_tokens - self.special_tokens
        longest = max(map(len, sequences))
        if longest > limit:
            raise InvalidRecord("tokens", f"at most {limit} in a sequence", longest)
        ids, mask = self._tokenizer.pad(sequences)
        try:
            hidden = self.hidden(ids, mask)
        except Exception as error:  # the libraries raise bare Exceptions of their own
            raise TransientError(f"{self.identity}: inference failed: {_reason(error)}") from error
        manifest = self.model.manifest
        return pool(hidden, mask, manifest.pooling, normalize=manifest.normalize)

    def close(self) -> None:
        """Free the model. Safe to call twice."""
        self._closed = True
        self.free()


def cores() -> int:
    """Return the cores this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
