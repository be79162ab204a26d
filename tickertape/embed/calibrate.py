"""The calibrated int8 model for OpenVINO: made once, from the fp32 file and some hundred texts.

nncf does it in an environment of its own: it needs no torch, but scipy, scikit-learn and more,
which no worker needs. https://docs.openvino.ai (Post-training Quantization)
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tickertape.batching import plan
from tickertape.documents import Vectors
from tickertape.embed import models
from tickertape.embed.base import Embedder
from tickertape.embed.cache import Cache
from tickertape.embed.export_env import ExportEnv, Say
from tickertape.embed.manifest import CALIBRATED_INT8, ModelFiles
from tickertape.errors import StartError
from tickertape.samples import samples
from tickertape.settings import Settings

JOB = Path(__file__).with_name("calibrate_job.py")
REQUIREMENTS = ("nncf>=3.4,<4", "openvino>=2026.4,<2027", "tokenizers>=0.21")
# What stands at the edges, in a document too: without these, an empty text came out at .86.
EDGES = (
    *(
        "",
        ".",
        "a",
        "I",
        "1",
        "%",
        "$",
        "-",
        "...",
        "?",
        "Note",
        "Total",
        "2023",
        "n/a",
        "EPS",
        "Q3",
    ),
    *("Table of Contents", "Item 1A. Risk Factors", "1,234.56 (7.8%)", "See Note 12."),
    *("word " * 300, "x" * 99, "0 " * 200, "total " * 60, ". " * 100),
    *("日本語のテキスト", "Привет, мир", "مرحبا بالعالم", "Ergebnis je Aktie", "résultat net"),
    *("😀", "https://example.com/a?b=c#d", "<html><body>tags</body></html>", "REVENUE UP 12%"),
)
TEXTS = 300  # more change nothing in the third decimal, and take longer
HELD_OUT = 100  # to check with; a quarter where there are few
COSINE_MIN = 0.99  # mean, to fp32, on texts that were not calibrated with


def texts(own: Path | None = None) -> list[str]:
    """Return texts to calibrate with, in random order: the samples' titles and paragraphs.

    ``own`` is a file with a text a line, to take instead.

    Raises:
        StartError: the file cannot be read, or has hardly any texts.
    """
    if own is not None:
        try:
            found = [line.strip() for line in own.read_text("utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeError) as error:
            raise StartError(f"{own}: {error}") from None
        if len(found) < 20:
            raise StartError(f"{own}: expected 20 texts at least, one a line, got {len(found)}")
    else:
        made = list(samples(400))
        found = [str(each["title"]) for each in made]
        found += [part for each in made for part in str(each["text"]).split("\n") if part.strip()]
    found = list(dict.fromkeys(found))
    random.Random(1).shuffle(found)
    return found


def ensure(
    settings: Settings, cache: Cache, full: ModelFiles, own: Path | None, say: Say
) -> ModelFiles:
    """Make and cache the calibrated model of ``full``. Call it under the lock; minutes.

    Raises:
        StartError: it cannot be made, or its vectors are not close enough to fp32's.
    """
    environment = ExportEnv(settings.data_dir / "calibrate-env", REQUIREMENTS)
    environment.ensure(say)
    say(f"calibrating the {CALIBRATED_INT8} model (some minutes)")
    folder = cache.home(full.manifest.name) / ".calibrated"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "model").mkdir(parents=True)
    found = texts(own)
    held_out = min(len(found) // 4, HELD_OUT)
    calibration, rest = [*EDGES, *found[held_out : held_out + TEXTS]], found[:held_out]
    try:
        (folder / "texts.json").write_text(json.dumps(calibration), "utf-8")
        tokens = str(full.manifest.max_tokens)
        arguments = [str(full.folder), str(folder / "texts.json"), tokens, str(folder / "model")]
        environment.run(JOB, arguments, say)
        made = models.add_calibrated(cache, full, folder / "model")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        say(_check(full, made, rest))
    except BaseException:  # an interrupt too: what was not checked is not used
        shutil.rmtree(made.folder)
        raise
    return made


def _check(full: ModelFiles, made: ModelFiles, held_out: Sequence[str]) -> str:
    from tickertape.embed.openvino import OpenVinoEmbedder

    plain, fast = OpenVinoEmbedder(full), OpenVinoEmbedder(made)
    try:
        (expected, slow), (got, seconds) = _embed(plain, held_out), _embed(fast, held_out)
    finally:
        plain.close()
        fast.close()
    cosine = float((expected * got).sum(axis=1).mean())
    if cosine < COSINE_MIN:
        raise StartError(
            f"{made.manifest.identity}: cosine to fp32 is {cosine:.4f}, expected {COSINE_MIN} at "
            "least; calibrate with texts of your own, or set TICKERTAPE_ENGINE=onnx"
        )
    return f"cosine to fp32 {cosine:.4f}, {slow / seconds:.1f} times as fast as it"


def _embed(embedder: Embedder, given: Sequence[str]) -> tuple[Vectors, float]:
    """Vectors and the seconds of the second of two runs."""
    limit = embedder.max_tokens - embedder.special_tokens
    sequences = [tokens.ids[:limit] for tokens in embedder.tokenize(given)]
    vectors = np.empty((len(given), embedder.dimension), np.float32)
    seconds = 0.0
    for _ in range(2):
        begun = time.perf_counter()
        for batch in plan([len(ids) + embedder.special_tokens for ids in sequences], 1024):
            vectors[batch] = embedder.encode([sequences[i] for i in batch])
        seconds = time.perf_counter() - begun
    return vectors, seconds
