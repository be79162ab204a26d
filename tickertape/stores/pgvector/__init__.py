"""PostgreSQL with pgvector: see docs/stores.md."""

from tickertape.stores.pgvector.store import PgvectorStore

__all__ = ["PgvectorStore"]
