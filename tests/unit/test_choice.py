"""What auto means, and which engine, precision and device go together."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtest.tiny_model import tiny_model
from tickertape.embed import calibrate, choice, cpu, device, load, manifest, models, trial
from tickertape.embed.cache import Cache
from tickertape.embed.choice import Choice, choose
from tickertape.embed.manifest import (
    CALIBRATED,
    CALIBRATED_DATA,
    CALIBRATED_INT8,
    INT8,
    TOKENIZER,
    Manifest,
)
from tickertape.errors import ModelMissing, StartError
from tickertape.settings import Settings

ONNX_INT8 = Choice("onnx", choice.dynamic_int8(), "cpu")
ONNX_FP32 = Choice("onnx", "fp32", "cpu")
OPENVINO_INT8 = Choice("openvino", CALIBRATED_INT8, "cpu")
OPENVINO_FP32 = Choice("openvino", "fp32", "cpu")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    source = tiny_model(tmp_path / "tiny")
    return Settings(embedding_model=str(source), data_dir=tmp_path / "data", offline=True)


@pytest.fixture
def calibrated(settings: Settings) -> Path:
    """A model in the place of a calibrated one: the fp32 one in OpenVINO's format."""
    import openvino as ov

    full = models.find(settings, "fp32")

    def make(folder: Path) -> Manifest:
        ov.save_model(ov.Core().read_model(full.graph), folder / CALIBRATED)
        shutil.copyfile(full.folder / TOKENIZER, folder / TOKENIZER)
        files = manifest.digests(folder, [CALIBRATED, CALIBRATED_DATA, TOKENIZER])
        return replace(full.manifest, precision=CALIBRATED_INT8, files=files)

    cache = Cache(settings.model_cache)
    return cache.put(full.manifest.name, CALIBRATED_INT8, make).folder


NAMES = {
    "int8": [f"onnx {INT8}", f"openvino {CALIBRATED_INT8}"],
    "fp32": ["onnx fp32", "openvino fp32"],
}


def measured(settings: Settings, onnx: float, openvino: float) -> None:
    """As if the engines had been compared on this CPU before."""
    for names in NAMES.values():
        trial.keep(choice.home(settings), dict(zip(names, (onnx, openvino), strict=True)))


def of(settings: Settings, **more: str) -> Choice:
    return choose(settings.model_copy(update=more))


def test_without_the_extra_all_is_as_it_was(
    settings: Settings, calibrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda _: None)
    assert [of(settings, precision=p) for p in ("auto", "int8")] == [ONNX_INT8] * 2
    assert of(settings, precision="fp32") == ONNX_FP32
    with pytest.raises(StartError, match=r"TICKERTAPE_ENGINE: openvino is not installed.*pip"):
        of(settings, engine="openvino")


def test_installing_the_extra_changes_no_vectors_by_itself(settings: Settings) -> None:
    assert choice.installed()
    models.find(settings, "fp32")
    measured(settings, onnx=1, openvino=2)
    assert [of(settings, precision=p) for p in ("auto", "int8")] == [ONNX_INT8] * 2
    assert of(settings, precision="fp32") == OPENVINO_FP32  # the same identity
    assert of(settings).reason == "onnx, openvino has no int8 model here"


def test_auto_takes_what_was_measured_to_be_faster(settings: Settings, calibrated: Path) -> None:
    measured(settings, onnx=100, openvino=200)
    assert [of(settings, precision=p) for p in ("auto", "int8")] == [OPENVINO_INT8] * 2
    assert of(settings, precision="fp32") == OPENVINO_FP32
    measured(settings, onnx=200, openvino=100)
    assert [of(settings, precision=p) for p in ("auto", "int8")] == [ONNX_INT8] * 2
    assert of(settings, precision="fp32") == ONNX_FP32
    measured(settings, onnx=100, openvino=104)  # by chance
    assert of(settings) == ONNX_INT8
    measured(settings, onnx=100, openvino=200)
    (calibrated / CALIBRATED).write_bytes(b"cut short")
    assert of(settings) == ONNX_INT8


def test_engines_are_measured_once_on_a_cpu_and_again_on_another(
    settings: Settings, calibrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = of(settings)
    rates = trial.kept(choice.home(settings), NAMES["int8"])
    assert rates is not None
    assert min(rates.values()) > 0  # both ran
    assert f"measured on {cpu.describe()}: onnx int8 " in first.reason
    with monkeypatch.context() as nothing:
        nothing.setattr(trial.subprocess, "run", None)  # it would raise
        again = of(settings)
        assert (again, again.reason) == (first, first.reason)
    monkeypatch.setattr(cpu, "describe", lambda: "another CPU")
    assert trial.kept(choice.home(settings), NAMES["int8"]) is None
    assert "measured on another CPU: " in of(settings).reason
    monkeypatch.undo()
    assert trial.kept(choice.home(settings), NAMES["int8"]) == rates


def test_other_files_are_measured_anew(settings: Settings, calibrated: Path) -> None:
    measured(settings, onnx=1, openvino=2)
    names = ["onnx int8", "openvino int8-calibrated-of-other-texts"]
    assert trial.kept(choice.home(settings), names) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"%s": 1}', '{"%s": {"onnx int8": "fast"}}'])
def test_a_file_of_what_was_measured_that_is_none_is_measured_again(
    text: str, settings: Settings
) -> None:
    home = choice.home(settings)
    home.mkdir(parents=True)
    key = f"{cpu.describe()}: {', '.join(NAMES['int8'])}"
    (home / trial.KEPT).write_text(text.replace("%s", key))
    assert trial.kept(home, NAMES["int8"]) is None
    measured(settings, onnx=1, openvino=2)
    assert trial.kept(home, NAMES["int8"]) == {"onnx int8": 1, f"openvino {CALIBRATED_INT8}": 2}


def test_an_engine_that_cannot_run_is_not_taken_and_tried_again_at_the_next_start(
    settings: Settings, calibrated: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (calibrated / CALIBRATED).write_bytes(b"<net/>")
    files = manifest.digests(calibrated, [CALIBRATED, TOKENIZER])
    body = json.loads((calibrated / "manifest.json").read_text())
    (calibrated / "manifest.json").write_text(json.dumps({**body, "files": files}))
    found = of(settings)
    assert found == ONNX_INT8
    assert found.reason.endswith(f", openvino {CALIBRATED_INT8} 0 tokens a second")
    assert f"an engine cannot run: {settings.embedding_model}@{CALIBRATED_INT8}: " in caplog.text
    assert trial.kept(choice.home(settings), NAMES["int8"]) is None


def test_a_comparison_that_fails_is_said_and_not_kept(
    settings: Settings,
    calibrated: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(trial, "SECONDS_MAX", 0.01)
    found = of(settings)
    assert found == ONNX_INT8
    assert "could not be compared" in found.reason
    assert "the engines could not be compared: TimeoutExpired" in caplog.text
    assert not (choice.home(settings) / trial.KEPT).exists()


def test_a_named_engine_is_taken(settings: Settings, calibrated: Path) -> None:
    measured(settings, onnx=1, openvino=2)
    assert of(settings, engine="onnx") == ONNX_INT8
    assert of(settings, engine="onnx", precision="fp32") == ONNX_FP32
    assert of(settings, engine="openvino") == OPENVINO_INT8
    assert of(settings, engine="openvino", precision="fp32") == OPENVINO_FP32


def test_openvino_and_cuda_exclude_each_other(settings: Settings) -> None:
    with pytest.raises(StartError, match="TICKERTAPE_ENGINE: openvino runs on the CPU"):
        of(settings, engine="openvino", device="cuda")


def test_a_gpu_is_taken_first_and_needs_onnx(
    settings: Settings, calibrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickertape.embed.onnx.cuda_available", lambda: True)
    measured(settings, onnx=1, openvino=2)
    assert of(settings) == Choice("onnx", "fp32", "cuda")
    assert of(settings, precision="int8") == OPENVINO_INT8
    assert of(settings, engine="openvino") == OPENVINO_INT8
    assert device.choose(settings) == "cuda"
    assert choose(settings, "cpu") == OPENVINO_INT8  # where CUDA turned out not to start


def test_a_calibrated_model_that_is_not_made_says_what_to_run(settings: Settings) -> None:
    with pytest.raises(ModelMissing, match=r"export-model .* --engine openvino"):
        load(settings.model_copy(update={"engine": "openvino"}))


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("tokens_max", [12, 9])
def test_fp32_gives_the_same_in_both_engines(pooling: str, tokens_max: int, tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "tiny", pooling=pooling, tokens_max=tokens_max)
    settings = Settings(embedding_model=str(source), data_dir=tmp_path / "data", precision="fp32")
    vectors, identities = [], set()
    for engine in ("onnx", "openvino"):
        embedder = load(settings.model_copy(update={"engine": engine}))
        longest = tokens_max - embedder.special_tokens
        ids = [[4, 5, 6][: 1 + n % 3] for n in range(19)] + [[4] * longest]
        vectors.append(embedder.encode(ids))
        identities.add(embedder.identity)
        embedder.close()
    assert len(identities) == 1
    assert (vectors[0] * vectors[1]).sum(axis=1).min() > 0.9999
    assert vectors[0].shape == (20, 16)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=0.02)


PROBE = """
import socket, sys
def no(*_, **__): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = no
from tickertape.embed.openvino import OpenVinoEmbedder
import openvino.tools.ovc
found = [n for n in sys.modules if n.startswith("openvino_telemetry") and sys.modules[n]]
print(found, openvino.tools.ovc.telemetry_utils.tm.__name__)
"""


def test_openvinos_telemetry_is_never_imported(tmp_path: Path) -> None:
    """In a process and a home of its own: nothing is sent, and no consent file is written."""
    env = {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    run = subprocess.run(
        [sys.executable, "-c", PROBE], env=env, capture_output=True, text=True, check=False
    )
    assert run.stdout == "[] openvino.tools.ovc.telemetry_stub\n", run.stderr
    assert not list(tmp_path.iterdir())


def test_other_calibrations_have_other_identities(settings: Settings, tmp_path: Path) -> None:
    full = models.find(settings, "fp32")
    cache = Cache(settings.model_cache)
    identities = set()
    for numbers in (b"one", b"two", b"one"):
        (tmp_path / "made").mkdir(exist_ok=True)
        (tmp_path / "made" / CALIBRATED).write_bytes(b"<net/>")
        (tmp_path / "made" / "model.bin").write_bytes(numbers)
        made = models.add_calibrated(cache, full, tmp_path / "made")
        assert cache.get(full.manifest.name, CALIBRATED_INT8) == made
        identities.add(made.manifest.identity)
    assert len(identities) == 2
    assert all("@int8-calibrated-" in each for each in identities)


def test_calibration_texts_are_ours_or_yours(tmp_path: Path) -> None:
    ours = calibrate.texts()
    assert len(ours) > calibrate.TEXTS + 100
    assert ours == calibrate.texts()
    own = tmp_path / "own.txt"
    own.write_text("\n".join(f"text {n}\n" for n in range(25)), "utf-8")
    assert sorted(calibrate.texts(own)) == sorted(f"text {n}" for n in range(25))
    own.write_text("only one\n", "utf-8")
    with pytest.raises(StartError, match="expected 20 texts at least, one a line, got 1"):
        calibrate.texts(own)
    with pytest.raises(StartError, match="No such file"):
        calibrate.texts(tmp_path / "none")
