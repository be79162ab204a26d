"""Embedding: engines by name, and how the configured one is loaded."""

from __future__ import annotations

import logging
from importlib import import_module

from tickertape.embed import device, models
from tickertape.embed.base import Embedder
from tickertape.errors import ModelMissing, StartError
from tickertape.settings import Settings

log = logging.getLogger(__name__)

# name -> "module:Class"; a class takes (Model, *, device, threads).
ENGINES = {"onnx": "tickertape.embed.onnx:OnnxEmbedder"}


def load(settings: Settings, engine: str = "onnx") -> Embedder:
    """Find the configured model (it may be fetched from the hub) and load it. Blocks: seconds.

    Raises:
        ModelMissing: no model, and the line says what to run.
        StartError: the model, or the device that was asked for, cannot be used.
    """
    target = device.choose(settings)
    try:
        return _build(settings, engine, target)
    except ModelMissing:
        raise
    except StartError as error:
        if target == "cpu" or settings.device == "cuda":
            raise
        # onnxruntime-gpu offers CUDA on a machine without a GPU or its libraries, too.
        log.warning("CUDA cannot be used, the CPU is: %s", error)
        return _build(settings, engine, "cpu")


def _build(settings: Settings, engine: str, target: device.Device) -> Embedder:
    model = models.find(settings, device.precision(settings, target))
    module, _, name = ENGINES[engine].partition(":")
    build = getattr(import_module(module), name)
    embedder: Embedder = build(model, device=target, threads=settings.threads)
    return embedder
