"""The commands of docs/stores.md, on real servers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit import postgres
from testkit import redis as redis_server
from testkit.broker import free_port
from tests.contract.store_kit import put
from tickertape.settings import Settings
from tickertape.stores import open_stores

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def pgvector() -> Iterator[dict[str, str]]:
    server = postgres.shared()
    if server is None:
        pytest.skip(postgres.MISSING)
    schema = postgres.new_schema()
    server.run(
        f"CREATE SCHEMA {schema} AUTHORIZATION guarded", "CREATE EXTENSION IF NOT EXISTS vector"
    )
    server.run("GRANT CREATE ON DATABASE postgres TO guarded")
    yield {"DATABASE_URL": server.guarded_url, "TICKERTAPE_PGVECTOR_SCHEMA": schema}
    server.run(f"DROP SCHEMA {schema} CASCADE")


@contextlib.contextmanager
def redis() -> Iterator[dict[str, str]]:
    server = redis_server.shared()
    if server is None:
        pytest.skip(redis_server.MISSING)
    server.guard()
    prefix = redis_server.new_prefix()
    yield {"REDIS_URL": server.guarded_url, "TICKERTAPE_REDIS_PREFIX": prefix}
    redis_server.drop(server, prefix)


# The settings of a store, and what its server says of a wrong password
SERVERS = {
    "pgvector": (pgvector, "password authentication failed"),
    "redis": (redis, "invalid username-password pair"),
}


@pytest.fixture(params=SERVERS)
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a shell has that names one of them."""
    serving, _ = SERVERS[request.param]
    with serving() as named:
        yield {
            **{n: value for n, value in os.environ.items() if not n.startswith("TICKERTAPE_")},
            **named,
            "TICKERTAPE_STORES": request.param,
            "TICKERTAPE_DATA_DIR": str(tmp_path),
            "TICKERTAPE_BROKER_PORT": str(free_port()),
            "TICKERTAPE_WEB_PORT": str(free_port()),
        }


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


def test_doctor_writes_a_probe_to_the_store_with_faiss(tmp_path: Path) -> None:
    environment = {
        **{n: value for n, value in os.environ.items() if not n.startswith("TICKERTAPE_")},
        "TICKERTAPE_STORES": "faiss",
        "TICKERTAPE_DATA_DIR": str(tmp_path),
        "TICKERTAPE_BROKER_PORT": str(free_port()),
        "TICKERTAPE_WEB_PORT": str(free_port()),
    }
    done = run(environment, "doctor", "--write", "--json")
    (check,) = [c for c in json.loads(done.stdout) if c["name"] == "store faiss"]
    assert check["ok"], check
    assert list(tmp_path.glob("tickertape-faiss.db*"))


def test_doctor_writes_a_probe_and_shows_no_password(environment: dict[str, str]) -> None:
    name = environment["TICKERTAPE_STORES"]
    done = run(environment, "doctor", "--write", "--json")
    (check,) = [c for c in json.loads(done.stdout) if c["name"] == f"store {name}"]
    assert check["ok"], check
    assert "a probe was written, found and deleted" in check["found"]
    url = next(iter(environment.keys() & {"DATABASE_URL", "REDIS_URL"}))
    environment[url] = environment[url].replace("secret", "hunter2")
    done = run(environment, "doctor", "--json")
    (check,) = [c for c in json.loads(done.stdout) if c["name"] == f"store {name}"]
    assert not check["ok"]
    assert SERVERS[name][1] in check["found"]
    assert check["found"].count(SERVERS[name][1]) == 1
    shown = run(environment, "config", "show")
    assert url in shown.stdout
    assert "hunter2" not in done.stdout + done.stderr + shown.stdout + shown.stderr


@pytest.mark.parametrize("environment", ["pgvector"], indirect=True)
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


@pytest.mark.parametrize("environment", ["redis"], indirect=True)
def test_a_store_without_an_index_is_named(environment: dict[str, str]) -> None:
    done = run(environment, "stores", "index")
    assert done.returncode == 1
    assert done.stderr == "Error: TICKERTAPE_STORES: redis has no vector index to build\n"
