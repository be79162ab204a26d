"""Files of a folder as a source: texts, web pages, JSON lines, tables.

The order is that of paths. A file that was not touched since the last run is not read again; what
is gone is told by its absence. Nothing out of the folder is read, whatever a link says.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import errno
import fnmatch
import hashlib
import importlib
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field, field_validator

from tickertape import feed, values
from tickertape.decode import parse
from tickertape.errors import PermanentError, Rejected, TransientError
from tickertape.sources import encoding
from tickertape.sources.base import (
    PAGE_BYTES,
    PAGE_ROWS,
    PART,
    Bookmark,
    Description,
    Page,
    Row,
    SourceConfig,
    Unread,
)
from tickertape.sources.fields import labelled, rest
from tickertape.sources.pdf import PdfReader
from tickertape.text import blank
from tickertape.values import clean

LINE_BYTES_MAX = 16 * 2**20
NOT_YET = ("*.tmp", "*.part", "*.partial", "*.crdownload", "*.swp", "*~", "~$*")
LASTING = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG)
MARGIN_NS = 2 * 10**9  # some file systems keep two seconds
PDFS = (".pdf",)
PAGES = (".html", ".htm", ".xhtml")
LINES = (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv")
BEGINNINGS = ((b"%PDF", "a PDF"), (b"PK\x03\x04", "a zip file"), (b"\x1f\x8b", "gzipped"))
KINDS = (*feed.TEXTS, *PAGES, *PDFS, *LINES, *TABLES)

csv.field_size_limit(LINE_BYTES_MAX)


class FilesConfig(SourceConfig):
    """``include`` and ``exclude`` are globs of the path within ``path``, as ``2024/**/*.html``."""

    path: Path
    include: tuple[str, ...] = ("**",)
    exclude: tuple[str, ...] = ()
    bytes_max: int = Field(64 * 2**20, ge=1)  # of one file
    pages_max: int = Field(10_000, ge=1)  # of one PDF
    id_field: str | None = None  # of JSON lines and tables
    text_fields: tuple[str, ...] = ()

    @field_validator("path")
    @classmethod
    def _whole(cls, value: Path) -> Path:
        return value.expanduser()

    @field_validator("include", "exclude", "text_fields", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _File:
    """A file by its path within the folder. ``touched``: its time, epoch nanoseconds."""

    name: str
    path: Path
    size: int
    touched: int
    modified: float
    refused: str | None = None


Item = Row | Unread


class FilesSource:
    """A file, or a folder with all below it."""

    Config = FilesConfig
    follows = True
    whole = True

    def __init__(self, name: str, config: FilesConfig) -> None:
        self.name = name
        self.config = config
        self._pdf = PdfReader(config.pages_max)

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """End the reader of PDFs. Safe to call twice."""
        await asyncio.to_thread(self._pdf.close)

    async def describe(self) -> Description:
        """Count the files by their kind."""
        files = await asyncio.to_thread(lambda: list(self._files()))
        kinds: dict[str, int] = {}
        for file in files:
            kinds[Path(file.name).suffix.lower()] = kinds.get(Path(file.name).suffix.lower(), 0) + 1
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        size = sum(file.size for file in files)
        facts = (("files", said or "none"), ("bytes", f"{size:,}"))
        return Description("files", str(self.config.path), facts)

    async def fingerprint(self) -> str:
        """Names, sizes and times of all files."""
        return await asyncio.to_thread(self._fingerprint)

    def _fingerprint(self) -> str:
        found = hashlib.blake2b(digest_size=16)
        for file in self._files():
            found.update(f"{file.name}\0{file.size}\0{file.touched}\0{file.refused}\n".encode())
        return found.hexdigest()

    async def count(self, since: Bookmark | None = None) -> int | None:
        """Read what holds several documents, for their number."""
        return await asyncio.to_thread(self._count, since)

    def _count(self, since: Bookmark | None) -> int:
        return sum(self._count_of(file) for file in self._files() if not _as_it_was(file, since))

    def _count_of(self, file: _File) -> int:
        """How many documents a file has; of a PDF, its pages: some may be without text."""
        kind = PurePosixPath(file.name).suffix.lower()
        if file.refused is None and kind in (*LINES, *TABLES):
            return sum(1 for _ in self._items(file))
        if file.refused is None and kind in PDFS:
            with contextlib.suppress(Rejected):
                return self._pdf.count(file.path)
        return 1

    async def pages(
        self, bookmark: Bookmark | None = None, since: Bookmark | None = None
    ) -> AsyncGenerator[Page, None]:
        """Yield the documents by path, and by row within a file."""
        begun = bookmark["begun"] if bookmark else time.time_ns()
        pages = self._pages(bookmark, since, begun)
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            yield page

    def _pages(
        self, bookmark: Bookmark | None, since: Bookmark | None, begun: int
    ) -> Iterator[Page]:
        rows: list[Item] = []
        kept: list[str] = []
        size = 0
        at: Bookmark = bookmark or {"begun": begun, "path": "", "row": 0}
        for file in self._files():
            row = 0
            if bookmark and file.name <= bookmark["path"]:
                if file.name < bookmark["path"]:
                    continue
                row = bookmark["row"]
            if _as_it_was(file, since):
                if not row:
                    kept.append(file.name)
                    at = {"begun": begun, "path": file.name, "row": 1}
            else:
                for item in islice(self._items(file), row, None):
                    row += 1
                    rows.append(item)
                    size += len(item.text) if isinstance(item, Row) else 0
                    at = {"begun": begun, "path": file.name, "row": row}
                    if len(rows) >= PAGE_ROWS or size >= PAGE_BYTES:
                        yield Page(rows, at, kept=kept)
                        rows, kept, size = [], [], 0
            if len(kept) >= 10 * PAGE_ROWS:
                yield Page(rows, at, kept=kept)
                rows, kept, size = [], [], 0
        if rows or kept:
            yield Page(rows, at, kept=kept)

    # Which files there are

    def _files(self) -> Iterator[_File]:
        """Yield them in the order of their paths.

        Raises:
            TransientError: the folder, or one below it, cannot be read: what is in it is not gone.
        """
        top = self.config.path
        try:
            root = top.resolve(strict=True)
            if root.is_file():
                yield self._file(root.parent, root, root.name)
                return
            names = sorted(_below(root), key=lambda name: (_shown(name), name))  # as bookmarks do
        except OSError as error:
            raise TransientError(f"{self.name}: {error.filename}: {error.strerror}") from None
        for name in names:
            if self._is_meant(name):
                try:
                    yield self._file(root, root / name, name)
                except FileNotFoundError:
                    continue  # it is gone meanwhile
                except OSError as error:
                    refused = self._lasting(name, error)
                    yield _File(_shown(name), root / name, 0, time.time_ns(), 0.0, refused)

    def _is_meant(self, name: str) -> bool:
        base = name.rpartition("/")[2]
        if PurePosixPath(name).suffix.lower() not in KINDS:
            return False
        if any(fnmatch.fnmatch(base, pattern) for pattern in NOT_YET):
            return False
        if not any(_matches(name, pattern) for pattern in self.config.include):
            return False
        return not any(_matches(name, pattern) for pattern in self.config.exclude)

    def _file(self, root: Path, path: Path, name: str) -> _File:
        real = path.resolve(strict=True)
        stat = real.stat()
        refused = None
        if not real.is_relative_to(root):
            refused = "a link out of the folder is not followed"
        elif not real.is_file():
            refused = "not a file"
        elif stat.st_size > self.config.bytes_max:
            refused = f"{stat.st_size:,} bytes are over bytes_max ({self.config.bytes_max:,})"
        touched = max(stat.st_mtime_ns, stat.st_ctime_ns, path.lstat().st_ctime_ns)
        return _File(_shown(name), real, stat.st_size, touched, stat.st_mtime, refused)

    def _lasting(self, name: str, error: OSError) -> str:
        """Say why a file cannot be read, where that stays so until it is touched.

        Raises:
            TransientError: it may be read later, and would not be: nobody touches it.
        """
        reason = error.strerror or type(error).__name__
        if error.errno not in LASTING:
            raise TransientError(f"{self.name}: {_shown(name)}: {reason}") from error
        return reason

    # What is in a file

    def _items(self, file: _File) -> Iterator[Item]:
        if file.refused is not None:
            yield Unread(file.name, file.refused)
            return
        kind = PurePosixPath(file.name).suffix.lower()
        read: Callable[[_File], Iterator[Item]] = (
            {**dict.fromkeys(LINES, self._lines), **dict.fromkeys(TABLES, self._table)}
            | dict.fromkeys(PDFS, self._pdf_pages)
        ).get(kind, self._one)
        try:
            yield from read(file)
        except FileNotFoundError:
            return  # it is gone: its absence says so
        except OSError as error:
            yield Unread(file.name, self._lasting(file.name, error))
        except (Rejected, ValueError, csv.Error) as error:
            yield Unread(file.name, str(error))

    def _one(self, file: _File) -> Iterator[Item]:
        """A file that is one document."""
        kind = PurePosixPath(file.name).suffix.lower()
        metadata: dict[str, Any] = {"path": file.name, "format": kind.lstrip(".")}
        if kind in PAGES:
            page = _parser("tickertape.sources.pages", "a web page").read(
                file.path.read_bytes(), _declared(file.path)
            )
            text, metadata["title"] = page.text, page.title
        else:
            text = clean(file.path.read_text(encoding.of_file(file.path), "replace"))
            if (what := _no_text(file.path)) is not None:
                raise Rejected(what)
            metadata["title"] = _heading(text) if kind in (".md", ".markdown") else None
        metadata["title"] = metadata["title"] or file.name.rpartition("/")[2]
        if blank(text):
            raise Rejected("there is no text in it")
        yield Row(file.name, text, metadata, file.modified)

    def _pdf_pages(self, file: _File) -> Iterator[Item]:
        """A document a page: what is found says on which page it stands."""
        for page in self._pdf.pages(file.path):
            metadata = {
                "path": file.name,
                "format": "pdf",
                "title": page.title or file.name.rpartition("/")[2],
                "page": page.number,
                "pages": page.count,
            }
            yield Row(f"{file.name}{PART}{page.number}", page.text, metadata, file.modified)

    def _lines(self, file: _File) -> Iterator[Item]:
        """A file with a JSON object a line."""
        with file.path.open("rb") as stream:
            number = 0
            while line := stream.readline(LINE_BYTES_MAX + 1):
                number += 1
                id = f"{file.name}{PART}{number}"
                if len(line) > LINE_BYTES_MAX:
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(LINE_BYTES_MAX)
                    yield Unread(id, f"a line of over {LINE_BYTES_MAX} bytes")
                elif line.strip(b" \t\r\n\xef\xbb\xbf\0"):
                    yield self._row(file, id, line)

    def _row(self, file: _File, id: str, line: bytes) -> Item:
        try:
            fields = parse(_utf8(line))
        except PermanentError as error:
            return Unread(id, str(error))
        return self._of_fields(file, id, fields)

    def _of_fields(self, file: _File, id: str, fields: dict[str, Any]) -> Item:
        """A document of named fields."""
        chosen = self.config.text_fields
        id_field = self.config.id_field or next((n for n in feed.ID_FIELDS if n in fields), None)
        if not chosen:
            own = [name for name in feed.TEXT_FIELDS if isinstance(fields.get(name), str)]
            chosen = tuple(own[:1]) or tuple(fields)
        try:
            own_id = values.identifier(id_field or "id", fields.get(id_field or "id"))
            if self.config.id_field and own_id is None:
                raise PermanentError(f"{self.config.id_field}: expected an id in each row")
            id = f"{file.name}{PART}{own_id}" if own_id is not None else id
            metadata = values.tree("row", rest(fields, chosen))
        except PermanentError as error:
            return Unread(id, str(error))
        text = labelled(fields, chosen)
        if blank(text):
            return Unread(id, f"no text in {', '.join(chosen[:5]) or 'it'}")
        return Row(id, text, {**metadata, "path": file.name}, file.modified)

    def _table(self, file: _File) -> Iterator[Item]:
        """A table whose first row names its columns."""
        name = encoding.of_file(file.path)
        with file.path.open(encoding=name, errors="replace", newline="") as stream:
            lines = (line.replace("\0", " ") for line in stream)
            first = next(lines, "")
            separator = _separator(first, file.name)
            if first.lower().startswith("sep="):  # as Excel writes it
                first = next(lines, "")
            reader = csv.reader(_chain(first, lines), delimiter=separator, strict=True)
            heads = [head.strip() or f"column {n}" for n, head in enumerate(next(reader, []), 1)]
            if len(set(heads)) < len(heads):
                raise Rejected("two columns have one name")
            for number, cells in enumerate(reader, 2):
                if not any(cell.strip() for cell in cells):
                    continue
                id = f"{file.name}{PART}{number}"
                if len(cells) > len(heads):
                    yield Unread(id, f"{len(cells)} cells under {len(heads)} columns")
                    continue
                yield self._of_fields(file, id, dict(zip(heads, cells, strict=False)))


def _shown(name: str) -> str:
    """A name as an id: one that is no Unicode cannot be one."""
    return clean(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def _as_it_was(file: _File, since: Bookmark | None) -> bool:
    return since is not None and file.touched < since["begun"] - MARGIN_NS and not file.refused


def _below(root: Path) -> Iterator[str]:
    """The paths of the files below, with slashes. A folder that cannot be read is an error."""

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(root, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(parent).relative_to(root)
        for name in names:
            if not name.startswith("."):
                yield (inside / name).as_posix()


def _matches(name: str, pattern: str) -> bool:
    """A glob: ``*`` within a folder's name, ``**`` over folders."""
    return _match(name.split("/"), pattern.strip("/").split("/"))


def _match(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        if len(patterns) == 1:
            return True
        return any(_match(parts[n:], patterns[1:]) for n in range(len(parts) + 1))
    return (
        bool(parts) and fnmatch.fnmatch(parts[0], patterns[0]) and _match(parts[1:], patterns[1:])
    )


def _parser(module: str, what: str) -> Any:
    """A parser that is an extra.

    Raises:
        Rejected: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise Rejected(f"{what} needs {error.name}: pip install -e '.[files]'") from None


def _no_text(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(1024)
    found = next((what for start, what in BEGINNINGS if head.startswith(start)), None)
    return None if found is None else f"it is {found}, by its content"


def _declared(path: Path) -> str | None:
    """The encoding of a page that says none itself: lxml reads what the page says."""
    with path.open("rb") as file:
        head = file.read(4096).lower()
    if b"charset" in head or b"encoding=" in head:
        return None
    return encoding.of_file(path).removesuffix("-sig")


def _heading(text: str) -> str | None:
    for line in text.splitlines()[:50]:
        if line.startswith("#") and (title := line.lstrip("#").strip()):
            return title[:200]
    return None


def _utf8(line: bytes) -> bytes:
    """A line in UTF-8; of Windows' encoding where it is none."""
    line = line.removeprefix(b"\xef\xbb\xbf")
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace").encode()
    return line


def _separator(first: str, name: str) -> str:
    """By its own line, by the suffix, else what the first row has most of."""
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        return first.strip()[4]
    if name.lower().endswith(".tsv"):
        return "\t"
    return max(",;\t|", key=first.count)


def _chain(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines
