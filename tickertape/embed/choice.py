"""Which engine embeds, on which device, with which of a model's files.

============  =========  =======================================================
engine        precision  what it runs
============  =========  =======================================================
``onnx``      int8       int8 made of the fp32 file at the first start, as suits the CPU
``onnx``      fp32       the fp32 file, on the CPU or with CUDA
``openvino``  int8       `CALIBRATED_INT8`, made by ``export-model`` and not at a start
``openvino``  fp32       the fp32 file; in bf16 where the CPU is faster in it
============  =========  =======================================================

``auto`` keeps to the precision and takes the engine that is the fastest of those whose model is
there, as measured on this CPU (`tickertape.embed.trial`). Which CPU it is does not tell: with
VNNI OpenVINO's int8 is 1.6 times as fast as ONNX Runtime's, without it half as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from tickertape.embed import cpu, device, models, trial
from tickertape.embed.cache import Cache
from tickertape.embed.device import Device
from tickertape.embed.manifest import CALIBRATED_INT8, INT8, REDUCED_INT8
from tickertape.embed.models import source_revision
from tickertape.errors import StartError
from tickertape.settings import Settings

EXTRA = "openvino"
WORTH = 1.05  # of the first candidate's speed: another must win clearly, not by chance


@dataclass(frozen=True, slots=True)
class Choice:
    """``precision`` is the folder in the model's cache; ``reason`` says why, for people."""

    engine: str
    precision: str
    device: Device
    reason: str = field(default="", compare=False)


def choose(settings: Settings, target: Device | None = None) -> Choice:
    """Return what the settings mean here; ``target`` is a device that is already known.

    Blocks for some seconds where engines are to be compared that were not yet on this CPU.

    Raises:
        StartError: what is asked for is not installed, does not go together, or has no model.
    """
    found = candidates(settings, target)
    return found[0] if len(found) == 1 else _fastest(settings, found)


def candidates(settings: Settings, target: Device | None = None) -> list[Choice]:
    """Return what could be meant: one, or with auto the engines to compare, ONNX Runtime first.

    Raises:
        StartError: what is asked for is not installed, or does not go together.
    """
    if settings.engine == "openvino":
        return [_openvino(settings)]
    where = target or device.choose(settings)
    if where == "cuda":
        return [Choice("onnx", "fp32", where, "onnx on a GPU")]
    precision = "fp32" if settings.precision == "fp32" else dynamic_int8()
    if settings.engine == "onnx":
        return [Choice("onnx", precision, where, "onnx, as TICKERTAPE_ENGINE says")]
    if installed() and _has_model(settings):
        return [Choice("onnx", precision, where), _openvino(settings)]
    why = "has no int8 model here" if installed() else "is not installed"
    return [Choice("onnx", precision, where, f"onnx, openvino {why}")]


def home(settings: Settings) -> Path:
    """Return the folder of the cache where what was measured is kept."""
    return Cache(settings.model_cache).home(settings.embedding_model)


def dynamic_int8() -> str:
    """Return the folder of the int8 model that suits this CPU (see `tickertape.embed.quantize`)."""
    return REDUCED_INT8 if cpu.saturates() else INT8


def installed() -> bool:
    """Return whether the extra with OpenVINO is installed."""
    return find_spec(EXTRA) is not None


def _fastest(settings: Settings, found: Sequence[Choice]) -> Choice:
    tried = [trial.Candidate(each.engine, models.find(settings, each.precision)) for each in found]
    names = [each.name for each in tried]
    rates = trial.kept(home(settings), names)
    if rates is None:
        with Cache(settings.model_cache).lock(settings.embedding_model):
            # Another worker may have measured while this one waited.
            rates = trial.kept(home(settings), names) or trial.measure(settings, tried)
            if rates and all(rates.values()):
                trial.keep(home(settings), rates)
    if not rates:
        return replace(found[0], reason=f"{found[0].engine}, the engines could not be compared")
    best = max(range(len(names)), key=lambda n: rates[names[n]])
    if rates[names[best]] < WORTH * rates[names[0]]:
        best = 0
    figures = ", ".join(f"{name} {rates[name]:,.0f}" for name in names)
    reason = f"{names[best]}, measured on {cpu.describe()}: {figures} tokens a second"
    return replace(found[best], reason=reason)


def _openvino(settings: Settings) -> Choice:
    if settings.device == "cuda":
        raise StartError("TICKERTAPE_ENGINE: openvino runs on the CPU; expected onnx with cuda")
    if not installed():
        raise StartError(
            "TICKERTAPE_ENGINE: openvino is not installed: pip install -e '.[openvino]', "
            "or set auto or onnx"
        )
    precision = "fp32" if settings.precision == "fp32" else CALIBRATED_INT8
    return Choice("openvino", precision, "cpu", "openvino, as TICKERTAPE_ENGINE says")


def _has_model(settings: Settings) -> bool:
    """Is there a model that OpenVINO could run? Its int8 is made by export-model alone."""
    if settings.precision == "fp32":
        return True
    name = settings.embedding_model
    cached = Cache(settings.model_cache).get(name, CALIBRATED_INT8, source_revision(name))
    return cached is not None
