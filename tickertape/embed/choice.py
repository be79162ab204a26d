"""Which engine embeds, on which device, with which of a model's files.

============  =========  =======================================================
engine        precision  what it runs
============  =========  =======================================================
``onnx``      int8       int8 made of the fp32 file at the first start, as suits the CPU
``onnx``      fp32       the fp32 file, on the CPU or with CUDA
``openvino``  int8       `CALIBRATED_INT8`, made by ``export-model`` and not at a start
``openvino``  fp32       the fp32 file; in bf16 where the CPU is faster in it
============  =========  =======================================================

``auto`` depends on nothing but what is installed and cached, so that workers that share an
environment and a cache agree. A measurement at each start might come out otherwise in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from tickertape.embed import cpu, device
from tickertape.embed.cache import Cache
from tickertape.embed.device import Device
from tickertape.embed.manifest import CALIBRATED_INT8, INT8, REDUCED_INT8
from tickertape.embed.models import source_revision
from tickertape.errors import StartError
from tickertape.settings import Settings

EXTRA = "openvino"


@dataclass(frozen=True, slots=True)
class Choice:
    """``precision`` is the folder in the model's cache."""

    engine: str
    precision: str
    device: Device


def choose(settings: Settings, target: Device | None = None) -> Choice:
    """Return what the settings mean here; ``target`` is a device that is already known.

    Raises:
        StartError: what is asked for is not installed, or does not go together.
    """
    if settings.engine == "openvino":
        return _openvino(settings)
    where = target or device.choose(settings)
    if where == "cuda":
        return Choice("onnx", "fp32", where)
    if settings.engine == "auto" and installed() and _worth(settings):
        return _openvino(settings)
    return Choice("onnx", "fp32" if settings.precision == "fp32" else dynamic_int8(), where)


def dynamic_int8() -> str:
    """Return the folder of the int8 model that suits this CPU (see `tickertape.embed.quantize`)."""
    return REDUCED_INT8 if cpu.saturates() else INT8


def installed() -> bool:
    """Return whether the extra with OpenVINO is installed."""
    return find_spec(EXTRA) is not None


def _openvino(settings: Settings) -> Choice:
    if settings.device == "cuda":
        raise StartError("TICKERTAPE_ENGINE: openvino runs on the CPU; expected onnx with cuda")
    if not installed():
        raise StartError(
            "TICKERTAPE_ENGINE: openvino is not installed: pip install -e '.[openvino]', "
            "or set auto or onnx"
        )
    return Choice("openvino", "fp32" if settings.precision == "fp32" else CALIBRATED_INT8, "cpu")


def _worth(settings: Settings) -> bool:
    """Is OpenVINO faster with what is there? fp32 is always; without its int8 it is not."""
    if settings.precision == "fp32":
        return True
    name = settings.embedding_model
    cached = Cache(settings.model_cache).get(name, CALIBRATED_INT8, source_revision(name))
    return cached is not None
