"""Reading a sentence-transformers folder: what its own files say about pooling and limits.

Both layouts are read: of sentence-transformers up to 5.6 (``pooling_mode_mean_tokens: true``)
and from 5.7 on (``pooling_mode: mean``). https://www.sbert.net/docs/package_reference/
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tickertape.embed.manifest import MODEL, POOLINGS, Pooling
from tickertape.errors import StartError

MODULES = "modules.json"
CONFIG = "config.json"
POOLING_CONFIG = "1_Pooling/config.json"
LENGTH_CONFIG = "sentence_bert_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
ONNX_MODEL = f"onnx/{MODEL}"  # where the hub keeps it
OPTIONAL = (MODULES, POOLING_CONFIG, LENGTH_CONFIG, TOKENIZER_CONFIG)

_HUGE = 100_000  # tokenisers say 1e30 where they know no limit
_MODULES = {"Transformer", "Pooling", "Normalize"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How token vectors become one vector, and how many tokens a sequence may have."""

    pooling: Pooling
    normalize: bool
    max_tokens: int  # special tokens included
    dimension: int


def read(folder: Path) -> Layout:
    """Read the folder's files.

    Raises:
        StartError: a module or a pooling that is not supported, or a file that makes no sense.
    """
    try:
        modules = [str(m["type"]).rsplit(".", 1)[-1] for m in _json(folder / MODULES) or []]
        pooling = _json(folder / POOLING_CONFIG) or {}
        config = _json(folder / CONFIG) or {}
        unknown = [name for name in modules if name not in _MODULES]
        if unknown:
            raise StartError(f"{folder}: module {unknown[0]} is not supported by this engine")
        return Layout(
            _pooling(folder, pooling), "Normalize" in modules, _length(folder, config),
            _dimension(folder, pooling, config),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartError(f"{folder}: not a sentence-transformers model: {error!r}") from None


def onnx_file(folder: Path) -> Path | None:
    """Return the folder's fp32 ONNX file, if it has one."""
    found = (path for path in (folder / ONNX_MODEL, folder / MODEL) if path.is_file())
    return next(found, None)


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _pooling(folder: Path, config: dict[str, Any]) -> Pooling:
    """Mean where nothing is said, as sentence-transformers does for a bare transformer."""
    prefix = "pooling_mode_"
    modes = {
        key.removeprefix(prefix).removesuffix("_tokens").removesuffix("_token")
        for key, on in config.items()
        if key.startswith(prefix) and on
    }
    named = config.get("pooling_mode")
    modes |= {named} if isinstance(named, str) else set(named or ())
    modes = modes or {"mean"}
    for mode in POOLINGS:
        if modes == {mode}:
            return mode
    raise StartError(f"{folder}: pooling {'+'.join(sorted(modes))} is not supported by this engine")


def _length(folder: Path, config: dict[str, Any]) -> int:
    """The model's own limit; else the tokeniser's; else that of its positions."""
    named = (_json(folder / LENGTH_CONFIG) or {}).get("max_seq_length")
    named = named or (_json(folder / TOKENIZER_CONFIG) or {}).get("model_max_length")
    positions = int(config.get("max_position_embeddings") or 512)
    if config.get("model_type") in {"roberta", "xlm-roberta", "camembert", "mpnet"}:
        positions -= 2  # theirs begin behind the padding's
    return int(named) if named and named < _HUGE else positions


def _dimension(folder: Path, pooling: dict[str, Any], config: dict[str, Any]) -> int:
    sources = (pooling, config)
    for key in ("word_embedding_dimension", "embedding_dimension", "hidden_size", "dim", "d_model"):
        for source in sources:
            if source.get(key):
                return int(source[key])
    raise StartError(f"{folder}: {CONFIG} names no dimension")
