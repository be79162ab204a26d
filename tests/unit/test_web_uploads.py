"""Files in a form on POST /documents: read as a folder's are, one batch with the form's fields."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from testkit.pdf import encrypted, pdf
from tests.web_parts import Client, Parts
from web import submission, uploads


@pytest.fixture
def web_settings() -> dict[str, Any]:
    return {"web_body_bytes_max": 100_000}


def form(*files: tuple[str, bytes], **fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for name, value in fields.items():
        made.add_field(name, value)
    for name, data in files:
        made.add_field("file", data, filename=name, content_type="application/octet-stream")
    return made


async def test_files_are_documents_of_one_batch_with_the_fields_of_the_form(
    client: Client, services: Parts
) -> None:
    files = [
        ("q3.pdf", pdf(["Revenue rose.", "Debt fell."], title="Third quarter")),
        ("C:\\notes\\a.md", b"# Note\n\nThe board met."),
        ("p.csv", b"id,text\n7,Sales grew.\n"),
    ]
    answer = await client.post("/documents", data=form(*files, ticker="ACME", desk="rates"))
    body = await answer.json()
    assert answer.status == 202, body
    assert sorted(body["ids"]) == ["a.md", "p.csv#7", "q3.pdf#1", "q3.pdf#2"]
    declared, *sent = services.publisher.sent
    assert orjson.loads(declared.value or b"")["total_documents"] == 4
    values = {value["id"]: value for value in (orjson.loads(r.value or b"") for r in sent)}
    page = values["q3.pdf#2"]
    assert (page["text"], page["title"], page["ticker"]) == ("Debt fell.", "Third quarter", "ACME")
    assert page["metadata"]["page"] == 2
    assert {value["desk"] for value in values.values()} == {"rates"}
    assert {record.topic for record in sent} == {"financial-documents"}


@pytest.mark.parametrize(
    ("files", "status", "field"),
    [
        ([], 422, "body"),
        ([("a.exe", b"MZ")], 422, "a.exe"),
        ([("", b"x")], 422, "body"),
        ([("a.txt", b"x"), ("dir/a.txt", b"y")], 422, "a.txt"),
        ([("good.txt", b"fine"), ("a.pdf", encrypted())], 422, "a.pdf"),
        ([("a.txt", b"x" * 100_001)], 413, None),
        ([(f"{n}.txt", b"") for n in range(800)], 413, None),  # little but headers
    ],
)
async def test_a_form_with_something_wrong_sends_nothing(
    client: Client,
    services: Parts,
    files: list[tuple[str, bytes]],
    status: int,
    field: str | None,
) -> None:
    answer = await client.post("/documents", data=form(*files, ticker="ACME"))
    said = await answer.json(content_type=None)
    assert answer.status == status, said
    assert field is None or said["errors"][0]["field"] == field
    assert services.publisher.sent == []


@pytest.mark.parametrize("boundary", ["; boundary=x", ""])
@pytest.mark.parametrize("body", [b"", b"--x\r\nnot a part", b"--y--\r\n", b"--x\r\n\r\ncut off"])
async def test_what_is_no_form_is_refused(client: Client, boundary: str, body: bytes) -> None:
    media = {"Content-Type": f"multipart/form-data{boundary}"}
    answer = await client.post("/documents", data=body, headers=media)
    assert answer.status in {400, 422}


async def test_nothing_of_an_upload_stays(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for files in ([("a.txt", b"text")], [("a.pdf", b"broken")]):
        await client.post("/documents", data=form(*files))
        assert not any(path.name.startswith("tickertape-") for path in list_of(tmp_path))


async def test_what_comes_before_the_first_file_counts_too(client: Client) -> None:
    media = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await client.post("/documents", data=b"nothing\r\n" * 20_000, headers=media)
    assert answer.status == 413


async def test_too_many_files_or_documents_are_refused_when_they_are_met(
    client: Client, services: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "FILES_MAX", 2)
    answer = await client.post("/documents", data=form(*((f"{n}.txt", b"x") for n in range(3))))
    assert answer.status == 422
    assert "at most 2 files" in await answer.text()
    monkeypatch.setattr(submission, "DOCUMENTS_MAX", 3)
    rows = b"id,text\n" + b"".join(b"%d,Sales grew.\n" % n for n in range(4000))
    answer = await client.post("/documents", data=form(("a.csv", rows), ("b.pdf", b"not read")))
    said = await answer.json()
    assert answer.status == 422
    assert [error["field"] for error in said["errors"]] == ["documents"]
    assert services.publisher.sent == []


async def test_the_disk_holds_nobody_else(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    cleanup = tempfile.TemporaryDirectory.cleanup

    def counted(folder: tempfile.TemporaryDirectory[str]) -> None:
        threads.append(threading.current_thread())
        cleanup(folder)

    monkeypatch.setattr(tempfile.TemporaryDirectory, "cleanup", counted)
    assert (await client.post("/documents", data=form(("a.txt", b"text")))).status == 202
    assert threads
    assert threading.main_thread() not in threads


def list_of(folder: Path) -> list[Path]:
    return list(folder.iterdir())
