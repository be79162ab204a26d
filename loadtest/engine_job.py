"""One engine in a process of its own, told by TICKERTAPE_ENGINE and TICKERTAPE_PRECISION."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.throughput.serve import Clock, serve
from tickertape import settings as settings_module
from tickertape.embed import lanes, load


def main() -> None:
    """Load what a worker with this environment loads, and serve."""
    settings = settings_module.load(Path.cwd())
    embedder = load(settings)
    limit = embedder.max_tokens - embedder.special_tokens

    def embed(texts: list[str], budget: int = 0, save: str | None = None) -> dict[str, Any]:
        """Tokenised before the clock starts, and cut where sentence-transformers would."""
        with Clock() as tokenizing:
            sequences = [tokens.ids[:limit] for tokens in embedder.tokenize(texts)]
        with Clock() as clock:
            vectors = lanes.embed(embedder, sequences, budget or settings.batch_tokens)
        if save is not None:
            np.save(save, vectors)
        return {
            **clock.used,
            "tokenize_seconds": tokenizing.used["seconds"],
            "tokens": sum(len(ids) + embedder.special_tokens for ids in sequences),
            "memory_max_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "identity": embedder.identity,
        }

    serve({"embed": embed})


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
