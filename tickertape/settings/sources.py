"""Sources: a tree of config.yaml. What each kind takes is checked where it is opened."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from tickertape.settings.section import Section, env

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
INLINE = "allow_inline"  # among the sources: a request may bring credentials of its own


def _tree(value: object) -> object:
    """Read a tree: of YAML, or JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("expected JSON: an object of sources by name") from None


class SourceSettings(Section):
    """What is ingested, and how far ahead of embedding."""

    sources: Annotated[dict[str, Any], NoDecode, BeforeValidator(_tree)] = Field(
        default_factory=dict,
        validation_alias=env("TICKERTAPE_SOURCES"),
        description="The sources that may be ingested, by name, with their credentials: a tree of "
        "config.yaml (docs/sources.md), or JSON.",
    )
    ingest_ahead_max: int = Field(
        20_000,
        ge=1000,
        validation_alias=env("TICKERTAPE_INGEST_AHEAD_MAX"),
        description="Documents of one ingest that wait to be embedded; at this number it waits.",
    )

    @property
    def source_names(self) -> list[str]:
        """The configured sources."""
        return sorted(name for name in self.sources if name != INLINE)

    @field_validator("sources")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, tree in value.items():
            if NAME.fullmatch(name) is None:
                raise ValueError(f"expected names of letters, digits and _.-, got {name[:100]!r}")
            if name == INLINE:
                if not isinstance(tree, bool):
                    raise ValueError(f"expected true or false under {INLINE}")
            elif not isinstance(tree, dict):
                raise ValueError(f"expected a mapping under {name}")
        return value
