"""Which device the model runs on."""

from __future__ import annotations

from typing import Literal

from tickertape.errors import StartError
from tickertape.settings import Settings

Device = Literal["cpu", "cuda"]


def choose(settings: Settings) -> Device:
    """Return the device that the settings mean here.

    Raises:
        StartError: CUDA is asked for and there is none, or with a precision it cannot run.
    """
    from tickertape.embed.onnx import cuda_available  # loads ONNX Runtime

    if settings.device == "cpu":
        return "cpu"
    if settings.device == "cuda":
        if settings.precision == "int8":
            raise StartError("TICKERTAPE_PRECISION: int8 runs on a CPU; expected fp32 with cuda")
        if not cuda_available():
            raise StartError(
                "TICKERTAPE_DEVICE: expected cuda to be available, but this ONNX Runtime has no "
                "CUDAExecutionProvider; install onnxruntime-gpu or set cpu"
            )
        return "cuda"
    return "cuda" if settings.precision != "int8" and cuda_available() else "cpu"
