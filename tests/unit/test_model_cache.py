"""Where the model comes from: the cache, a folder, the hub; and what never gets into the cache."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures_hub import COMMIT, DIMENSION, Hub, tiny_model
from tickertape.embed import cpu, load, manifest, models
from tickertape.embed import hub as hub_module
from tickertape.embed.cache import Cache
from tickertape.embed.choice import dynamic_int8
from tickertape.embed.manifest import INT8, REDUCED_INT8, Manifest, ModelFiles
from tickertape.embed.onnx import OnnxEmbedder
from tickertape.errors import ModelMissing, StartError
from tickertape.settings import Settings

NAME = "acme/tiny"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub(NAME, tiny_model(tmp_path / "served")).serve() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield served


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "data"  # the cache too, whatever the environment says
    return Settings(
        data_dir=folder, models_dir=folder / "models", embedding_model=NAME, device="cpu"
    )


def cached(settings: Settings) -> list[str]:
    """Every file in the cache that is not a lock."""
    root = settings.model_cache
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.suffix)


def test_fetched_from_the_hub_once(hub: Hub, settings: Settings) -> None:
    model = models.find(settings, "fp32")
    assert model.folder == settings.model_cache / "acme" / "tiny" / "fp32"
    assert model.manifest.identity == "acme/tiny@fp32"
    assert model.manifest.revision == COMMIT
    assert (model.manifest.dimension, model.manifest.max_tokens) == (DIMENSION, 12)
    asked = len(hub.requests)
    assert models.find(settings, "fp32") == model
    assert len(hub.requests) == asked
    assert not (settings.model_cache / "acme" / "tiny" / ".download").exists()


def test_int8_is_made_here_as_suits_the_cpu(hub: Hub, settings: Settings) -> None:
    assert of_int8(settings, dynamic_int8()).min() > 0.98
    assert hub.downloads().count("onnx/model.onnx") == 1


@pytest.mark.parametrize("folder", [INT8, REDUCED_INT8])
def test_both_forms_of_int8_are_one_space(hub: Hub, settings: Settings, folder: str) -> None:
    if folder == INT8 and cpu.saturates():
        pytest.skip("this CPU has no VNNI: sums of 8-bit weights are cut, and it uses 7 bits")
    assert of_int8(settings, folder).min() > 0.98
    made = models.find(settings, folder)
    assert (made.folder.name, made.manifest.identity) == (folder, "acme/tiny@int8")


def of_int8(settings: Settings, folder: str) -> np.ndarray:
    """Return the cosines of an int8 model's vectors to those of fp32."""
    vectors = []
    for precision in ("fp32", folder):
        embedder = OnnxEmbedder(models.find(settings, precision), device="cpu", threads=1)
        ids = [tokens.ids for tokens in embedder.tokenize(["revenue rose", "profit fell by a b"])]
        vectors.append(embedder.encode(ids))
        embedder.close()
    assert not np.array_equal(*vectors)
    cosines: np.ndarray = (vectors[0] * vectors[1]).sum(axis=1)
    return cosines


def test_auto_is_int8_on_a_cpu(hub: Hub, settings: Settings) -> None:
    assert load(settings).precision == "int8"


def test_cuda_without_cuda_does_not_start(settings: Settings) -> None:
    with pytest.raises(StartError, match="TICKERTAPE_DEVICE: expected cuda"):
        load(settings.model_copy(update={"device": "cuda"}))


def test_offline_asks_nobody(hub: Hub, settings: Settings) -> None:
    with pytest.raises(ModelMissing, match=r"TICKERTAPE_OFFLINE.*export-model acme/tiny"):
        models.find(settings.model_copy(update={"offline": True}), "int8")
    assert hub.requests == []


def test_offline_uses_the_cache(hub: Hub, settings: Settings) -> None:
    models.find(settings, "fp32")
    hub.down = True
    offline = settings.model_copy(update={"offline": True})
    assert models.find(offline, "int8").manifest.precision == "int8"


@pytest.mark.parametrize("file", ["onnx/model.onnx", "tokenizer.json"])
def test_a_wrong_digest_is_refused(hub: Hub, settings: Settings, file: str) -> None:
    hub.damaged.add(file)
    with pytest.raises(ModelMissing, match=f"{file}: not what the hub's digest says"):
        models.find(settings, "fp32")
    assert cached(settings) == []
    hub.damaged.clear()
    assert models.find(settings, "fp32").manifest.revision == COMMIT


def test_an_interrupted_download_is_taken_up_again(hub: Hub, settings: Settings) -> None:
    size = (hub.folder / "onnx" / "model.onnx").stat().st_size
    hub.cut["onnx/model.onnx"] = size // 2
    with pytest.raises(ModelMissing, match="onnx: download failed"):
        models.find(settings, "fp32")
    assert Cache(settings.model_cache).get(NAME, "fp32") is None
    hub.cut.clear()
    models.find(settings, "fp32")
    # What had come whole was not asked for again.
    assert hub.downloads().count("tokenizer.json") == 1


def test_a_hub_that_is_down(hub: Hub, settings: Settings) -> None:
    hub.down = True
    with pytest.raises(ModelMissing, match=r"does not answer: .*503.*run `faust -A app export"):
        models.find(settings, "fp32")


def test_nobody_listens(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(ModelMissing, match="does not answer"):
        models.find(settings, "fp32")


def test_silence_is_noticed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never answers
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(ModelMissing, match=r"does not answer within 0\.2 s"):
            models.find(settings, "fp32")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme/other", "is not on the hub"),
        ("./nowhere/at/all", "neither a folder nor a model's name"),
        ("../../no/such", "neither a folder nor a model's name"),
    ],
)
def test_a_name_that_leads_nowhere(hub: Hub, settings: Settings, name: str, message: str) -> None:
    with pytest.raises(ModelMissing, match=message):
        models.find(settings.model_copy(update={"embedding_model": name}), "fp32")
    inside = settings.model_cache.resolve()
    assert inside in Cache(settings.model_cache).home(name).resolve().parents


def test_a_repository_without_an_onnx_file(hub: Hub, settings: Settings) -> None:
    (hub.folder / "onnx" / "model.onnx").unlink()
    with pytest.raises(ModelMissing, match=r"has no onnx/model\.onnx on the hub"):
        models.find(settings, "fp32")


def test_a_folder_is_a_model_too_and_its_changes_are_seen(
    tmp_path: Path, settings: Settings
) -> None:
    folder = tiny_model(tmp_path / "mine")
    mine = settings.model_copy(update={"embedding_model": str(folder), "offline": True})
    first = models.find(mine, "int8")
    assert first.manifest.name == str(folder)
    assert first.manifest.pooling == "mean"
    tiny_model(folder, pooling="cls")
    os.utime(folder / "config.json", ns=(1, 1))
    assert models.find(mine, "int8").manifest.pooling == "cls"


def test_a_folder_without_an_onnx_file_says_what_to_run(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "torch").mkdir()
    mine = settings.model_copy(update={"embedding_model": str(tmp_path / "torch")})
    with pytest.raises(ModelMissing, match=r"no ONNX file.*export-model"):
        models.find(mine, "fp32")


@pytest.mark.parametrize(
    ("file", "body", "message"),
    [
        ("modules.json", [{"type": "x.models.Dense"}], "module Dense is not supported"),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "pooling lasttoken"),
        ("1_Pooling/config.json", {"pooling_mode": ["mean", "max"]}, r"pooling max\+mean"),
        ("config.json", [1], "not a sentence-transformers model"),
    ],
)
def test_what_this_engine_cannot_do_is_said(
    tmp_path: Path, settings: Settings, file: str, body: object, message: str
) -> None:
    folder = tiny_model(tmp_path / "mine")
    (folder / file).write_text(json.dumps(body), "utf-8")
    mine = settings.model_copy(update={"embedding_model": str(folder)})
    with pytest.raises(StartError, match=message):
        models.find(mine, "fp32")
    assert cached(mine) == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
    ],
)
def test_pooling_of_old_and_new_layouts(
    tmp_path: Path, settings: Settings, config: dict[str, object], expected: str
) -> None:
    folder = tiny_model(tmp_path / "mine")
    (folder / "1_Pooling/config.json").write_text(json.dumps(config), "utf-8")
    mine = settings.model_copy(update={"embedding_model": str(folder)})
    assert models.find(mine, "fp32").manifest.pooling == expected


def damage_model(model: ModelFiles) -> None:
    content = bytearray((model.folder / "model.onnx").read_bytes())
    content[-1] ^= 1
    (model.folder / "model.onnx").write_bytes(content)


def shorten_manifest(model: ModelFiles) -> None:
    path = model.folder / "manifest.json"
    path.write_text(path.read_text("utf-8")[:50], "utf-8")


def remove_tokenizer(model: ModelFiles) -> None:
    (model.folder / "tokenizer.json").unlink()


def other_format(model: ModelFiles) -> None:
    path = model.folder / "manifest.json"
    path.write_text(path.read_text("utf-8").replace('"format": 1', '"format": 0'), "utf-8")


@pytest.mark.parametrize("harm", [damage_model, shorten_manifest, remove_tokenizer, other_format])
def test_a_harmed_cache_is_never_used(hub: Hub, settings: Settings, harm) -> None:
    model = models.find(settings, "fp32")
    harm(model)
    assert Cache(settings.model_cache).get(NAME, "fp32") is None
    again = models.find(settings, "fp32")
    assert again == manifest.read(again.folder) == model


def test_what_broke_off_leaves_the_cache_as_it_was(hub: Hub, settings: Settings) -> None:
    before = models.find(settings, "fp32")
    cache = Cache(settings.model_cache)

    def broken(folder: Path) -> Manifest:
        (folder / "model.onnx").write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.put(NAME, "fp32", broken)
    assert cache.get(NAME, "fp32") == before


def test_a_killed_writer_leaves_nothing_that_is_read(hub: Hub, settings: Settings) -> None:
    left = settings.model_cache / "acme" / "tiny" / ".fp32.new"
    left.mkdir(parents=True)
    (left / "model.onnx").write_bytes(b"half")
    assert models.find(settings, "fp32").manifest.revision == COMMIT
    assert not left.exists()


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_pooling_is_as_defined(
    tmp_path: Path, settings: Settings, pooling: str, normalize: bool
) -> None:
    """Against the definition, from the token vectors of single, unpadded texts."""
    folder = tiny_model(tmp_path / "mine", pooling=pooling, normalize=normalize)
    own = {"embedding_model": str(folder), "engine": "onnx", "precision": "fp32"}
    embedder = load(settings.model_copy(update=own))
    table, weights = _weights(folder)
    ids = [[4, 5], [8, 6, 7, 4, 5], []]
    expected = []
    for sequence in ids:
        hidden = table[[2, *sequence, 3]] @ weights
        pooled = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0)}[pooling]
        expected.append(pooled / np.linalg.norm(pooled) if normalize else pooled)
    np.testing.assert_allclose(embedder.encode(ids), np.array(expected), rtol=1e-4, atol=1e-5)


def _weights(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(folder / "onnx" / "model.onnx").graph
    table, weights = (numpy_helper.to_array(tensor) for tensor in graph.initializer)
    return table, weights
