"""What the cache knows of a model: one ``manifest.json`` beside the files it speaks of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tickertape.errors import StartError

Pooling = Literal["mean", "cls", "max"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)

MANIFEST = "manifest.json"
MODEL = "model.onnx"
MODEL_DATA = "model.onnx_data"  # weights of a model over 2 GB lie in a file of their own
CALIBRATED = "model.xml"  # OpenVINO's own format, its numbers are in the file beside it
CALIBRATED_DATA = "model.bin"
CALIBRATED_INT8 = "int8-calibrated"  # its folder, and how its precision begins
INT8 = "int8"
# The folder of int8 with weights of 7 bits, for CPUs whose sums saturate. Its precision, and so the
# identity of its vectors, is INT8 too: they are as close to each other as each is to fp32.
REDUCED_INT8 = "int8-reduced"
GRAPHS = (MODEL, CALIBRATED)
TOKENIZER = "tokenizer.json"
FORMAT = 1


class BadManifest(StartError):
    """A cached model's files are not what its manifest says."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model in the cache.

    ``max_tokens`` counts special tokens; ``revision`` says where the weights came from;
    ``files`` maps each file's name to its SHA-256 (hex).
    """

    name: str
    precision: str
    revision: str
    dimension: int
    max_tokens: int
    pooling: Pooling
    normalize: bool
    files: Mapping[str, str]

    @property
    def identity(self) -> str:
        """``<name>@<precision>``: vectors of different identities are never mixed."""
        return f"{self.name}@{self.precision}"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A complete model on disk: its graph, `TOKENIZER` and the manifest in one folder."""

    folder: Path
    manifest: Manifest

    @property
    def graph(self) -> Path:
        """The file to load: `MODEL`, or `CALIBRATED`."""
        names = (name for name in GRAPHS if name in self.manifest.files)
        return self.folder / next(names, MODEL)


def write(folder: Path, manifest: Manifest) -> ModelFiles:
    """Write the manifest into the folder of its files."""
    body = {"format": FORMAT, **asdict(manifest)}
    (folder / MANIFEST).write_text(json.dumps(body, indent=2) + "\n", "utf-8")
    return ModelFiles(folder, manifest)


def read(folder: Path) -> ModelFiles:
    """Read the manifest and check every file's digest.

    Raises:
        BadManifest: a file is missing, changed or cut short, or the manifest is not ours.
    """
    try:
        body: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        if body.pop("format") != FORMAT:
            raise BadManifest(f"{folder}: the manifest has another format")
        manifest = Manifest(**body)
        found = digests(folder, manifest.files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadManifest(f"{folder}: {type(error).__name__}: {error}") from None
    changed = [name for name, digest in manifest.files.items() if found[name] != digest]
    whole = TOKENIZER in found and any(name in found for name in GRAPHS)
    if changed or not whole or manifest.pooling not in POOLINGS:
        raise BadManifest(f"{folder}: not as its manifest says: {', '.join(changed) or MANIFEST}")
    return ModelFiles(folder, manifest)


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each named file."""
    return {name: digest(folder / name) for name in names}


def digest(path: Path) -> str:
    """Return a file's SHA-256 (hex)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
