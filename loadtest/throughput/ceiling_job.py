"""The ceiling: the worker's engine, file, batch budget and lanes, and nothing around them.

Texts are cut into chunks and tokenised before the clock starts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from loadtest.throughput.serve import Clock, serve
from tickertape import settings as settings_module
from tickertape.chunking import chunk
from tickertape.embed import choice, lanes, load
from tickertape.text import comparable


def main() -> None:
    """Load what a worker with this environment loads, and serve."""
    settings = settings_module.load(Path.cwd())
    embedder = load(settings)
    limit = min(settings.chunk_tokens, embedder.max_tokens) - embedder.special_tokens
    overlap = min(settings.chunk_overlap_tokens, limit // 2)

    def embed(texts: list[str]) -> dict[str, Any]:
        read = [comparable(text).text for text in texts]  # as a worker's pipeline does
        sequences = [
            piece.ids
            for text, tokens in zip(read, embedder.tokenize(read), strict=True)
            for piece in chunk(text, tokens, limit, overlap)
        ]
        with Clock() as clock:
            lanes.embed(embedder, sequences, settings.batch_tokens)
        return {
            **clock.used,
            "tokens": sum(len(ids) + embedder.special_tokens for ids in sequences),
        }

    def about() -> dict[str, Any]:
        return {"engine": choice.choose(settings).engine, "model": embedder.identity}

    serve({"embed": embed, "about": about})


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
