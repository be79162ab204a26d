"""Embedding by ONNX Runtime and ``tokenizers``. No torch."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from tickertape.documents import Vectors
from tickertape.embed.base import Tokens
from tickertape.embed.manifest import MODEL, TOKENIZER, Model, Pooling
from tickertape.errors import InvalidRecord, StartError, TransientError

_SURROGATE = re.compile("[\ud800-\udfff]")
_TINY = 1e-9  # keeps a row without tokens, or without length, from dividing by zero

Ids = np.ndarray[Any, np.dtype[np.int64]]


class OnnxEmbedder:
    """An `embed.base.Embedder` over one ONNX Runtime session."""

    def __init__(self, model: Model, *, device: str = "cpu", threads: int = 0) -> None:
        """Load the model.

        Args:
            model: Files and manifest, as the cache holds them.
            device: ``cpu`` or ``cuda``.
            threads: Of one inference; 0 is one a core that this process may use.

        Raises:
            StartError: the files cannot be loaded, or the graph gives no token vectors.
        """
        # The tokeniser's own pool would fight the inference for the cores, and warns after a fork.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        manifest = model.manifest
        self.name = manifest.name
        self.precision = manifest.precision
        self.identity = manifest.identity
        self.dimension = manifest.dimension
        self.max_tokens = manifest.max_tokens
        self._pooling: Pooling = manifest.pooling
        self._normalize = manifest.normalize
        try:
            self._tokenizer = Tokenizer.from_file(str(model.folder / TOKENIZER))
            session = _session(str(model.folder / MODEL), device, threads)
        except Exception as error:  # both libraries raise bare Exceptions of their own
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StartError(f"{self.identity}: cannot be loaded: {reason}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._prefix, self._suffix = _frame(self._tokenizer)
        self.special_tokens = len(self._prefix) + len(self._suffix)
        self._inputs = {put.name for put in session.get_inputs()}
        self._output = _token_output(session, self.identity, self.dimension)
        self._session: ort.InferenceSession | None = session

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise without truncation and without special tokens. Releases the GIL."""
        # A lone surrogate has no UTF-8; U+FFFD is as long, so offsets stay those of the text.
        clean = [_SURROGATE.sub("\ufffd", text) for text in texts]
        encodings = self._tokenizer.encode_batch(clean, add_special_tokens=False)
        return [Tokens(encoding.ids, encoding.offsets) for encoding in encodings]

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Embed one batch (see `embed.base.Embedder.encode`).

        Raises:
            InvalidRecord: a sequence is longer than the model takes.
            TransientError: the inference failed.
        """
        session = self._session
        if session is None:
            raise TransientError(f"{self.identity}: closed")
        if not sequences:
            return np.empty((0, self.dimension), np.float32)
        limit = self.max_tokens - self.special_tokens
        longest = max(map(len, sequences))
        if longest > limit:
            raise InvalidRecord("tokens", f"at most {limit} in a sequence", longest)
        ids, mask = self._pad(sequences, longest + self.special_tokens)
        feed: dict[str, Ids] = {"input_ids": ids, "attention_mask": mask}
        feed["token_type_ids"] = np.zeros_like(ids)
        try:
            hidden = session.run(
                [self._output], {name: feed[name] for name in feed if name in self._inputs}
            )[0]
        except Exception as error:  # onnxruntime's exceptions derive from Exception
            reason = str(error).splitlines()[0]
            raise TransientError(f"{self.identity}: inference failed: {reason}") from error
        return _finish(hidden, mask, self._pooling, normalize=self._normalize)

    def close(self) -> None:
        """Free the model. Safe to call twice."""
        self._session = None

    def _pad(self, sequences: Sequence[Sequence[int]], width: int) -> tuple[Ids, Ids]:
        """Frame each sequence in special tokens and fill up; masked, so any id will do."""
        ids = np.zeros((len(sequences), width), np.int64)
        mask = np.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            framed = [*self._prefix, *sequence, *self._suffix]
            ids[row, : len(framed)] = framed
            mask[row, : len(framed)] = 1
        return ids, mask


def cuda_available() -> bool:
    """Return whether the installed ONNX Runtime offers CUDA (the package onnxruntime-gpu)."""
    return "CUDAExecutionProvider" in ort.get_available_providers()


def _session(path: str, device: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or _cores()
    options.inter_op_num_threads = 1
    # Idle threads sleep. In short runs on two busy cores: the same documents a second, and about
    # 17 % less CPU each, which the broker beside it can use. Arena and memory pattern stay on:
    # some 6 % less CPU, and 240 random shapes level off at 100 MB over the loaded model.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; warnings about the graph help nobody
    providers = ["CUDAExecutionProvider"] if device == "cuda" else []
    session = ort.InferenceSession(path, options, [*providers, "CPUExecutionProvider"])
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        # onnxruntime falls back in silence when a library or the driver is missing.
        raise StartError("CUDA could not be started (driver or libraries missing)")
    return session


def _cores() -> int:
    """The cores this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The special ids that the tokeniser puts before and behind a sequence."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    special = encoding.special_tokens_mask
    inner = [index for index, flag in enumerate(special) if not flag]
    if not inner:  # a vocabulary without "a": nothing to tell before from behind
        return [], []
    return encoding.ids[: inner[0]], encoding.ids[inner[-1] + 1 :]


def _token_output(session: ort.InferenceSession, identity: str, dimension: int) -> str:
    """The output that has a vector a token: [batch, tokens, dimension]."""
    for output in session.get_outputs():
        # A size that is not fixed in the graph is a name or None.
        size = output.shape[-1] if len(output.shape) == 3 else 0
        if size == dimension or not isinstance(size, int):
            return str(output.name)
    raise StartError(f"{identity}: the graph has no output [batch, tokens, {dimension}]")


def _finish(
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
