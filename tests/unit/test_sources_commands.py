"""`sources list | check`, and `ingest --dry-run`: what a source is, without a broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tickertape.cli import ingest, sources
from tickertape.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("Revenue rose.")
    (tmp_path / "notes" / "b.txt").write_bytes(b"%PDF-1.7")
    tree: dict[str, Any] = {
        "notes": {"kind": "files", "path": str(tmp_path / "notes")},
        "gone": {"kind": "files", "path": str(tmp_path / "gone")},
    }
    return Settings(_env_file=None, sources=tree)  # type: ignore[call-arg]


def run(settings: Settings, *words: str) -> Result:
    (one,) = [
        command
        for command in (*sources.commands(lambda: settings), *ingest.commands(lambda: settings))
        if command.name == words[0]
    ]
    return CliRunner().invoke(one, words[1:])


def test_the_list_names_sources_and_kinds(settings: Settings):
    found = run(settings, "sources", "list", "--json")
    assert json.loads(found.output) == [
        {"name": "gone", "kind": "files"},
        {"name": "notes", "kind": "files"},
    ]
    empty = settings.model_copy(update={"sources": {}})
    assert "no sources" in run(empty, "sources", "list").output


def test_a_check_says_what_is_there_and_what_is_wrong(settings: Settings):
    found = run(settings, "sources", "check", "--json")
    gone, notes = json.loads(found.output)
    assert found.exit_code == 1
    assert (notes["ok"], notes["found"].partition(": ")[2]) == (True, "files 2 .txt; bytes 21")
    assert not gone["ok"]
    assert "No such file" in gone["found"]
    assert run(settings, "sources", "check", "notes").exit_code == 0
    unknown = run(settings, "sources", "check", "nope")
    assert unknown.exit_code == 1
    assert "there is no 'nope' in config.yaml (there: gone, notes)" in unknown.output


def test_a_dry_run_reads_all_and_sends_nothing(settings: Settings):
    found = run(settings, "ingest", "notes", "--dry-run", "--json")
    assert found.exit_code == 1
    assert json.loads(found.output) == {
        "documents": 1,
        "characters": 13,
        "unread": 1,
        "reasons": ["b.txt: it is a PDF, by its content"],
    }
    said = run(settings, "ingest", "notes", "--dry-run").output
    assert said.startswith("1 documents, 13 characters; nothing is sent\n1 cannot be read:")
    gone = run(settings, "ingest", "gone", "--dry-run")
    assert (gone.exit_code, "Traceback" in gone.output) == (1, False)
    assert run(settings, "ingest", "nope").exit_code == 1
    assert run(settings, "ingest").exit_code == 2
