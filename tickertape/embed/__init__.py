"""Embedding: engines by name, and how the configured one is loaded."""

from __future__ import annotations

import logging
from importlib import import_module

from tickertape.embed import choice, models
from tickertape.embed.base import Embedder
from tickertape.embed.manifest import ModelFiles
from tickertape.errors import ModelMissing, StartError
from tickertape.settings import Settings

log = logging.getLogger(__name__)

# name -> "module:Class"; a class takes (ModelFiles, *, device, threads).
ENGINES = {
    "onnx": "tickertape.embed.onnx:OnnxEmbedder",
    "openvino": "tickertape.embed.openvino:OpenVinoEmbedder",
}


def load(settings: Settings) -> Embedder:
    """Find the configured model (it may be fetched from the hub) and load it. Blocks: seconds.

    Raises:
        ModelMissing: no model, and the line says what to run.
        StartError: the model, the engine or the device asked for cannot be used.
    """
    chosen = choice.choose(settings)
    log.info("engine: %s", chosen.reason)
    try:
        return _open(settings, chosen)
    except ModelMissing:
        raise
    except StartError as error:
        if chosen.device == "cpu" or settings.device == "cuda":
            raise
        # onnxruntime-gpu offers CUDA on a machine without a GPU or its libraries, too.
        log.warning("CUDA cannot be used, the CPU is: %s", error)
        return _open(settings, choice.choose(settings, "cpu"))


def _open(settings: Settings, chosen: choice.Choice) -> Embedder:
    model = models.find(settings, chosen.precision)
    return build(chosen.engine, model, device=chosen.device, threads=settings.threads)


def build(engine: str, model: ModelFiles, *, device: str, threads: int) -> Embedder:
    """Load a model's files into an engine of the registry.

    Raises:
        StartError: the engine cannot load them, or not on this device.
    """
    module, _, name = ENGINES[engine].partition(":")
    embedder: Embedder = getattr(import_module(module), name)(model, device=device, threads=threads)
    return embedder
