"""Runs in the calibration environment (nncf), never in a worker; imports nothing of ours.

Usage: ``python calibrate_job.py MODEL_FOLDER TEXTS TOKENS_MAX OUTPUT``. TEXTS is a JSON list;
OUTPUT becomes a folder with ``model.xml`` and ``model.bin``: int8 weights and activations, whose
ranges are those that the texts have shown.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

# Both packages report their use to Intel by HTTP where this one is to be had.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
os.environ["NNCF_CI"] = "1"


def main(source: Path, texts: list[str], tokens_max: int, output: Path) -> None:
    """Calibrate the fp32 model of ``source``."""
    import nncf
    import numpy as np
    import openvino as ov
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens_max)
    model = ov.Core().read_model(str(source / "model.onnx"))
    names = [put.get_any_name() for put in model.inputs]

    def feed(text: str) -> dict[str, Any]:
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        values = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        return {name: values.get(name, np.zeros_like(ids)) for name in names}

    quantized = nncf.quantize(
        model, nncf.Dataset(texts, feed), model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(texts),
    )  # fmt: skip
    output.mkdir(parents=True, exist_ok=True)
    ov.save_model(quantized, str(output / "model.xml"), compress_to_fp16=False)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8")), int(sys.argv[3]),
        Path(sys.argv[4]),
    )  # fmt: skip
