"""Where measurements find their texts, and what they say where there are none."""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import pytest

from loadtest import data


def parsed(*given: str, names: tuple[str, ...] = (data.PARAGRAPHS,)) -> Path:
    parser = argparse.ArgumentParser("measure")
    data.add_option(parser, *names)
    found: Path = parser.parse_args(given).data
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(data.VARIABLE, raising=False)
    (tmp_path / data.PARAGRAPHS).write_bytes(gzip.compress(b'{"text": "one"}\n{"text": "two"}\n'))
    return tmp_path


def test_a_folder_is_named_by_the_option_or_the_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parsed("--data", str(folder)) == folder / data.PARAGRAPHS
    monkeypatch.setenv(data.VARIABLE, str(folder))
    assert parsed() == folder / data.PARAGRAPHS
    assert [row["text"] for row in data.rows(parsed())] == ["one", "two"]


def test_a_file_of_ones_own_will_do_where_one_is_enough(folder: Path) -> None:
    own = folder / "own.jsonl"
    own.write_text('{"text": "mine"}\n')
    assert parsed("--data", str(own)) == own
    assert data.rows(own) == [{"text": "mine"}]


def test_where_several_are_needed_it_is_their_folder(folder: Path) -> None:
    (folder / data.QUESTIONS).touch()
    assert parsed("--data", str(folder), names=(data.PARAGRAPHS, data.QUESTIONS)) == folder


@pytest.mark.parametrize("variable", [None, "of a folder without it"])
def test_what_is_missing_is_said_in_one_line(
    variable: str | None,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = f"--data: name the folder with {data.PARAGRAPHS} and {data.QUESTIONS} by it or "
    if variable is not None:
        monkeypatch.setenv(data.VARIABLE, str(folder))
        expected = f"there is no {folder / data.QUESTIONS}: name the folder that has it by --data"
    with pytest.raises(SystemExit) as ended:
        parsed(names=(data.PARAGRAPHS, data.QUESTIONS))
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]
