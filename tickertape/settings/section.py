"""What every section is made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode


class Section(BaseModel):
    """Fields that belong together, with their checks. `Settings` is all sections in one."""


def env(name: str, *more: str) -> Any:
    """The field's environment names, the first one is the one that messages use."""
    return AliasChoices(name, *more)


def split(value: object) -> object:
    """Read a list: of YAML, or comma-separated."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]
Seconds = Annotated[float, Field(ge=0)]
