"""The worker with a model that costs nothing, or a fixed time a token (`loadtest.stub_embedder`).

``faust -A loadtest.stub worker``; ``STUB_TOKEN_MICROSECONDS=20`` sleeps so long a padded token.
"""

from __future__ import annotations

from tickertape.embed import ENGINES

ENGINES.update(dict.fromkeys(ENGINES, "loadtest.stub_embedder:StubEmbedder"))

from app import app, worker  # noqa: E402 - the registry first: app reads it at the worker's start

__all__ = ["app", "worker"]
