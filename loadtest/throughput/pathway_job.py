"""A Pathway pipeline: a topic, sentence-transformers in Pathway's own batches, SQLite.

Runs in an environment of its own. Usage: ``pathway_job MODULE``, the package of the model.
"""

from __future__ import annotations

import importlib
import sqlite3
import sys
from typing import Any

import pathway as pw
from pathway.internals.parse_graph import G
from pathway.xpacks.llm.embedders import SentenceTransformerEmbedder

from loadtest.throughput.serve import Clock, serve


class _Document(pw.Schema):  # type: ignore[misc]
    document: str
    text: str


def main(module: str) -> None:
    """Load the model and serve."""
    carrier: Any = importlib.import_module(module)
    embedder = SentenceTransformerEmbedder(str(carrier.get_model_path()), device="cpu")

    def consume(brokers: str, topic: str, count: int, database: str) -> dict[str, Any]:
        """Take all that a topic has, and stop."""
        store = sqlite3.connect(database, check_same_thread=False)
        store.execute("CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, text, vector)")
        done = 0

        def keep(key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:  # noqa: ARG001
            nonlocal done
            done += 1
            store.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)",
                (row["document"], row["text"], row["vector"].tobytes()),
            )

        G.clear()
        documents = pw.io.kafka.read(
            {"bootstrap.servers": brokers, "group.id": topic, "auto.offset.reset": "earliest"},
            topic,
            schema=_Document,
            format="json",
            json_field_paths={"document": "/id"},
            mode="static",
        )
        vectors = documents.select(pw.this.document, pw.this.text, vector=embedder(pw.this.text))
        pw.io.subscribe(vectors, on_change=keep, on_time_end=lambda _time: store.commit())
        with Clock() as clock:
            pw.run(monitoring_level=pw.MonitoringLevel.NONE)
            store.commit()
        store.close()
        assert done == count, f"{done} of {count} documents came"
        return clock.used

    serve({"consume": consume})


if __name__ == "__main__":
    main(sys.argv[1])
