"""Where things are kept."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tickertape.settings.section import Names, Section, env


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
        description="Names of the stores to write to, comma-separated; the first answers.",
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
