"""Which encoding a file is in: by its mark, its NULs, its own bytes; else as Windows wrote it."""

from __future__ import annotations

import codecs
from pathlib import Path

MARKS = (  # the longer first: one begins with the other
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 4096
_AT_ONCE = 2**20


def of_file(path: Path) -> str:
    """Return the name of the encoding; the whole file is looked at, in pieces. What no UTF-8 is, is
    taken for cp1252, which has a character for nearly every byte.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
        for mark, name in MARKS:
            if head.startswith(mark):
                return name
        if (wide := _wide(head)) is not None:
            return wide
        decoder = codecs.getincrementaldecoder("utf-8")()
        data = head
        try:
            while data:
                decoder.decode(data)
                data = file.read(_AT_ONCE)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _wide(head: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of Western text is a NUL."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = max(len(head) // 2, 4)  # of less nothing can be said
    if odd > half * 0.6 and even < half * 0.1:
        return "utf-16-le"
    if even > half * 0.6 and odd < half * 0.1:
        return "utf-16-be"
    return None
