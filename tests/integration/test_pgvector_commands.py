"""The commands of docs/stores.md, on a real PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit import postgres
from testkit.broker import free_port
from tests.contract.store_kit import put
from tickertape.settings import Settings
from tickertape.stores import open_stores

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    server = postgres.shared()
    if server is None:
        pytest.skip(postgres.MISSING)
    schema = postgres.new_schema()
    server.run(
        f"CREATE SCHEMA {schema} AUTHORIZATION guarded", "CREATE EXTENSION IF NOT EXISTS vector"
    )
    server.run("GRANT CREATE ON DATABASE postgres TO guarded")
    yield {
        **{name: value for name, value in os.environ.items() if not name.startswith("TICKERTAPE_")},
        "TICKERTAPE_STORES": "pgvector",
        "DATABASE_URL": server.guarded_url,
        "TICKERTAPE_PGVECTOR_SCHEMA": schema,
        "TICKERTAPE_DATA_DIR": str(tmp_path),
        "TICKERTAPE_BROKER_PORT": str(free_port()),
        "TICKERTAPE_WEB_PORT": str(free_port()),
    }
    server.run(f"DROP SCHEMA {schema} CASCADE")


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_doctor_writes_a_probe_and_shows_no_password(environment: dict[str, str]) -> None:
    done = run(environment, "doctor", "--write", "--json")
    (check,) = [c for c in json.loads(done.stdout) if c["name"] == "store pgvector"]
    assert check["ok"], check
    assert "a probe was written, found and deleted" in check["found"]
    environment["DATABASE_URL"] = environment["DATABASE_URL"].replace("secret", "hunter2")
    done = run(environment, "doctor", "--json")
    (check,) = [c for c in json.loads(done.stdout) if c["name"] == "store pgvector"]
    assert not check["ok"]
    assert "password authentication failed" in check["found"]
    shown = run(environment, "config", "show")
    assert "DATABASE_URL" in shown.stdout
    assert "hunter2" not in done.stdout + done.stderr + shown.stdout + shown.stderr


async def test_the_index_is_built_by_a_command(environment: dict[str, str]) -> None:
    names = {"database_url": "DATABASE_URL", "pgvector_schema": "TICKERTAPE_PGVECTOR_SCHEMA"}
    fields = {field: environment[name] for field, name in names.items()}
    (store,) = open_stores(Settings(stores=("pgvector",), **fields))
    await store.start()
    await store.apply([put("a", "revenue")])
    await store.stop()
    done = run(environment, "stores", "index")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "tests/model@fp32, 16 numbers: an index was built\n"


def test_a_store_without_an_index_is_named(environment: dict[str, str]) -> None:
    done = run({**environment, "TICKERTAPE_STORES": "sqlite"}, "stores", "index")
    assert done.returncode == 1
    assert done.stderr == "Error: TICKERTAPE_STORES: sqlite has no vector index to build\n"
