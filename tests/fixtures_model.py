"""Session fixtures of the real model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.models import ensure_model, model_settings, models_dir
from tickertape.embed.base import Embedder


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """The cache folder, with the default model in it in fp32 and int8."""
    ensure_model("fp32")
    ensure_model()
    return models_dir()


@pytest.fixture(scope="session")
def embedder(model_cache: Path) -> Iterator[Embedder]:
    """The default model, int8 on the CPU, as a worker has it."""
    from tickertape.embed import load

    loaded = load(model_settings(device="cpu"))
    yield loaded
    loaded.close()
