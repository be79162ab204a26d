"""Runs in the export environment (torch, optimum), never in a worker; imports nothing of ours.

Usage: ``python export_job.py MODEL OUTPUT``. MODEL is a sentence-transformers model's folder or
name, or ``package:<module>`` for one that a Python package carries. OUTPUT becomes a folder laid
out as on the hub: ``onnx/model.onnx``, the tokeniser, and what says how to pool. The last line
printed is JSON: ``{"revision": ...}``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

CARRIED = ("modules.json", "config.json", "sentence_bert_config.json", "tokenizer_config.json")


def main(model: str, output: Path) -> None:
    """Export ``model`` to ``output``."""
    from optimum.exporters.onnx import main_export

    source, revision = _source(model)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as made:
        # The bare transformer: pooling and normalisation are the embedder's, as the files say.
        main_export(
            str(source), output=made, task="feature-extraction", library_name="transformers",
            device="cpu",
        )  # fmt: skip
        (output / "onnx").mkdir(exist_ok=True)
        for path in Path(made).glob("model.onnx*"):
            path.replace(output / "onnx" / path.name)
        # A model may have no tokenizer.json of its own; the exporter has written one then.
        shutil.copyfile(_first(source, Path(made), "tokenizer.json"), output / "tokenizer.json")
    for name in CARRIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, output / name)
    for pooling in source.glob("*_Pooling/config.json"):
        target = output / "1_Pooling" / "config.json"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(pooling, target)
    print(json.dumps({"revision": revision}), flush=True)


def _source(model: str) -> tuple[Path, str]:
    """The folder of the model's files, and where they are from."""
    kind, _, module = model.partition(":")
    if kind == "package":
        package: Any = importlib.import_module(module)
        name = module.replace("_", "-")
        return Path(package.get_model_path()), f"{name} {importlib.metadata.version(name)}"
    if Path(model).is_dir():
        return Path(model), "folder"
    from huggingface_hub import snapshot_download

    # One weights file is enough, and the hub often keeps the same in four formats.
    skipped = ["onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack", "*.onnx", "*.gguf", "*.ckpt"]
    folder = Path(snapshot_download(model, ignore_patterns=skipped))
    return folder, folder.name


def _first(source: Path, made: Path, name: str) -> Path:
    return source / name if (source / name).is_file() else made / name


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
