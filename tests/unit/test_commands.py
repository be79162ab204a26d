"""What `faust -A app` takes beside our commands, and what its help says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def typed(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", *words],
        cwd=ROOT,
        env={**os.environ, "KAFKA_BROKERS": "localhost:1", **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "now"),
    [(("write", "a-topic", "--key", "3", "x"), "send"), (("create-topic", "a"), "topics create")],
)
def test_commands_of_other_programs_say_what_is_typed_here(
    words: tuple[str, ...], now: str
) -> None:
    found = typed(*words)
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        f"Error: there is no command '{words[0]}'; type: faust -A app {now}"
        + (" [TOPIC] TEXT" if now == "send" else " [NAME...]")
    ]


def test_the_workers_help_shows_what_is_in_force() -> None:
    said = " ".join(typed("worker", "--help", TICKERTAPE_WEB_PORT="7077").stdout.split())
    assert "(TICKERTAPE_WEB_PORT: 7077)" in said
    assert "(TICKERTAPE_WEB_HOST: 127.0.0.1)" in said
    assert "(TICKERTAPE_LOG_LEVEL: info)" in said
    for wrong in ("0.0.0.0", "WARN", "stderr"):
        assert wrong not in said


def test_a_misspelt_setting_stops_the_start_with_one_line() -> None:
    found = typed("worker", TICKERTAPE_WEBPORT="1")
    assert found.returncode == 1
    assert found.stderr == "TICKERTAPE_WEBPORT: unknown setting; is TICKERTAPE_WEB_PORT meant?\n"
