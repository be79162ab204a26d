"""The real model for tests: found in, or put into, a cache that runs share.

Plain functions, and session fixtures that a conftest may import.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tickertape.embed.base import Embedder
from tickertape.embed.cache import Cache
from tickertape.embed.manifest import Model
from tickertape.settings import DEFAULT_EMBEDDING_MODEL, Settings

ROOT = Path(__file__).resolve().parents[1]


def models_dir() -> Path:
    """Return the cache that test runs share: TICKERTAPE_MODELS_DIR, else .tickertape/models."""
    named = os.environ.get("TICKERTAPE_MODELS_DIR")
    return Path(named) if named else ROOT / ".tickertape" / "models"


def model_settings(**more: object) -> Settings:
    """Return settings that use that cache; ``more`` by field name."""
    return Settings(models_dir=models_dir(), data_dir=ROOT / ".tickertape", **more)  # type: ignore[arg-type]


def ensure_model(precision: str = "int8") -> Model:
    """Return the default model, made first where the cache does not have it (minutes)."""
    found = Cache(models_dir()).get(DEFAULT_EMBEDDING_MODEL, precision)
    if found is not None:
        return found
    from tickertape.embed.export import ensure

    return ensure(model_settings(), precision)


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """The cache folder, with the default model in it in fp32 and int8."""
    ensure_model("fp32")
    ensure_model("int8")
    return models_dir()


@pytest.fixture(scope="session")
def embedder(model_cache: Path) -> Iterator[Embedder]:
    """The default model, int8 on the CPU, as a worker has it."""
    from tickertape.embed import load

    loaded = load(model_settings(device="cpu"))
    yield loaded
    loaded.close()
