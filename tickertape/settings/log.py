"""The log."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from tickertape.settings.section import Section, env


class LogSettings(Section):
    """How much is logged, and where to."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias=env("TICKERTAPE_LOG_LEVEL"), description="Least level logged."
    )
    log_file: Path | None = Field(
        None,
        validation_alias=env("TICKERTAPE_LOG_FILE"),
        description="Log to this file instead of stdout.",
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value
