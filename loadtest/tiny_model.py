"""A real sentence-transformers model of a few kB, made on the spot: running it costs nothing much.

For what is about everything but the vectors' quality: the model cache's tests, and chaos.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *("revenue", "rose", "fell", "by", "profit", "outlook", ".", "a", "b", "c"),
]
DIMENSION = 16


def tiny_model(
    folder: Path, *, pooling: str = "mean", normalize: bool = True, tokens_max: int = 12
) -> Path:
    """Write the model, laid out as on the hub; return the folder."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    onnx.save(_graph(), folder / "onnx" / "model.onnx")
    _tokenizer().save(str(folder / "tokenizer.json"))
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    files: dict[str, Any] = {
        "config.json": {"hidden_size": DIMENSION, "max_position_embeddings": 512},
        "sentence_bert_config.json": {"max_seq_length": tokens_max},
        "modules.json": [
            {"idx": i, "type": f"sentence_transformers.models.{m}"} for i, m in enumerate(modules)
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": DIMENSION,
            "pooling_mode_cls_token": pooling == "cls",
            "pooling_mode_mean_tokens": pooling == "mean",
            "pooling_mode_max_tokens": pooling == "max",
        },
    }
    for name, body in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(body), "utf-8")
    return folder


def _graph() -> onnx.ModelProto:
    """Token vectors = table[ids] @ weights, [batch, tokens, DIMENSION]."""
    rng = np.random.default_rng(7)
    table = numpy_helper.from_array(
        rng.standard_normal((len(WORDS), DIMENSION), dtype=np.float32), "table"
    )
    weights = numpy_helper.from_array(
        rng.standard_normal((DIMENSION, DIMENSION), dtype=np.float32), "weights"
    )
    shape = ["batch", "tokens"]
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("MatMul", ["rows", "weights"], ["last_hidden_state"]),
        ],
        "tiny",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, shape),
        ],
        [
            helper.make_tensor_value_info(
                "last_hidden_state", TensorProto.FLOAT, [*shape, DIMENSION]
            )
        ],
        [table, weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _tokenizer() -> Tokenizer:
    """Words, with a cut at 4 tokens and padding, as the hub's files often say."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.enable_truncation(4)
    made.enable_padding()
    return made
