"""What a folder gives as documents, whatever lies in it."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tickertape.errors import SettingsError, TransientError
from tickertape.settings import Settings
from tickertape.sources import Source, open_source
from tickertape.sources.base import Bookmark, Page, Row, Unread


def source(folder: Path, **config: Any) -> Source:
    tree = {"filings": {"kind": "files", "path": str(folder), **config}}
    return open_source(Settings(_env_file=None, sources=tree), "filings")  # type: ignore[call-arg]


async def pages(made: Source, *marks: Bookmark | None) -> list[Page]:
    return [page async for page in made.pages(*marks)]


async def rows(made: Source, *marks: Bookmark | None) -> list[Row | Unread]:
    return [row for page in await pages(made, *marks) for row in page.rows]


async def only(made: Source) -> Row | Unread:
    (row,) = await rows(made)
    return row


async def test_each_kind_of_file_gives_its_documents_in_the_order_of_paths(tmp_path: Path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.md").write_text("# Third quarter\n\nRevenue rose.")
    (tmp_path / "b" / "c.html").write_text("<title>Acme 8-K</title><p>Debt fell.</p><script>x()")
    (tmp_path / "d.jsonl").write_text('{"id": 7, "text": "Sales grew.", "ticker": "ACME"}\n\n{}\n')
    (tmp_path / "e.csv").write_text("Company;Net sales\nAcme;1,2\n\nBorg;3,4\n")
    (tmp_path / "f.zip").write_bytes(b"PK\x03\x04")
    made = source(tmp_path)
    found = await rows(made)
    assert [row.id for row in found] == [
        *("a.md", "b/c.html", "d.jsonl#7", "d.jsonl#3", "e.csv#2", "e.csv#4")
    ]
    assert await made.count() == len(found)
    texts = [row.text if isinstance(row, Row) else None for row in found]
    assert texts[:3] == ["# Third quarter\n\nRevenue rose.", "Debt fell.", "Sales grew."]
    assert texts[4] == "Company: Acme\nNet sales: 1,2"
    titles = [row.metadata.get("title") for row in found[:2] if isinstance(row, Row)]
    assert titles == ["Third quarter", "Acme 8-K"]
    assert isinstance(found[2], Row)
    assert found[2].metadata == {"id": 7, "ticker": "ACME", "path": "d.jsonl"}
    assert found[3] == Unread("d.jsonl#3", "no text in it")


async def test_a_run_goes_on_behind_any_page(tmp_path: Path):
    for number in range(3):
        lines = [json.dumps({"text": f"row {n}"}) for n in range(700)]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(lines))
    made = source(tmp_path)
    whole = await pages(made)
    assert len(whole) == 5
    ids = [row.id for page in whole for row in page.rows]
    assert len(set(ids)) == 2100
    seen: list[str] = []
    for page in whole:
        seen += [row.id for row in page.rows]
        assert seen + [row.id for row in await rows(made, page.bookmark)] == ids


async def test_what_was_not_touched_since_the_last_run_is_kept_and_not_read(tmp_path: Path):
    for name in ("old.txt", "table.jsonl", "new.txt"):
        (tmp_path / name).write_text('{"text": "Revenue rose."}')
    made = source(tmp_path)
    last = {"begun": time.time_ns() + 3 * 10**9, "path": "", "row": 0}
    (page,) = await pages(made, None, last)
    assert (page.rows, sorted(page.kept)) == ([], ["new.txt", "old.txt", "table.jsonl"])
    assert await made.count(last) == 0
    later = time.time() + 60
    os.utime(tmp_path / "new.txt", (later, later))
    (page,) = await pages(made, None, last)
    assert ([row.id for row in page.rows], len(page.kept)) == (["new.txt"], 2)
    assert await made.count(last) == 1


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("empty.txt", b" \n", "there is no text in it"),
        ("a.txt", b"%PDF-1.7 ...", "it is a PDF, by its content"),
        ("a.md", b"PK\x03\x04....", "it is a zip file, by its content"),
        ("a.html", b"", "not a web page"),
        ("a.html", b"<script>only()</script>", "there is no text in it"),
        ("a.csv", b"name,name\n1,2\n", "two columns have one name"),
        ("a.csv", b'name,text\n1,"never closed\n', "unexpected end of data"),
    ],
)
async def test_a_file_that_cannot_be_read_says_why_and_costs_itself(
    tmp_path: Path, name: str, data: bytes, reason: str
):
    (tmp_path / name).write_bytes(data)
    (tmp_path / "good.txt").write_text("Revenue rose.")
    bad, good = sorted(await rows(source(tmp_path)), key=lambda row: isinstance(row, Row))
    assert isinstance(bad, Unread)
    assert (bad.id, bad.reason[: len(reason)]) == (name, reason)
    assert good.id == "good.txt"


async def test_a_file_over_the_limit_is_not_opened(tmp_path: Path):
    (tmp_path / "large.html").write_bytes(b"x" * 2000)
    found = await only(source(tmp_path, bytes_max=1000))
    assert found == Unread("large.html", "2,000 bytes are over bytes_max (1,000)")


async def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path):
    secret = tmp_path / "secret.txt"
    secret.write_text("of another folder")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.txt").symlink_to(secret)
    (folder / "real.txt").write_text("Revenue rose.")
    (folder / "inner.txt").symlink_to(folder / "real.txt")
    found = {row.id: row for row in await rows(source(folder))}
    assert found["link.txt"] == Unread("link.txt", "a link out of the folder is not followed")
    assert isinstance(found["inner.txt"], Row)
    (tmp_path / "whole").symlink_to(folder)
    assert len(await rows(source(tmp_path / "whole"))) == 3, "the folder itself may be a link"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Umsätze stiegen".encode("latin-1"), "Umsätze stiegen"),
        ("Gewinn: 5 €".encode("cp1252"), "Gewinn: 5 €"),
        ("Umsätze".encode("utf-16"), "Umsätze"),
        ("Revenue rose".encode("utf-16-le"), "Revenue rose"),
        (b"\xef\xbb\xbfRevenue", "Revenue"),
        (b"a\0b", "a b"),
    ],
)
async def test_a_text_is_read_in_its_encoding(tmp_path: Path, data: bytes, text: str):
    (tmp_path / "a.txt").write_bytes(data)
    found = await only(source(tmp_path))
    assert isinstance(found, Row)
    assert found.text == text


async def test_a_table_in_latin_1_with_a_nul_and_of_excel_is_read(tmp_path: Path):
    data = 'sep=;\r\nid;text\r\n1;"Umsätze\nstiegen\0"\r\n2;a;b\r\n'.encode("latin-1")
    (tmp_path / "a.csv").write_bytes(data)
    good, bad = await rows(source(tmp_path, id_field="id", text_fields=["text"]))
    assert isinstance(good, Row)
    assert (good.id, good.text) == ("a.csv#1", "Umsätze\nstiegen ")
    assert bad == Unread("a.csv#3", "3 cells under 2 columns")


async def test_lines_that_are_no_rows_cost_themselves(tmp_path: Path):
    lines = [b'{"text": "one"}', b"not json", '{"text": "Umsätze"}'.encode("latin-1"), b"[1]"]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    found = await rows(source(tmp_path))
    assert [row.id for row in found] == ["a.jsonl#1", "a.jsonl#2", "a.jsonl#3", "a.jsonl#4"]
    assert [isinstance(row, Unread) for row in found] == [False, True, False, True]
    assert isinstance(found[2], Row)
    assert found[2].text == "Umsätze"


async def test_globs_choose_and_what_is_half_written_is_left(tmp_path: Path):
    for name in ("2024/a.txt", "2024/q3/b.txt", "2023/c.txt", "2024/x.txt.part", ".git/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    (tmp_path / "2024" / "~$e.txt").write_text("text")

    async def ids(**config: Any) -> list[str]:
        return [row.id for row in await rows(source(tmp_path, **config))]

    assert await ids() == ["2023/c.txt", "2024/a.txt", "2024/q3/b.txt"]
    assert await ids(include="2024/*.txt") == ["2024/a.txt"]
    assert await ids(include="2024/**/*.txt") == ["2024/a.txt", "2024/q3/b.txt"]
    assert await ids(exclude=["**/q3/**", "2023/**"]) == ["2024/a.txt"]


async def test_a_folder_that_is_not_there_is_an_error_and_not_an_empty_one(tmp_path: Path):
    with pytest.raises(TransientError, match=r"filings: .*No such file"):
        await rows(source(tmp_path / "gone"))
    with pytest.raises(TransientError, match="No such file"):
        await source(tmp_path / "gone").describe()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"bytes_max": 0}, "sources.filings.bytes_max: input should be greater"),
        ({"pth": "x"}, "sources.filings.pth: unknown; expected kind, collection"),
        ({"kind": "ftp"}, "sources.filings.kind: expected one of files"),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_the_field(
    tmp_path: Path, config: dict[str, Any], said: str
):
    with pytest.raises(SettingsError) as error:
        source(tmp_path, **config)
    assert str(error.value).startswith(said)


async def test_a_run_goes_on_behind_a_name_that_is_no_unicode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tickertape.sources.files.PAGE_ROWS", 1)
    for name in (b"\xffa.txt", b"b.txt", b"\xc3\xa9.txt"):
        (tmp_path / os.fsdecode(name)).write_text("Revenue rose.")
    made = source(tmp_path)
    whole = await pages(made)
    ids = [row.id for page in whole for row in page.rows]
    assert sorted(ids) == ids == ["\\xffa.txt", "b.txt", "é.txt"]
    for number, page in enumerate(whole, 1):
        assert [row.id for row in await rows(made, page.bookmark)] == ids[number:]


@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
async def test_what_cannot_be_read_for_a_moment_is_no_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    (tmp_path / name).write_text("text\nRevenue rose.")
    made, opened, code = source(tmp_path), Path.open, errno.EIO

    def fail(path: Path, *how: Any, **named: Any) -> Any:
        if path.name == name:
            raise OSError(code, os.strerror(code))
        return opened(path, *how, **named)

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(TransientError, match=f"filings: {name}: {os.strerror(errno.EIO)}"):
        await rows(made)
    code = errno.EACCES
    assert await only(made) == Unread(name, os.strerror(errno.EACCES))
    monkeypatch.setattr(Path, "open", opened)
    assert isinstance(await only(made), Row)
