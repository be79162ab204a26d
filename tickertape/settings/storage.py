"""Where things are kept."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from tickertape.settings.section import Names, Seconds, Section, env


class StorageSettings(Section):
    """Folders and stores."""

    data_dir: Path = Field(
        Path(".tickertape"),
        validation_alias=env("TICKERTAPE_DATA_DIR"),
        description="Folder of all the embedded parts: SQLite, models, broker, Faust's tables.",
    )
    models_dir: Path | None = Field(
        None,
        validation_alias=env("TICKERTAPE_MODELS_DIR"),
        description="Folder of the model cache. Unset: models/ in the data folder.",
    )
    stores: Names = Field(
        ("sqlite",),
        validation_alias=env("TICKERTAPE_STORES"),
        description="Names of stores, comma-separated. The first answers, the others follow it.",
    )
    store_timeout_seconds: Seconds = Field(
        30.0,
        gt=0,
        validation_alias=env("TICKERTAPE_STORE_TIMEOUT"),
        description="Longest wait for one answer of a store that is a server.",
    )
    database_url: SecretStr | None = Field(
        None,
        validation_alias=env("DATABASE_URL"),
        description="PostgreSQL of the store pgvector, postgresql://user:password@host/database.",
    )
    pgvector_schema: str = Field(
        "tickertape",
        pattern="^[a-z_][a-z0-9_]{0,62}$",
        validation_alias=env("TICKERTAPE_PGVECTOR_SCHEMA"),
        description="Schema of that database which is Tickertape's alone.",
    )
    pgvector_halfvec: bool = Field(
        False,
        validation_alias=env("TICKERTAPE_PGVECTOR_HALFVEC"),
        description="Keep vectors there in half precision: half the space. Fixed once it is made.",
    )
    redis_url: SecretStr | None = Field(
        None,
        validation_alias=env("REDIS_URL"),
        description="Server of the store redis, redis://user:password@host:6379; rediss:// by TLS.",
    )
    redis_prefix: str = Field(
        "tickertape",
        pattern="^[A-Za-z0-9_.-]{1,64}$",
        validation_alias=env("TICKERTAPE_REDIS_PREFIX"),
        description="What the names of all keys there begin with, which are Tickertape's alone.",
    )
    faiss_half: bool = Field(
        False,
        validation_alias=env("TICKERTAPE_FAISS_HALF"),
        description="Vectors of the store faiss in half precision: half the memory.",
    )
    offline: bool = Field(
        False,
        validation_alias=env("TICKERTAPE_OFFLINE"),
        description="Never ask the model hub.",
    )

    @property
    def model_cache(self) -> Path:
        """The folder of the model cache."""
        return self.models_dir or self.data_dir / "models"
