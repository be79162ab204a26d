"""Settings as people see them: their names, their values, what was wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import AliasChoices, SecretStr, ValidationError

from tickertape.settings.whole import Settings


def describe(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return every setting by its environment name: value (secrets hidden), default, text."""
    return {
        env_name(name): {
            "field": name,
            "value": _plain(getattr(settings, name)),
            "default": _plain(info.get_default(call_default_factory=True)),
            "description": info.description,
        }
        for name, info in Settings.model_fields.items()
    }


def env_name(field: str) -> str:
    """Return the environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias
    assert isinstance(alias, AliasChoices)
    return str(alias.choices[0])


def env_names(field: str) -> tuple[str, ...]:
    """Return all environment variables that set a field."""
    alias = Settings.model_fields[field].validation_alias
    assert isinstance(alias, AliasChoices)
    return tuple(map(str, alias.choices))


def mistake(error: ValidationError) -> str:
    """Return the first mistake, as ``NAME: what was expected, got value``; no secret is shown."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    name = env_name(name) if name in Settings.model_fields else name
    field = next((f for f in Settings.model_fields if env_name(f) == name), "")
    # A URL may hold a password, and so may a source
    secret = "key" in field or "url" in field or field == "sources"
    got = "" if secret or "got" in message else f", got {str(first['input'])[:80]!r}"
    return f"{name}: {message[0].lower()}{message[1:]}{got}"


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, dict):  # sources: their names alone, as all else may be a secret
        return ",".join(sorted(map(str, value)))
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    return value
