"""What a user points at, as documents: JSON lines, JSON, texts, folders of them, stdin.

Streams: one document is in memory at a time. A line that is wrong becomes a `Skipped` that says
where, and the next one is read.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import json
import os
import re
import sys
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from tickertape import values
from tickertape.decode import parse
from tickertape.documents import NAMESPACE
from tickertape.encode import to_json
from tickertape.errors import InvalidRecord, PermanentError
from tickertape.text import blank
from tickertape.topics import RECORD_BYTES_MAX

STDIN = "-"
LINES = (".jsonl", ".ndjson", ".json")
TEXTS = (".txt", ".md", ".text", ".markdown")
TEXT_FIELDS = ("text", "content", "body", "sentences", "paragraphs")  # where a text is looked for
ID_FIELDS = ("id", "document_id")
_AT_ONCE = 1 << 16
_HEAD_BYTES = 1 << 10
# Texts by themselves, but their tags and commas are not what they say
PAGES = (".html", ".htm", ".xhtml", ".xml")
TABLES = (".csv", ".tsv")
_PAGE = re.compile(  # a browser that saves one puts a comment before it
    rb"\A\s{0,99}+(?:<!--(?:[^-]|-(?!->)){0,500}+-->\s{0,99}+){0,3}+"
    rb"<(?:!doctype html|html|head|body|\?xml)\b",
    re.IGNORECASE,
)
MARKS = (  # the longer first: one begins with the other
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the topic calls a document's id and its text; ``text`` None: it needs none."""

    id: str = "id"
    text: str | None = "text"


@dataclass(frozen=True, slots=True)
class FeedDocument:
    """A document: its id and its fields. ``where`` is file:line, or the file of a text."""

    id: str
    payload: dict[str, Any]
    where: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """What could not be read, and why. Never the content itself.

    ``passed``: a file of a kind that is not read, in a folder of others. It is no mistake.
    """

    where: str
    reason: str
    passed: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def read(paths: Iterable[str], shape: Shape | None = None) -> Iterator[FeedDocument | Skipped]:
    """Yield the documents of files and folders, in order; ``-`` is stdin.

    .jsonl, .ndjson: an object a line. .json: the same, or one object, or an array of them.
    .txt, .md: a file is a document, whose id is its name, in a folder given that folder's name
    and the path within. Each may end in .gz. A folder is read with all below it, in the order of
    names, without hidden files; what is of another kind there is passed over, and named. A file of
    another kind that is given itself is read as a text where it is one: a page or a table is none.
    UTF-16 and UTF-32 are known by their byte order mark.
    A document without an id gets one made of its content. A text may be an array of strings.
    """
    shape = shape or Shape()
    taken: dict[str, str] = {}  # ids of texts: two files of one name are two documents
    for given in paths:
        if given == STDIN:
            yield from _stdin(shape)
            continue
        path = Path(given)
        if not path.is_dir():
            yield from _file(path, path.name, shape, taken)
            continue
        found = False
        for inner in _below(path):
            if _kind(inner) not in LINES + TEXTS:
                yield Skipped(str(inner), f"passed over: {_not_read(_kind(inner))}", passed=True)
                continue
            found = True
            name = f"{path.resolve().name}/{inner.relative_to(path).as_posix()}"
            yield from _file(inner, name, shape, taken)
        if not found:
            yield Skipped(given, f"no {', '.join(LINES + TEXTS)} in this folder")


def entry(line: bytes, where: str, shape: Shape) -> FeedDocument | Skipped:
    """Return the document of a JSON object, or of a JSON string, which is a text."""
    line = line.strip()
    try:
        payload = parse(b'{"text": %s}' % line if line.startswith(b'"') else line)
        if shape.text:
            payload = _with_text(payload, shape.text)
        given = next((payload.pop(name) for name in ID_FIELDS if name in payload), None)
        id = values.identifier("id", given) or content_id(to_json(values.tree("record", payload)))
    except PermanentError as error:
        return Skipped(where, str(error))
    return FeedDocument(id, {shape.id: id, **payload}, where)


def given(text: str, id: str | None, shape: Shape) -> FeedDocument | Skipped:
    """Return the document of a text that was typed; ``id`` None: one made of its content."""
    if (what := _no_text(text.encode("utf-8", "replace"))) is not None:
        return Skipped("TEXT", f"{what}: `send` takes texts and JSON")
    body = {shape.id: id, shape.text or "text": text}
    return entry(json.dumps(body).encode(), "TEXT", shape)  # a lone surrogate is escaped


def content_id(data: bytes) -> str:
    """Return the id of a document that has none: the same content is the same document."""
    return str(uuid.uuid5(NAMESPACE, hashlib.sha256(data).hexdigest()))


def _with_text(payload: dict[str, Any], field: str) -> dict[str, Any]:
    """The object with its text under the field's name, in one string."""
    for name in (field, *TEXT_FIELDS):
        value = payload.get(name)
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            value = "\n".join(value)
        if isinstance(value, str) and not blank(value):
            return {field: value, **{k: v for k, v in payload.items() if k not in (name, field)}}
    raise InvalidRecord(field, "a non-empty string", values.got(payload.get(field)))


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(parent, name)


def _kind(path: Path) -> str:
    """The suffix that says how to read it, without .gz."""
    return Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()


def _not_read(kind: str) -> str:
    return f"{kind or 'a file without a suffix'} is none of {', '.join(LINES + TEXTS)}"


def _file(
    path: Path, name: str, shape: Shape, taken: dict[str, str]
) -> Iterator[FeedDocument | Skipped]:
    try:
        with _open(path) as stream:
            if _kind(path) in LINES:
                yield from _lines(stream, str(path), shape, whole=_kind(path) == ".json")
            elif _kind(path) in PAGES + TABLES:
                yield Skipped(str(path), _not_read(_kind(path)))
            else:
                yield _text(stream, str(path), name.removesuffix(".gz"), shape, taken)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        yield Skipped(str(path), f"cannot be read: {reason}")


def _open(path: Path) -> IO[bytes]:
    opened = gzip.open if path.suffix == ".gz" else open
    return _as_utf8(cast(io.BufferedReader, opened(path, "rb")))


def _as_utf8(stream: io.BufferedReader) -> IO[bytes]:
    """What begins with the byte order mark of another Unicode form, as UTF-8 read on the way."""
    head = stream.peek(4)[:4]
    form = next((name for mark, name in MARKS if head.startswith(mark)), None)
    return stream if form is None else io.BufferedReader(_Recoded(stream, form))


class _Recoded(io.RawIOBase):
    """A stream in UTF-8 of one in another encoding; what is broken in it is U+FFFD."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        ends = False
        while not self._rest and not ends:
            data = self._stream.read(_AT_ONCE)
            ends = not data
            self._rest = self._decoder.decode(data, final=ends).encode("utf-8", "replace")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def _stdin(shape: Shape) -> Iterator[FeedDocument | Skipped]:
    """JSON lines where the first character that is not blank opens an object, else one text."""
    raw: Any = sys.stdin.buffer
    stream = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
    recoded = _as_utf8(stream)
    stream = recoded if isinstance(recoded, io.BufferedReader) else io.BufferedReader(recoded)
    while stream.peek(1)[:1].isspace():
        stream.read(1)
    if stream.peek(1)[:1] == b"{":
        yield from _lines(stream, "stdin", shape, whole=False)
    else:
        yield _text(stream, "stdin", "", shape, {})


def _text(
    stream: IO[bytes], where: str, name: str, shape: Shape, taken: dict[str, str]
) -> FeedDocument | Skipped:
    data = stream.read(RECORD_BYTES_MAX + 1)
    if len(data) > RECORD_BYTES_MAX:
        return Skipped(where, f"over {RECORD_BYTES_MAX} bytes")
    if (what := _no_text(data)) is not None:
        return Skipped(where, f"{what}: `send` takes texts and JSON")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # what editors wrote before UTF-8
    if blank(text):
        return Skipped(where, "empty")
    if taken.setdefault(name, where) != where:
        return Skipped(where, f"its id would be {name}, which is that of {taken[name]}")
    about = {"title": Path(name).name, "source": name} if name else {}
    id = name or content_id(data)
    return FeedDocument(id, {shape.id: id, shape.text or "text": text, **about}, where)


def _no_text(data: bytes) -> str | None:
    """Say what it is that has been called a text; None where it may be one."""
    if data.startswith(b"%PDF"):
        return "a PDF"
    if b"\0" in data:
        return "not a text, or one in UTF-16 without its byte order mark"
    return "a web page" if _PAGE.match(data[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8)) else None


def _lines(
    stream: IO[bytes], name: str, shape: Shape, *, whole: bool
) -> Iterator[FeedDocument | Skipped]:
    """Each line an object. With ``whole``, a first line that is none by itself begins one JSON
    text over many lines: an array of objects, or an object."""
    number = 0
    while line := stream.readline(RECORD_BYTES_MAX + 1):
        number += 1
        where = f"{name}:{number}"
        if len(line) > RECORD_BYTES_MAX:
            while line and not line.endswith(b"\n"):
                line = stream.readline(RECORD_BYTES_MAX)
            yield Skipped(where, f"over {RECORD_BYTES_MAX} bytes")
        elif line.strip():
            if whole and not _is_object(line):
                yield from _values(stream, line, name, number, shape)
                return
            whole = False
            yield entry(line, where, shape)


def _is_object(line: bytes) -> bool:
    line = line.strip().removeprefix(b"\xef\xbb\xbf")
    return line.startswith(b"{") and line.endswith(b"}")


def _values(
    stream: IO[bytes], head: bytes, name: str, number: int, shape: Shape
) -> Iterator[FeedDocument | Skipped]:
    """The objects of an array, or one object, read piece by piece."""
    rest = io.TextIOWrapper(stream, "utf-8", newline="")
    decoder = json.JSONDecoder()
    try:
        text = head.decode("utf-8-sig").lstrip()
        array = text.startswith("[")
        at = 1 if array else 0
        blank = " \t\r\n," if array else " \t\r\n"
        while True:
            start = at
            while at < len(text) and text[at] in blank:
                at += 1
            number += text.count("\n", start, at)
            if array and text.startswith("]", at):
                return
            end = _end(decoder, text, at)
            if at < end:
                yield entry(text[at:end].encode("utf-8", "replace"), f"{name}:{number}", shape)
                number += text.count("\n", at, end)
                at = end
                continue
            # The longer the value, the more is read at once, so that few attempts are made.
            more = rest.read(max(_AT_ONCE, len(text) - at))
            if not more or len(text) - at > RECORD_BYTES_MAX:
                break
            text, at = text[at:] + more, 0
        if array or at < len(text):
            yield Skipped(f"{name}:{number}", "not JSON from here on")
    except UnicodeDecodeError:
        yield Skipped(f"{name}:{number}", "not UTF-8 from here on")
    finally:
        rest.detach()


def _end(decoder: json.JSONDecoder, text: str, at: int) -> int:
    """Where the JSON value that begins here ends; ``at`` itself where it is not complete."""
    try:
        return decoder.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return at
