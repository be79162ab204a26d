"""PDFs by their pages, and those that cannot be read: each says why, and costs itself alone."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest

from testkit.pdf import encrypted, pdf
from tickertape.settings import Settings
from tickertape.sources import open_source
from tickertape.sources import pdf as reading
from tickertape.sources.base import Row, Unread


async def rows(folder: Path, **config: Any) -> list[Row | Unread]:
    tree = {"filings": {"kind": "files", "path": str(folder), **config}}
    made = open_source(Settings(_env_file=None, sources=tree), "filings")  # type: ignore[call-arg]
    try:
        found = [row async for page in made.pages() for row in page.rows]
        count = await made.count()
        assert count is not None
        assert count >= len(found)
        return found
    finally:
        await made.stop()


async def test_each_page_with_text_is_a_document_that_says_which(tmp_path: Path):
    data = pdf(["Revenue rose.\nDebt fell.", "", "The board met."], title="Third quarter")
    (tmp_path / "q3.pdf").write_bytes(data)
    first, third = await rows(tmp_path)
    assert isinstance(first, Row)
    assert (first.id, first.text) == ("q3.pdf#1", "Revenue rose.\nDebt fell.")
    about = {"path": "q3.pdf", "format": "pdf", "title": "Third quarter", "pages": 3}
    assert first.metadata == {**about, "page": 1}
    assert isinstance(third, Row)
    assert (third.id, third.metadata["page"]) == ("q3.pdf#3", 3)


def bomb() -> bytes:
    """A page whose packed content is half a gigabyte of operators."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"q " * 2**19) for _ in range(512)) + packer.flush()
    head = b"<< /Length %d /Filter /FlateDecode >>" % len(packed)
    made = pdf(["x"])
    at = made.index(b"<< /Length ")
    end = made.index(b"endobj", at)
    return made[:at] + head + b"\nstream\n" + packed + b"\nendstream\n" + made[end:]


WHOLE = pdf(["Revenue rose."])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is broken, or no PDF"),
        (b"<html>not a PDF</html>", "it is broken, or no PDF"),
        (WHOLE[: len(WHOLE) // 3], "it is broken, or no PDF"),
        (encrypted(), "it needs a password"),
        (pdf(["", ""]), "there is no text in its 2 pages: they may be scanned images"),
        (pdf(["x"] * 51), "51 pages are over pages_max (50)"),
    ],
)
async def test_one_that_cannot_be_read_says_why_and_the_next_one_is_read(
    tmp_path: Path, data: bytes, reason: str
):
    (tmp_path / "bad.pdf").write_bytes(data)
    (tmp_path / "good.pdf").write_bytes(WHOLE)
    bad, good = await rows(tmp_path, pages_max=50)
    assert bad == Unread("bad.pdf", reason)
    assert isinstance(good, Row)
    assert good.text == "Revenue rose."


async def test_one_that_takes_the_readers_memory_or_time_ends_the_reader_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "MEMORY_BYTES_MAX", 3 * 2**27)
    monkeypatch.setattr(reading, "PAGE_SECONDS_MAX", 20.0)
    (tmp_path / "bad.pdf").write_bytes(bomb())
    (tmp_path / "good.pdf").write_bytes(WHOLE)
    bad, good = await rows(tmp_path)
    assert isinstance(bad, Unread)
    assert isinstance(good, Row)


async def test_a_reader_that_is_killed_is_started_again(tmp_path: Path):
    (tmp_path / "a.pdf").write_bytes(WHOLE)
    made = reading.PdfReader(10)
    try:
        assert [page.number for page in made.pages(tmp_path / "a.pdf")] == [1]
        assert made._child is not None
        made._child.kill()
        made._child.wait()
        assert [page.number for page in made.pages(tmp_path / "a.pdf")] == [1]
        abandoned = made.pages(tmp_path / "a.pdf")
        next(abandoned)
        abandoned.close()
        assert made.count(tmp_path / "a.pdf") == 1
    finally:
        made.close()
        made.close()
