"""Tenant, collection and metadata filters as SQL. Values are bound, never written into it."""

# ruff: noqa: S608 -- statements are made of constants; values are bound

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from tickertape.stores.base import Counts, Mode, Query
from tickertape.stores.conditions import Condition, condition
from tickertape.stores.sqlite import read, values
from tickertape.stores.sqlite.signbits import Ids

COMMON = 10_000  # documents counted to find the rarest of several filters
FEW = 500  # documents that are looked up at once: what is near the question need not be tried

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
    few: bool = False  # the driver yields no more than `FEW`


def chosen(db: apsw.Connection, query: Query) -> Filter | None:
    """Return the query's filter, None where every chunk may be returned.

    Vectors of two tenants are in different spaces; words are in one index.

    Raises:
        InvalidRecord: a filter is none.
    """
    narrow = query.collection is not None or query.filters
    if not narrow and (query.mode is Mode.DENSE or _alone(db, query.tenant)):
        return None
    return _build(db, query.tenant, query.collection, query.filters)


def count(
    db: apsw.Connection, collection: str | None, tenant: str, wanted: Mapping[str, Any] | None
) -> Counts:
    """Count documents that are not deleted, and their chunks."""
    where = _build(db, tenant, collection, wanted or {})
    row = db.execute(
        "SELECT count(*), coalesce(sum(d.chunk_count), 0) FROM documents d"
        f" WHERE d.deleted = 0 AND {where.where}",
        tuple(where.bindings),
    ).fetchone()
    assert row is not None
    return Counts(documents=row[0], chunks=row[1])


def _alone(db: apsw.Connection, tenant: str) -> bool:
    """Whether no other tenant has a document."""
    others = " UNION ALL ".join(
        f"SELECT EXISTS (SELECT 1 FROM documents WHERE tenant {than} ?1)" for than in "<>"
    )
    return not any(found for (found,) in db.execute(others, (values.bind(tenant),)))


def _build(
    db: apsw.Connection, tenant: str, collection: str | None, wanted: Mapping[str, Any]
) -> Filter:
    asked = (condition(name, value) for name, value in wanted.items())
    fields = [(each.name, json.dumps(_values(db, each))) for each in asked]
    conditions = ["d.tenant = ?"]
    bindings: list[Any] = [values.bind(tenant)]
    if collection is not None:
        conditions.append("d.collection = ?")
        bindings.append(values.bind(collection))
    whole = " AND ".join(conditions).replace("d.", "")
    driver = f"SELECT id AS document FROM documents WHERE {whole}", tuple(bindings)
    for field in fields:
        conditions.append(f"EXISTS (SELECT 1 FROM fields WHERE document = d.id AND {_FIELD})")
        bindings.extend(field)
    if fields:
        rarest = _rarest(db, fields)
        driver = f"SELECT DISTINCT document FROM fields WHERE {_FIELD}", rarest
    least = f"SELECT count(*) FROM ({driver[0]} LIMIT {FEW + 1})"
    few = bool(fields) and int(db.execute(least, driver[1]).get) <= FEW
    return Filter(" AND ".join(conditions), bindings, *driver, few)


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


def names(db: apsw.Connection, tenant: str) -> list[str]:
    """The fields that a document of the tenant's has, sorted."""
    # From name to name through the index: there are few, and of each as many rows as documents.
    rows = db.execute(
        "WITH RECURSIVE each_name (name) AS (SELECT min(name) FROM fields UNION ALL"
        " SELECT (SELECT min(name) FROM fields WHERE name > n.name) FROM each_name n"
        " WHERE n.name IS NOT NULL)"
        " SELECT n.name FROM each_name n WHERE EXISTS (SELECT 1 FROM fields f"
        " JOIN documents d ON d.id = f.document WHERE f.name = n.name AND d.tenant = ?)",
        (values.bind(tenant),),
    )
    return [name for (name,) in rows]


def known(
    db: apsw.Connection, leaves: Sequence[tuple[str, str]], tenant: str
) -> set[tuple[str, str]]:
    """Those of these fields with their values that a document of the tenant's has."""
    rows = db.execute(
        "SELECT DISTINCT value ->> 0, value ->> 1 FROM json_each(?) j WHERE EXISTS (SELECT 1"
        " FROM fields f JOIN documents d ON d.id = f.document"
        " WHERE f.name = j.value ->> 0 AND f.value = j.value ->> 1 AND d.tenant = ?)",
        (json.dumps(leaves), values.bind(tenant)),
    )
    return {(name, value) for name, value in rows}


def _values(db: apsw.Connection, asked: Condition) -> Sequence[str]:
    """The values that pass, of those that there are of the field, whosever they are."""
    if asked.equal is not None:
        return asked.equal
    rows = db.execute("SELECT DISTINCT value FROM fields WHERE name = ?", (asked.name,))
    return asked.chosen(value for (value,) in rows)


def _rarest(db: apsw.Connection, fields: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """The filter that fewest documents match, of whatever tenant."""
    few = f"SELECT count(*) FROM (SELECT 1 FROM fields WHERE {_FIELD} LIMIT {COMMON})"
    if len(fields) == 1:
        return fields[0]
    return min(fields, key=lambda field: int(db.execute(few, field).get))
