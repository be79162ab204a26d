"""Embedding by ONNX Runtime and ``tokenizers``. No torch."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from tickertape.embed.engine import Engine, Hidden
from tickertape.embed.tokens import Ids
from tickertape.errors import StartError


class OnnxEmbedder(Engine):
    """An `embed.base.Embedder` over one ONNX Runtime session."""

    def open(self, device: str, threads: int) -> None:
        """Start the session on ``device``, ``cpu`` or ``cuda``."""
        session = _session(str(self.model.graph), device, threads)
        self._inputs = {put.name for put in session.get_inputs()}
        self._output = _token_output(session, self.identity, self.dimension)
        self._session: ort.InferenceSession | None = session

    def hidden(self, ids: Ids, mask: Ids) -> Hidden:
        """Run the session (see `embed.engine.Engine.hidden`)."""
        assert self._session is not None
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        given = {name: feed[name] for name in feed if name in self._inputs}
        found: Hidden = self._session.run([self._output], given)[0]
        return found

    def free(self) -> None:
        """Let go of the session."""
        self._session = None


def cuda_available() -> bool:
    """Return whether the installed ONNX Runtime offers CUDA (the package onnxruntime-gpu)."""
    return "CUDAExecutionProvider" in ort.get_available_providers()


def _session(path: str, device: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
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


def _token_output(session: ort.InferenceSession, identity: str, dimension: int) -> str:
    """The output that has a vector a token: [batch, tokens, dimension]."""
    for output in session.get_outputs():
        # A size that is not fixed in the graph is a name or None.
        size = output.shape[-1] if len(output.shape) == 3 else 0
        if size == dimension or not isinstance(size, int):
            return str(output.name)
    raise StartError(f"{identity}: the graph has no output [batch, tokens, {dimension}]")
