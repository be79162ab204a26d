"""Sources: what is configured under `sources` in config.yaml, opened by name.

A record on data-ingestion chooses a configured source and never brings credentials of its own.
"""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from tickertape.documents import NAMESPACE
from tickertape.errors import InvalidRecord, SettingsError
from tickertape.mask import is_secret
from tickertape.settings import Settings
from tickertape.settings.sources import INLINE
from tickertape.sources.base import Source, SourceConfig
from tickertape.values import ID_BYTES_MAX

KINDS = {
    "files": "tickertape.sources.files:FilesSource",
    "postgres": "tickertape.sources.postgres:PostgresSource",
    "edgar": "tickertape.sources.edgar:EdgarSource",
    "webhook": "tickertape.sources.webhook:WebhookSource",
}
DATABASES = frozenset({"postgres"})
# What producers call the kinds
ALIASES = {"file": "files", "folder": "files", "postgresql": "postgres", "pg": "postgres"}


def open_source(settings: Settings, name: str) -> Source:
    """Return a source that has not started.

    Raises:
        SettingsError: it is not configured, or wrongly; one line that names the field.
    """
    tree = settings.sources.get(name)
    if name not in settings.source_names:
        known = ", ".join(settings.source_names) or "none"
        raise SettingsError(f"sources: there is no {name!r} in config.yaml (there: {known})")
    return _build(name, tree)


def check_all(settings: Settings) -> None:
    """Check the configuration of every source, without opening one.

    Raises:
        SettingsError: one line that names the field.
    """
    for name in settings.source_names:
        open_source(settings, name)


def document_id(source: str, id: str) -> str:
    """Return the id of a row's document: no other source's, as a delete is of all collections."""
    whole = f"{source}/{id}".replace("\0", " ").encode("utf-8", "replace").decode()
    if len(whole.encode()) <= ID_BYTES_MAX:
        return whole
    return f"{source}/{uuid.uuid5(NAMESPACE, whole)}"


def _build(name: str, tree: object) -> Source:
    where = f"sources.{name}"
    if not isinstance(tree, Mapping):
        raise SettingsError(f"{where}: expected a mapping, got {type(tree).__name__}")
    kind = str(tree.get("kind", ""))
    kind = ALIASES.get(kind, kind)
    if kind not in KINDS:
        raise SettingsError(f"{where}.kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    module, _, cls = KINDS[kind].partition(":")
    try:
        source = getattr(importlib.import_module(module), cls)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{where}: {error.name} is not installed: pip install -e '.[{kind}]'"
        ) from None
    try:
        config = source.Config.model_validate({**tree, "kind": kind})
    except ValidationError as error:
        raise SettingsError(f"{where}.{_mistake(error, source.Config)}") from None
    return cast(Source, source(name, config))


def _mistake(error: ValidationError, kind: type[BaseModel]) -> str:
    """The first mistake, as ``field: what was expected``; a value may be a secret."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"{field}: unknown; expected {', '.join(kind.model_fields)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{field or 'config'}: {message[0].lower()}{message[1:]}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request names of a source. ``table`` and the fields may be empty."""

    source_id: str | None
    kind: str | None
    connection: Mapping[str, Any]
    table: str | None
    columns: tuple[str, ...] = ()
    text_fields: tuple[str, ...] = ()


def of_request(settings: Settings, wanted: Wanted) -> Source:
    """Return the source that a request means: by its name, else by kind, table, host, port and
    database. It has not started.

    Raises:
        InvalidRecord: there is none, or several, or the request brings a secret that it may not.
        SettingsError: the source is configured wrongly.
    """
    if (secret := _secret(wanted.connection)) is not None:
        if settings.sources.get(INLINE) is not True:
            raise InvalidRecord(
                f"connection_params.{secret}",
                "no credentials: they stand at a source in config.yaml, or are let in by"
                f" sources.{INLINE}",
            )
        return _inline(wanted)
    if wanted.source_id is not None and wanted.source_id in settings.source_names:
        return _open(settings, wanted.source_id, wanted)
    if wanted.kind is None:
        known = ", ".join(settings.source_names) or "none"
        raise InvalidRecord("source_id", f"a configured source ({known})", wanted.source_id)
    kind = ALIASES.get(wanted.kind.lower(), wanted.kind.lower())
    found = [each for each in settings.source_names if _fits(settings.sources[each], kind, wanted)]
    if len(found) == 1:
        return _open(settings, found[0], wanted)
    said = f"{kind} {wanted.table or ''}".strip()
    if not found:
        raise InvalidRecord("db_type", f"a configured source: none in config.yaml is {said}")
    raise InvalidRecord("source_id", f"one of {', '.join(found)}: {said} is in several")


def _open(settings: Settings, name: str, wanted: Wanted) -> Source:
    """Open a configured source. One of a database without a table takes the request's, and is then
    a source of its own."""
    tree = settings.sources[name]
    if ALIASES.get(tree.get("kind", ""), tree.get("kind")) in DATABASES and not tree.get("table"):
        if wanted.table is None:
            raise InvalidRecord("table_or_collection", f"a table: {name} is a whole database")
        more = {"columns": list(wanted.columns), "text_fields": list(wanted.text_fields)}
        chosen = {key: value for key, value in more.items() if value}
        return _build(f"{name}.{wanted.table}", {**tree, **chosen, "table": wanted.table})
    return open_source(settings, name)


def _secret(connection: Mapping[str, Any]) -> str | None:
    """The name of a field that holds a credential."""
    for name, value in connection.items():
        if value and (is_secret(str(name)) or "://" in str(value)):
            return str(name)
    return None


def _inline(wanted: Wanted) -> Source:
    """A source that stands in the request alone."""
    tree = {**wanted.connection, "kind": wanted.kind, "table": wanted.table}
    if wanted.columns:
        tree["columns"] = list(wanted.columns)
    if wanted.text_fields:
        tree["text_fields"] = list(wanted.text_fields)
    name = wanted.source_id or f"{wanted.kind}_{wanted.table}"
    try:
        return _build(name, tree)
    except SettingsError as error:
        field, _, said = str(error).removeprefix(f"sources.{name}.").partition(": ")
        raise InvalidRecord(f"connection_params.{field}", said.rpartition("expected ")[2]) from None


def _fits(tree: object, kind: str, wanted: Wanted) -> bool:
    if not isinstance(tree, Mapping):
        return False
    named = str(tree.get("kind", ""))
    if ALIASES.get(named, named) != kind:
        return False
    place = tree.get("table") or tree.get("path")
    if wanted.table is not None and place is not None and str(place) != wanted.table:
        return False
    asked = {key: wanted.connection.get(key) for key in ("host", "port", "database")}
    return all(
        value is None or str(tree.get(key, value)) == str(value) for key, value in asked.items()
    )


__all__ = [
    "KINDS",
    "Source",
    "SourceConfig",
    "Wanted",
    "check_all",
    "document_id",
    "of_request",
    "open_source",
]
