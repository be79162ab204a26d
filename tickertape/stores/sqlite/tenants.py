"""Everything was one tenant's: what has a tenant now is told so."""

# ruff: noqa: S608 -- statements are made of constants

from __future__ import annotations

import apsw

from tickertape.documents import DEFAULT_TENANT
from tickertape.stores.sqlite.tables import OF_TENANTS


def separate(db: apsw.Connection) -> None:
    """Write each table anew with the tenant in its key, which SQLite cannot add."""
    for name, (columns, indexes) in OF_TENANTS.items():
        old = [row[1] for row in db.execute(f"PRAGMA table_info({name})").fetchall()]
        listed = ", ".join(f'"{column}"' for column in old)
        db.execute(f"CREATE TABLE {name}_anew {columns}")
        db.execute(
            f"INSERT INTO {name}_anew (tenant, {listed}) SELECT ?, {listed} FROM {name}",
            (DEFAULT_TENANT,),
        )
        db.execute(f"DROP TABLE {name}; ALTER TABLE {name}_anew RENAME TO {name}; {indexes}")
