"""Files in a form, as documents: read as a folder's are, which is what they become for a moment."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http import HttpProcessingError

from tickertape.errors import TickertapeError
from tickertape.sources.base import Row, Unread
from tickertape.sources.files import KINDS, FilesConfig, FilesSource
from web.errors import Problem, invalid
from web.routes import services_of

FORM = "multipart/form-data"
NAME_CHARACTERS_MAX = 200
FIELDS_MAX = 100
FILES_MAX = 1000


async def read(request: web.Request, most: int) -> list[dict[str, Any]]:
    """Return the documents of a form: those of its files, each with the form's other fields.
    Reading ends with the first beyond ``most``.

    Raises:
        Problem: 400, 413; 422 that names the file, where one cannot be read: none is sent then.
    """
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="tickertape-")
    try:
        fields = await _receive(request, Path(folder.name))
        rows = await _rows(Path(folder.name), most)
    finally:
        await asyncio.to_thread(folder.cleanup)
    wrong = [(row.id, row.reason) for row in rows if isinstance(row, Unread)]
    if wrong:
        raise invalid(wrong)
    return [_document(row, fields) for row in rows if isinstance(row, Row)]


async def _rows(folder: Path, most: int) -> list[Row | Unread]:
    source = FilesSource("upload", FilesConfig(kind="files", path=folder))
    rows: list[Row | Unread] = []
    try:
        async with aclosing(source.pages()) as pages:
            async for page in pages:
                rows += page.rows
                if len(rows) > most:
                    break
    except TickertapeError as error:
        raise Problem(400, str(error)) from None
    finally:
        await source.stop()
    return rows


async def _receive(request: web.Request, folder: Path) -> dict[str, str]:
    """Write the form's files into the folder; return its other fields."""
    fields: dict[str, str] = {}
    names: set[str] = set()
    try:
        async for part in _parts(request):
            if part.filename is None:
                value = await _take(part, None)
                if len(fields) >= FIELDS_MAX:
                    raise invalid([("body", f"expected at most {FIELDS_MAX} fields")])
                fields[(part.name or "")[:NAME_CHARACTERS_MAX]] = value.decode("utf-8", "replace")
                continue
            name = _name(part.filename)
            if name in names:
                raise invalid([(name, "expected once: two files have this name")])
            if len(names) >= FILES_MAX:
                raise invalid([("body", f"expected at most {FILES_MAX} files")])
            names.add(name)
            await _take(part, folder / name)
    except (ValueError, web.RequestPayloadError, HttpProcessingError) as error:
        raise Problem(400, f"The body is no form: {' '.join(str(error).split())[:200]}") from None
    if not names:
        raise invalid([("body", "expected a file")])
    return fields


async def _parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    limit = services_of(request).settings.web_body_bytes_max
    content = cast("StreamReader", _Within(request.content, limit))
    reader = MultipartReader(request.headers, content)
    while (part := await reader.next()) is not None:
        if isinstance(part, MultipartReader):
            raise ValueError("a form within the form")
        yield part


class _Within:
    """A body of at most ``limit`` bytes, whatever they are: boundaries and headers are some, too.

    Raises:
        Problem: 413, when more is read.
    """

    def __init__(self, content: StreamReader, limit: int) -> None:
        self._content = content
        self._left = limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def read(self, size: int = -1) -> bytes:
        return self._counted(await self._content.read(size))

    async def readline(self, **within: int) -> bytes:
        return self._counted(await self._content.readline(**within))

    def unread_data(self, data: bytes) -> None:
        self._left += len(data)
        self._content.unread_data(data)

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise Problem(413, "The body is over TICKERTAPE_WEB_BODY_BYTES_MAX: send fewer files.")
        return data


async def _take(part: BodyPartReader, path: Path | None) -> bytes:
    """Read a part, into a file where one is named."""
    kept: list[bytes] = []
    file = path.open("wb") if path is not None else None
    try:
        while chunk := await part.read_chunk(2**16):
            if file is not None:
                await asyncio.to_thread(file.write, chunk)
            else:
                kept.append(chunk)
    finally:
        if file is not None:
            file.close()
    return b"".join(kept)


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
