"""Redis with its search: see docs/stores.md."""

from tickertape.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
