"""setup.cfg names what each part takes; what installs by itself takes the same."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

from tickertape.embed import calibrate, export_env

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def extras() -> dict[str, tuple[str, ...]]:
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", "utf-8")
    section = config["options.extras_require"]
    return {name: tuple(text.split("\n")[1:]) for name, text in section.items()}


def test_the_environments_of_their_own_are_extras(extras: dict[str, tuple[str, ...]]) -> None:
    assert extras["export"] == export_env.REQUIREMENTS
    assert extras["calibrate"] == calibrate.REQUIREMENTS


def test_one_package_has_one_range_of_versions_where_it_runs(
    extras: dict[str, tuple[str, ...]],
) -> None:
    found = {line for names in extras.values() for line in names if line.startswith("openvino")}
    assert len(found) == 1


def test_extras_that_the_pages_name_are_there(extras: dict[str, tuple[str, ...]]) -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    named = {
        name
        for page in pages
        for group in re.findall(r"-e '?\.\[([\w,-]+)\]", page.read_text("utf-8"))
        for name in group.split(",")
    }
    assert "openvino" in named
    assert named <= extras.keys()
