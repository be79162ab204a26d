"""Files in a form, as documents: read as a folder's are, which is what they become for a moment."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http import HttpProcessingError

from tickertape.errors import TickertapeError
from tickertape.sources.base import Row, Unread
from tickertape.sources.files import KINDS, FilesConfig, FilesSource
from web.errors import Problem, invalid
from web.routes import services_of

FORM = "multipart/form-data"
NAME_CHARACTERS_MAX = 200
FIELDS_MAX = 100


async def read(request: web.Request) -> list[dict[str, Any]]:
    """Return the documents of a form: those of its files, each with the form's other fields.

    Raises:
        Problem: 400, 413; 422 that names the file, where one cannot be read: none is sent then.
    """
    with tempfile.TemporaryDirectory(prefix="tickertape-") as folder:
        fields = await _receive(request, Path(folder))
        config = FilesConfig(kind="files", path=Path(folder))
        source = FilesSource("upload", config)
        try:
            rows = [row async for page in source.pages() for row in page.rows]
        except TickertapeError as error:
            raise Problem(400, str(error)) from None
        finally:
            await source.stop()
    wrong = [(row.id, row.reason) for row in rows if isinstance(row, Unread)]
    if wrong:
        raise invalid(wrong)
    return [_document(row, fields) for row in rows if isinstance(row, Row)]


async def _receive(request: web.Request, folder: Path) -> dict[str, str]:
    """Write the form's files into the folder; return its other fields."""
    fields: dict[str, str] = {}
    left = services_of(request).settings.web_body_bytes_max
    names: set[str] = set()
    try:
        async for part in _parts(request):
            if part.filename is None:
                value, left = await _take(part, left, None)
                if len(fields) >= FIELDS_MAX:
                    raise invalid([("body", f"expected at most {FIELDS_MAX} fields")])
                fields[(part.name or "")[:NAME_CHARACTERS_MAX]] = value.decode("utf-8", "replace")
                continue
            name = _name(part.filename)
            if name in names:
                raise invalid([(name, "expected once: two files have this name")])
            names.add(name)
            _, left = await _take(part, left, folder / name)
    except (ValueError, web.RequestPayloadError, HttpProcessingError) as error:
        raise Problem(400, f"The body is no form: {' '.join(str(error).split())[:200]}") from None
    if not names:
        raise invalid([("body", "expected a file")])
    return fields


async def _parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if isinstance(part, MultipartReader):
            raise ValueError("a form within the form")
        yield part


async def _take(part: BodyPartReader, left: int, path: Path | None) -> tuple[bytes, int]:
    """Read a part, into a file where one is named; return it, and how many bytes are left."""
    kept: list[bytes] = []
    file = path.open("wb") if path is not None else None
    try:
        while chunk := await part.read_chunk(2**16):
            left -= len(chunk)
            if left < 0:
                raise Problem(
                    413, "The body is over TICKERTAPE_WEB_BODY_BYTES_MAX: send fewer files."
                )
            if file is not None:
                file.write(chunk)
            else:
                kept.append(chunk)
    finally:
        if file is not None:
            file.close()
    return b"".join(kept), left


def _name(given: str) -> str:
    """The file's name without any folder: it is written here.

    Raises:
        Problem: 422, a kind that is not read.
    """
    name = given.replace("\\", "/").rpartition("/")[2].strip().lstrip(".").replace("\0", "")
    if not name or len(name.encode()) > NAME_CHARACTERS_MAX:
        raise invalid([("body", f"expected a name of 1 to {NAME_CHARACTERS_MAX} bytes")])
    if Path(name).suffix.lower() not in KINDS:
        raise invalid([(name, f"expected one of {', '.join(KINDS)}")])
    return name


def _document(row: Row, fields: dict[str, str]) -> dict[str, Any]:
    metadata = dict(row.metadata)
    title = metadata.pop("title", None)
    about = {"title": title} if isinstance(title, str) else {}
    return {**about, "metadata": metadata, **fields, "id": row.id, "text": row.text}
