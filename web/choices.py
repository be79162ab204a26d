"""Names that come from the settings, for the description of the interface."""

from __future__ import annotations

from typing import Any

from tickertape import flows, topics
from tickertape.dlq import entries
from tickertape.settings import Settings
from web.fields import CHOICES


def names(settings: Settings) -> dict[str, list[str]]:
    """Return what fields of each kind take, as their routes check it."""
    known = list(entries.entries(settings))
    return {
        "inputs": [flows.DOCUMENTS.topic(settings), flows.TEXT.topic(settings)],
        "deletable": list(flows.deletable(settings)),
        "letters": [*known, *map(topics.dlq, known), *map(topics.parking, known)],
    }


def filled(schema: Any, found: dict[str, list[str]]) -> Any:
    """Return the schema with the names in place of what stands for them."""
    if isinstance(schema, list):
        return [filled(one, found) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: filled(value, found) for key, value in schema.items() if key != CHOICES}
    if CHOICES in schema:
        choice = {"enum": found[schema[CHOICES]]}
        rest = {key: value for key, value in made.items() if key not in {"type", "anyOf"}}
        return {**rest, **choice}
    return made
