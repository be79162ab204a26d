"""An answer as JSON's values: what routes, commands and tools show of it, field by field."""

from __future__ import annotations

from typing import Any

from tickertape.answer.base import Answer, Reference, Statement


def shown(answer: Answer) -> dict[str, Any]:
    """Return all of it."""
    return {
        "answer": answer.text,
        "found": answer.found,
        "sources": [source_shown(source) for source in answer.sources],
        "sentences": [_sentence(sentence) for sentence in answer.sentences],
        "model": answer.model,
        "cut": answer.cut,
        "usage": {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "total_tokens": answer.total_tokens,
        },
        "took_ms": round(answer.took_ms, 2),
    }


def source_shown(source: Reference) -> dict[str, Any]:
    """Return a source; ``title`` is None where its document has none."""
    hit = source.hit
    title = hit.metadata.get("title")
    return {
        "number": source.number,
        "id": hit.key.id,
        "collection": hit.key.collection,
        "title": title if isinstance(title, str) else None,
        "text": hit.text,
        "chunk": hit.ordinal,
        "chunk_count": hit.chunk_count,
        "score": hit.score,
        "metadata": dict(hit.metadata),
    }


def _sentence(sentence: Statement) -> dict[str, Any]:
    return {
        "text": sentence.text,
        "sources": list(sentence.sources),
        "cited": sentence.cited,
        "unknown": list(sentence.unknown),
        "figures": [{"text": f.text, "stands": f.stands} for f in sentence.figures],
        "supported": sentence.supported,
    }
