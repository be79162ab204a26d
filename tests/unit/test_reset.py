"""`reset` deletes what it says, after asking, and nothing while somebody works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.web_parts import parts, store_text
from tickertape.broker.users import Users
from tickertape.cli import reset
from tickertape.settings import Settings


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """A data folder as a worker leaves it, with a document in its store."""
    async with parts(tmp_path) as services:
        await store_text(services, "d", "Revenue rose.")
    for name in ("faust/6066/x", "broker/data/text-messages-0/0.log", "broker/log", "models/m/x"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 1000)
    return Settings(_env_file=None, data_dir=tmp_path)


def run(settings: Settings, *arguments: str, answer: str | None = None) -> Result:
    (command,) = reset.commands(lambda: settings)
    return CliRunner().invoke(command, arguments, input=answer)


def names(settings: Settings) -> set[str]:
    return {
        path.relative_to(settings.data_dir).as_posix()
        for path in settings.data_dir.rglob("*")
        if path.is_file()
    }


async def test_all_that_is_said_is_deleted_and_models_stay(settings: Settings) -> None:
    before = names(settings)
    assert "tickertape.db" in before
    dry = run(settings, "--dry-run", "--json")
    assert names(settings) == before
    assert {Path(each["where"]).name for each in json.loads(dry.stdout)["deleted"]} == {
        *("tickertape.db", "faust", "data")
    }
    assert run(settings, "--yes").exit_code == 0
    assert names(settings) == {"models/m/x", "broker/lock"}
    assert "nothing is there" in run(settings, "--yes").stdout
    async with parts(settings.data_dir) as services:
        assert (await services.stores[0].count()).documents == 0


@pytest.mark.parametrize(("answer", "deleted"), [("y\n", True), ("n\n", False), ("", False)])
async def test_it_asks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, answer: str, deleted: bool
) -> None:
    monkeypatch.setattr(reset, "_is_terminal", lambda: True)
    found = run(settings, answer=answer)
    assert found.exit_code == (0 if deleted else 1)
    assert "store sqlite: documents, vectors, summaries" in found.stdout
    assert "stays: models" in found.stdout
    assert ("tickertape.db" in names(settings)) is not deleted


async def test_without_a_terminal_it_wants_a_yes(settings: Settings) -> None:
    before = names(settings)
    for arguments in ((), ("--json",)):
        found = run(settings, *arguments)
        assert found.exit_code == 2
        assert "--yes" in found.stderr
    assert names(settings) == before


async def test_while_a_worker_uses_the_broker_nothing_is_deleted(settings: Settings) -> None:
    users = Users(settings.data_dir / "broker" / "users")
    users.add()  # this process, which lives
    before = names(settings)
    found = run(settings, "--yes")
    assert found.exit_code == 1
    assert "stop the worker first" in found.stderr
    assert names(settings) - {"broker/lock"} == before
    users.remove()
    assert run(settings, "--yes").exit_code == 0
