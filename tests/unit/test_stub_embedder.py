"""The stub model of the load tests: real tokens, and the same unit vector for the same text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadtest.stub_embedder import StubEmbedder
from loadtest.tiny_model import tiny_model
from tickertape.embed import models
from tickertape.settings import Settings


@pytest.fixture
def stub(tmp_path: Path) -> StubEmbedder:
    folder = tiny_model(tmp_path / "model", tokens_max=64)
    settings = Settings(
        _env_file=None, embedding_model=str(folder), models_dir=tmp_path / "models", offline=True
    )
    return StubEmbedder(models.find(settings, "fp32"), device="cpu", threads=1)


def test_it_gives_unit_vectors_that_depend_on_the_tokens_alone(stub: StubEmbedder) -> None:
    made = stub.encode([[4, 5, 6], [4, 5], [4, 5, 6]])
    assert made.shape == (3, stub.dimension)
    assert made.dtype == np.float32
    assert np.linalg.norm(made, axis=1) == pytest.approx([1, 1, 1], abs=1e-6)
    assert (made[0] == made[2]).all()
    assert not (made[0] == made[1]).all()


def test_its_vectors_are_never_taken_for_the_real_models(stub: StubEmbedder) -> None:
    assert stub.identity.endswith("@stub")
    assert stub.special_tokens == 2
    assert stub.max_tokens == 64
