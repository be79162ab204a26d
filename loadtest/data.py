"""Where the texts lie that measurements run on: ``--data``, else the variable LOADTEST_DATA.

It names a folder with what others published, as JSON lines, gzipped or not:

- ``paragraphs.jsonl.gz``: ``id``, ``text`` (TAT-QA's paragraphs of annual reports);
- ``questions.jsonl.gz``: ``question``, ``relevant``: ids of the paragraphs that answer it;
- ``earnings_calls.jsonl.gz``: ``sentences``, ``reference``: a summary's sentences (ECTSum).

Where one file is enough, ``--data`` may name a file of your own instead.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIABLE = "LOADTEST_DATA"
PARAGRAPHS = "paragraphs.jsonl.gz"
QUESTIONS = "questions.jsonl.gz"
CALLS = "earnings_calls.jsonl.gz"


def add_option(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add ``--data``: it becomes the path of the file, or of the folder that has all of several."""
    parser.add_argument(
        "--data",
        type=_finder(names),
        default=os.environ.get(VARIABLE, ""),  # a text: it is looked up like one that is given
        metavar="PATH",
        help=f"the folder with {' and '.join(names)}"
        f"{', or a file like it' if len(names) == 1 else ''} (default: {VARIABLE})",
    )


def rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines, gzipped or not."""
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines()
    return [json.loads(line) for line in lines]


def _finder(names: tuple[str, ...]) -> Callable[[str], Path]:
    def find(text: str) -> Path:
        if not text:
            raise argparse.ArgumentTypeError(
                f"name the folder with {' and '.join(names)} by it or {VARIABLE}"
            )
        path = Path(text).expanduser()
        if len(names) == 1 and path.is_file():
            return path
        for name in names:
            if not (path / name).is_file():
                raise argparse.ArgumentTypeError(
                    f"there is no {path / name}: name the folder that has it by --data "
                    f"or {VARIABLE}"
                )
        return path / names[0] if len(names) == 1 else path

    return find
