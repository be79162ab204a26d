"""PDFs, page by page. PDFium reads them in a child process with a bound of memory and of time."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tickertape.errors import Rejected
from tickertape.values import clean

CHILD = Path(__file__).with_name("pdf_child.py")
MEMORY_BYTES_MAX = 2 * 2**30  # of its address space
PAGE_SECONDS_MAX = 60.0  # for one page; PDFium itself takes some 7 ms
CHARACTERS_MAX = 200 * 2**20  # of one file
ENDED = "PDFium cannot read it: it takes too much time or memory, or ends the reader"
SAID = {
    "Failed to load document (PDFium: Incorrect password error).": "it needs a password",
    "Failed to load document (PDFium: Data format error).": "it is broken, or no PDF",
    "memory": f"reading it takes over {MEMORY_BYTES_MAX // 2**30} GiB",
}


@dataclass(frozen=True, slots=True)
class PdfPage:
    """A page that has text. ``number`` counts from 1, of ``count``."""

    number: int
    count: int
    text: str
    title: str | None


class PdfReader:
    """Keeps one child for many files. Not thread-safe."""

    def __init__(self, pages_max: int) -> None:
        self._pages_max = pages_max
        self._child: subprocess.Popen[bytes] | None = None
        self._said = bytearray()  # by the child, and not taken yet

    def count(self, path: Path) -> int:
        """Return how many pages a file has.

        Raises:
            Rejected: it cannot be read, or not here.
        """
        for answer in self._answers(path, count=True, first=0):
            return int(answer["end"])
        raise AssertionError("an answer, or an error")

    def pages(self, path: Path, first: int = 0) -> Iterator[PdfPage]:
        """Yield the pages that have text, from ``first`` on (of 0).

        Raises:
            Rejected: the file cannot be read, or not here, or is all images.
        """
        found, count = first > 0, 0
        for answer in self._answers(path, count=False, first=first):
            if "end" in answer:
                count = answer["end"]
                break
            text = clean(answer["text"].replace("\r\n", "\n").replace("\r", "\n"))
            if text.strip():
                found = True
                title = clean(answer["title"]).strip() or None
                yield PdfPage(answer["page"], answer["pages"], text, title)
        if not found:
            raise Rejected(f"there is no text in its {count} pages: they may be scanned images")

    def close(self) -> None:
        """End the child. Safe to call twice."""
        child, self._child = self._child, None
        self._said.clear()
        if child is not None:
            child.kill()
            child.communicate()

    def _answers(self, path: Path, *, count: bool, first: int) -> Iterator[dict[str, Any]]:
        """Yield what the child says up to the end; a child that ends, or is silent for too long, is
        not asked again."""
        child = self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        request = {
            "path": str(path),
            "count": count,
            "first": first,
            "pages_max": self._pages_max,
            "characters_max": CHARACTERS_MAX,
        }
        whole = False
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            while not whole:
                line = self._line(child.stdout.fileno())
                answer = json.loads(line) if line else {"error": ENDED}
                whole = "end" in answer or ("error" in answer and bool(line))
                if "error" in answer:
                    raise Rejected(SAID.get(answer["error"], answer["error"]))
                yield answer
        except BrokenPipeError:
            raise Rejected(ENDED) from None
        finally:
            if not whole:
                self.close()  # what it still says is of this file

    def _line(self, fd: int) -> bytes:
        """The next line of the child's; empty where it ended, or is silent for too long."""
        asked = select.poll()
        asked.register(fd, select.POLLIN)
        while b"\n" not in self._said:
            if not asked.poll(PAGE_SECONDS_MAX * 1000):
                return b""
            if not (data := os.read(fd, 2**16)):
                return b""
            self._said += data
        line, _, rest = self._said.partition(b"\n")
        self._said = bytearray(rest)
        return bytes(line)

    def _started(self) -> subprocess.Popen[bytes]:
        if find_spec("pypdfium2") is None:
            raise Rejected("a PDF needs pypdfium2: pip install -e '.[files]'")
        if self._child is not None and self._child.poll() is not None:
            self.close()
        if self._child is None:
            self._child = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, "-I", str(CHILD), str(MEMORY_BYTES_MAX)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._child
