"""The real model: found in, or put into, a cache that runs share."""

from __future__ import annotations

import os
from pathlib import Path

from tickertape.embed.choice import dynamic_int8
from tickertape.embed.export import ensure
from tickertape.embed.manifest import ModelFiles
from tickertape.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


def models_dir() -> Path:
    """Return the cache that test runs share: TICKERTAPE_MODELS_DIR, else .tickertape/models."""
    named = os.environ.get("TICKERTAPE_MODELS_DIR")
    return Path(named) if named else ROOT / ".tickertape" / "models"


def model_settings(**more: object) -> Settings:
    """Return settings that use that cache; ``more`` by field name."""
    return Settings(models_dir=models_dir(), data_dir=ROOT / ".tickertape", **more)  # type: ignore[arg-type]


def ensure_model(precision: str | None = None) -> ModelFiles:
    """Return the default model, fetched first where the cache does not have it. ``precision`` is
    its folder in the cache; absent: the int8 that suits this CPU."""
    return ensure(model_settings(), precision or dynamic_int8(), ready=True)
