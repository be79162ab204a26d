"""Collection and metadata filters as SQL. Values are bound, never written into a statement."""

# ruff: noqa: S608 -- statements are made of constants; values are bound

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from tickertape.errors import InvalidRecord
from tickertape.stores.base import Query
from tickertape.stores.sqlite import read, values
from tickertape.stores.sqlite.signbits import Ids

COMMON = 10_000  # documents counted to find the rarest of several filters

_FIELD = "name = ? AND value IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which documents a query may return.

    ``where`` is a condition on the alias ``d`` of `documents`; ``driver`` yields the ids of a set
    of documents (column ``document``) that holds all of them, the smallest known.
    """

    where: str
    bindings: Sequence[Any]
    driver: str
    driver_bindings: Sequence[Any]


def build(db: apsw.Connection, query: Query) -> Filter | None:
    """Return the query's filter, None where every document may be returned.

    Raises:
        InvalidRecord: a filter's value is not a scalar or a list of scalars.
    """
    fields = [(values.short(name), _wanted(name, value)) for name, value in query.filters.items()]
    if query.collection is None and not fields:
        return None
    conditions: list[str] = []
    bindings: list[Any] = []
    if query.collection is not None:
        conditions.append("d.collection = ?")
        bindings.append(values.bind(query.collection))
    for field in fields:
        conditions.append(f"EXISTS (SELECT 1 FROM fields WHERE document = d.id AND {_FIELD})")
        bindings.extend(field)
    driver, driver_bindings = _driver(db, query, fields)
    return Filter(" AND ".join(conditions), bindings, driver, driver_bindings)


def passing(db: apsw.Connection, ids: Ids, chosen: Filter | None) -> Ids:
    """The chunks among ``ids`` that are there, and that the filter lets through."""
    sql = "SELECT c.id FROM json_each(?) j CROSS JOIN chunks c ON c.id = j.value"
    bindings: tuple[Any, ...] = (json.dumps(ids.tolist()),)
    if chosen is not None:
        sql += f" CROSS JOIN documents d ON d.id = c.document WHERE {chosen.where}"
        bindings += tuple(chosen.bindings)
    return read.ids(db, sql, bindings)


def matching(db: apsw.Connection, chosen: Filter) -> Ids:
    """All chunks that the filter lets through, of every model."""
    return read.ids(
        db,
        f"SELECT c.id FROM ({chosen.driver}) m CROSS JOIN documents d ON d.id = m.document"
        f" CROSS JOIN chunks c ON c.document = d.id WHERE {chosen.where}",
        (*chosen.driver_bindings, *chosen.bindings),
    )


def _driver(
    db: apsw.Connection, query: Query, fields: Sequence[tuple[str, str]]
) -> tuple[str, Sequence[Any]]:
    if not fields:
        return (
            "SELECT id AS document FROM documents WHERE collection = ?",
            (values.bind(query.collection),),
        )
    few = f"SELECT count(*) FROM (SELECT 1 FROM fields WHERE {_FIELD} LIMIT {COMMON})"
    best = fields[0]
    if len(fields) > 1:
        best = min(fields, key=lambda field: int(db.execute(few, field).get))
    return f"SELECT DISTINCT document FROM fields WHERE {_FIELD}", best


def _wanted(name: str, value: Any) -> str:
    """The canonical values a filter accepts, as a JSON list."""
    several = value if isinstance(value, list | tuple | set | frozenset) else [value]
    try:
        return json.dumps([values.canonical(one) for one in several])
    except TypeError as error:
        raise InvalidRecord(f"filters.{name}", "a value or a list of values", value) from error
