"""Embedding by OpenVINO: the fp32 ONNX file as it is, or the calibrated int8 one. CPU only.

Where a CPU is faster in bf16, it computes in that (cosine to fp32 over .9999): measured at the
start, for with the same instructions one CPU is 1.8 times as fast and another takes 1.6 times
as long. In the int8 model that concerns what is not int8.
"""

from __future__ import annotations

import queue
import sys
import time
from typing import Any

import numpy as np

# `import openvino` reports its use to Intel by HTTP, unless the user opted out or this package
# is not to be had. None in its place makes it so, and OpenVINO has a stub for that.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino as ov  # noqa: E402

from tickertape import batching  # noqa: E402
from tickertape.embed.engine import Engine, Hidden  # noqa: E402
from tickertape.embed.tokens import Ids  # noqa: E402
from tickertape.errors import StartError  # noqa: E402

LANES_MAX = 4
TRIES = 5
BF16_WORTH = 0.85  # of f32's time: bf16 must win clearly, not by chance
# What a lane keeps of the shapes that it met, in entries of a kind, some ten a shape of MiniLM.
# With two lanes 195 shapes took 380 MB unbounded (5,000) and take 190 so; one that is met again
# is prepared in 2 ms, which in sorted windows cannot be measured.
SHAPES_KEPT = "150"
PRECISION = "INFERENCE_PRECISION_HINT"


class OpenVinoEmbedder(Engine):
    """An `embed.base.Embedder` over one compiled OpenVINO model with a request for each lane."""

    def open(self, device: str, threads: int) -> None:
        """Compile the model for the CPU."""
        if device != "cpu":
            raise StartError(f"{self.identity}: OpenVINO runs on the CPU, not on {device}")
        self.lanes = min(threads, LANES_MAX)
        self._requests: queue.LifoQueue[Any] = queue.LifoQueue()
        core = ov.Core()
        model = core.read_model(str(self.model.graph))
        self._tokens = _vocabulary(model)
        # A lane has threads of its own: two of one thread each do not wait for each other after
        # each operation, as two threads of one lane do. A fifth less CPU, and faster by more.
        options = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": str(self.lanes),
            "INFERENCE_NUM_THREADS": str(threads),
            "CPU_RUNTIME_CACHE_CAPACITY": SHAPES_KEPT,
        }
        f32, bf16 = ({**options, PRECISION: kind} for kind in ("f32", "bf16"))
        self._use(core.compile_model(model, "CPU", f32))
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            return
        exact = self._try()
        self.free()  # never two in memory
        self._use(core.compile_model(model, "CPU", bf16))
        if self._try() > exact * BF16_WORTH:
            self.free()
            self._use(core.compile_model(model, "CPU", f32))

    def _use(self, compiled: Any) -> None:
        self._inputs = [put.get_any_name() for put in compiled.inputs]
        self._output = _token_output(compiled, self.identity, self.dimension)
        self._requests = queue.LifoQueue()
        for _ in range(self.lanes):
            self._requests.put(compiled.create_infer_request())

    def _try(self) -> float:
        """CPU seconds of one batch, the least of some: whether bf16 pays is not to be read off a
        CPU. Not by the clock, which other programs' work would decide."""
        ids = np.ones((16, min(64, self.max_tokens)), np.int64)
        times = []
        for _ in range(TRIES):
            begun = time.process_time()
            self.hidden(ids, np.ones_like(ids))
            times.append(time.process_time() - begun)
        return min(times)

    def hidden(self, ids: Ids, mask: Ids) -> Hidden:
        """Run one request; waits for a free one (see `embed.engine.Engine.hidden`)."""
        if ids.max(initial=0) >= self._tokens or ids.min(initial=0) < 0:
            # OpenVINO reads such rows from anywhere and says nothing.
            raise ValueError(f"an id is not one of the model's {self._tokens} tokens")
        rows, width = ids.shape
        more, wider = batching.shape(rows, width)  # few shapes: it keeps something for each
        shape = (more, min(wider, max(width, self.max_tokens)))
        ids, mask = _fill(ids, shape, 0), _fill(mask, shape, 1)
        mask[:rows, width:] = 0
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        requests = self._requests  # `free` puts others in their place
        request = requests.get()
        try:
            found = request.infer({name: feed[name] for name in self._inputs}, share_inputs=True)
            hidden: Hidden = found[self._output]
        finally:
            requests.put(request)
        return hidden[:rows, :width]

    def free(self) -> None:
        """Let go of the model; a request that runs keeps it until it ends."""
        self._requests = queue.LifoQueue()


def _token_output(compiled: Any, identity: str, dimension: int) -> int:
    """The output that has a vector a token: [batch, tokens, dimension]."""
    for index, output in enumerate(compiled.outputs):
        shape = output.get_partial_shape()
        if len(shape) == 3 and (shape[2].is_dynamic or shape[2].get_length() == dimension):
            return index
    raise StartError(f"{identity}: the graph has no output [batch, tokens, {dimension}]")


def _vocabulary(model: Any) -> int:
    """How many rows the table has that ``input_ids`` look into; all ids where it is not found."""
    outputs = [put for put in model.inputs if put.get_any_name() == "input_ids"]
    while outputs:
        for target in outputs.pop().get_target_inputs():
            node = target.get_node()
            if node.get_type_name() == "Convert":
                outputs.append(node.output(0))
            elif node.get_type_name() == "Gather":
                rows = node.input(0).get_partial_shape()[0]
                return int(rows.get_length())
    return int(np.iinfo(np.int64).max)


def _fill(array: Ids, shape: tuple[int, int], value: int) -> Ids:
    filled = np.full(shape, value, np.int64)
    filled[: array.shape[0], : array.shape[1]] = array
    return filled
