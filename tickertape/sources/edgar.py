"""Filings of the SEC's EDGAR, by company, form and date: the submissions JSON says which there are,
the archive has them. At most so many requests a second, with the user agent that the SEC asks for.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import orjson
from pydantic import Field, field_validator

from tickertape.errors import Rejected, TransientError
from tickertape.sources import pages as web_pages
from tickertape.sources.base import (
    PART,
    Bookmark,
    Description,
    Page,
    Row,
    SourceConfig,
    Unread,
)
from tickertape.text import blank
from tickertape.values import clean

TIMEOUT_SECONDS = 60.0
TRIES = 4
AGAIN_SECONDS_MAX = 60.0
PAGE_FILINGS = 20  # of a page: each is a request
BYTES_MAX = 256 * 2**20  # of a full submission
PART_CHARACTERS = 400_000  # a longer filing is several documents
LATE = timedelta(days=3)  # a filing may be listed so long after its date
_CIK = re.compile(r"(?:CIK)?0{0,10}([1-9][0-9]{0,9})", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s@]\s[^\s@]{1,100}@[^\s@]{1,100}\Z")
AGENT_CHARACTERS_MAX = 400
_FIELD = re.compile(rb"<(TYPE|SEQUENCE|FILENAME|DESCRIPTION)>([^\r\n<]{0,400})")
_TEXT = re.compile(rb"<TEXT>(.*?)(?:</TEXT>|\Z)", re.DOTALL)
_WRAPPED = re.compile(rb"\A\s{0,99}<(XBRL|XML|PDF)>", re.IGNORECASE)
COLUMNS = ("accessionNumber", "filingDate", "reportDate", "form", "items", "primaryDocument")


class EdgarConfig(SourceConfig):
    """``companies``: tickers or CIKs. ``user_agent``: a name and an e-mail, as the SEC asks for."""

    companies: tuple[str, ...] = Field(min_length=1)
    user_agent: str
    forms: tuple[str, ...] = ("10-K", "10-Q", "8-K")
    since: date = date(2020, 1, 1)
    requests_a_second: float = Field(8.0, gt=0, le=10)
    blocked_seconds: float = Field(660.0, ge=0)  # the SEC's ten minutes, and one more
    data_url: str = "https://data.sec.gov"
    archive_url: str = "https://www.sec.gov"

    @field_validator("companies", "forms", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        values = [value] if isinstance(value, str | int) else value
        return [str(one) for one in values] if isinstance(values, list | tuple) else values

    @field_validator("user_agent")
    @classmethod
    def _named(cls, value: str) -> str:
        named = len(value) <= AGENT_CHARACTERS_MAX and value.count("@") == 1
        if not named or _ADDRESS.search(value) is None:
            raise ValueError("expected a name and an e-mail: 'Acme Research desk@acme.example'")
        return value


@dataclass(frozen=True, slots=True)
class _Filing:
    """A filing as the submissions list it."""

    cik: int
    company: str
    tickers: tuple[str, ...]
    accession: str
    filed: str
    period: str
    form: str
    items: str
    document: str

    @property
    def order(self) -> tuple[str, str]:
        return self.filed, self.accession


class EdgarSource:
    """Filings of some companies."""

    Config = EdgarConfig
    follows = True
    whole = False

    def __init__(self, name: str, config: EdgarConfig) -> None:
        self.name = name
        self.config = config
        self._client: httpx.AsyncClient | None = None
        self._next = 0.0  # monotonic: when the next request may go
        self._pace = asyncio.Lock()

    async def start(self) -> None:
        """Get ready to ask."""
        self._client = httpx.AsyncClient(
            headers={"User-Agent": self.config.user_agent, "Accept-Encoding": "gzip, deflate"},
            timeout=TIMEOUT_SECONDS,
            follow_redirects=True,
        )

    async def stop(self) -> None:
        """Close. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def describe(self) -> Description:
        """Whose filings, and of which forms."""
        companies = [await self._company(cik) for cik in await self._ciks()]
        facts = (
            ("companies", ", ".join(f"{c['name']} ({c['cik']})" for c in companies)),
            ("forms", ", ".join(self.config.forms)),
            ("since", self.config.since.isoformat()),
        )
        return Description("edgar", self.config.archive_url, facts)

    async def fingerprint(self) -> str:
        """The newest filing of each company."""
        found = hashlib.blake2b(digest_size=16)
        for cik in await self._ciks():
            recent = (await self._company(cik))["filings"]["recent"]
            found.update(f"{cik} {recent['accessionNumber'][:1]}\n".encode())
        return found.hexdigest()

    async def count(self, since: Bookmark | None = None) -> int | None:
        """Count what is listed."""
        return sum([len(await self._filings(cik, since)) for cik in await self._ciks()])

    async def pages(
        self, bookmark: Bookmark | None = None, since: Bookmark | None = None
    ) -> AsyncGenerator[Page, None]:
        """Yield the filings by company and date."""
        seen: dict[str, list[str]] = dict((bookmark or since or {}).get("seen", {}))
        for cik in await self._ciks():
            if bookmark is not None and cik < bookmark["cik"]:
                continue
            filings = await self._filings(cik, since)
            if bookmark is not None and cik == bookmark["cik"]:
                filings = [one for one in filings if one.order > tuple(bookmark["after"])]
            for at in range(0, len(filings), PAGE_FILINGS):
                portion = filings[at : at + PAGE_FILINGS]
                rows = [row for filing in portion for row in await self._rows(filing)]
                unread = {row.id for row in rows if isinstance(row, Unread)}  # asked for again
                read = [filing for filing in portion if filing.accession not in unread]
                seen[str(cik)] = _recent(seen.get(str(cik), []), read)
                yield Page(rows, {"cik": cik, "after": list(portion[-1].order), "seen": dict(seen)})

    # Which filings there are

    async def _ciks(self) -> list[int]:
        """The companies' numbers, in order.

        Raises:
            Rejected: a ticker that nobody has.
        """
        found, tickers = set(), []
        for company in self.config.companies:
            match = _CIK.fullmatch(company.strip())
            if match is not None:
                found.add(int(match[1]))
            else:
                tickers.append(company.strip().upper())
        if tickers:
            listed = await self._json(f"{self.config.archive_url}/files/company_tickers.json")
            by_ticker = {str(one["ticker"]).upper(): int(one["cik_str"]) for one in listed.values()}
            for ticker in tickers:
                if ticker not in by_ticker:
                    raise Rejected(f"{self.name}: companies: EDGAR has no ticker {ticker!r}")
                found.add(by_ticker[ticker])
        return sorted(found)

    async def _company(self, cik: int) -> dict[str, Any]:
        found: dict[str, Any] = await self._json(
            f"{self.config.data_url}/submissions/CIK{cik:010}.json"
        )
        return found

    async def _filings(self, cik: int, since: Bookmark | None) -> list[_Filing]:
        """What is listed of a company, oldest first: the page of the recent, and older ones."""
        company = await self._company(cik)
        known = set((since or {}).get("seen", {}).get(str(cik), ()))
        oldest = self.config.since.isoformat()
        if known:
            newest = max(one.partition(" ")[0] for one in known)
            oldest = max(oldest, (date.fromisoformat(newest) - LATE).isoformat())
        lists = [company["filings"]["recent"]]
        for older in company["filings"].get("files", ()):
            if older["filingTo"] >= oldest:
                lists.append(
                    await self._json(f"{self.config.data_url}/submissions/{older['name']}")
                )
        found = {
            filing.accession: filing
            for listed in lists
            for filing in _listed(cik, company, listed)
            if filing.form in self.config.forms
            and filing.filed >= oldest
            and " ".join(filing.order) not in known
        }
        return sorted(found.values(), key=lambda filing: filing.order)

    # What is in one

    async def _rows(self, filing: _Filing) -> list[Row | Unread]:
        try:
            text = await self._text(filing)
        except (Rejected, ValueError) as error:
            return [Unread(filing.accession, str(error))]
        if blank(text):
            return [Unread(filing.accession, "there is no text in it")]
        metadata = {
            "title": f"{filing.company}: {filing.form} of {filing.period or filing.filed}",
            "company": filing.company,
            "ticker": filing.tickers[0] if filing.tickers else None,
            "cik": filing.cik,
            "form": filing.form,
            "period": filing.period or None,
            "filed": filing.filed,
            "accession": filing.accession,
            "items": filing.items.split(",") if filing.items else None,
            "url": self._place(filing, filing.document) if filing.document else None,
        }
        metadata = {name: value for name, value in metadata.items() if value is not None}
        moment = datetime.fromisoformat(filing.filed).replace(tzinfo=UTC).timestamp()
        parts = list(_parts(text))
        if len(parts) == 1:
            return [Row(filing.accession, text, metadata, moment)]
        return [
            Row(
                f"{filing.accession}{PART}{number}",
                part,
                {**metadata, "part": number, "parts": len(parts)},
                moment,
            )
            for number, part in enumerate(parts, 1)
        ]

    async def _text(self, filing: _Filing) -> str:
        """The filing's own document, without exhibits; where that is none to read, what the full
        submission has in its place."""
        document = filing.document
        if document.startswith("xsl") and "/" in document:
            document = document.partition("/")[2]  # a rendering of it
        if document.lower().endswith((".htm", ".html", ".txt")):
            return _read(await self._bytes(self._place(filing, document)))
        whole = await self._bytes(self._place(filing, f"{filing.accession}.txt"))
        return _read(main_document(whole, filing.form))

    def _place(self, filing: _Filing, name: str) -> str:
        folder = filing.accession.replace("-", "")
        return f"{self.config.archive_url}/Archives/edgar/data/{filing.cik}/{folder}/{name}"

    # Asking

    async def _json(self, url: str) -> Any:
        try:
            return orjson.loads(await self._bytes(url))
        except orjson.JSONDecodeError:
            raise TransientError(f"{self.name}: {url} answered with no JSON") from None

    async def _bytes(self, url: str) -> bytes:
        """Ask, again where that may help.

        Raises:
            Rejected: it is not there, or we are not let in.
            TransientError: it does not answer, or not yet.
        """
        said = ""
        for number in range(TRIES):
            try:
                return await self._once(url)
            except _AgainError as error:
                said = str(error)
                if number + 1 < TRIES:
                    await asyncio.sleep(error.seconds or min(2.0**number, AGAIN_SECONDS_MAX))
        raise TransientError(f"{self.name}: {said}")

    async def _once(self, url: str) -> bytes:
        assert self._client is not None, "start() comes first"
        async with self._pace:
            wait = self._next - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self._next = time.monotonic() + 1 / self.config.requests_a_second
        try:
            async with self._client.stream("GET", url) as response:
                body = b""
                parts = []
                size = 0
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size > BYTES_MAX:
                        raise Rejected(f"{url}: over {BYTES_MAX:,} bytes")
                    parts.append(part)
                body = b"".join(parts)
        except httpx.HTTPError as error:
            raise _AgainError(f"{url}: {type(error).__name__}: {error}".rstrip(": ")) from None
        if response.status_code == 200:
            return body
        raise self._refused(url, response, body)

    def _refused(self, url: str, response: httpx.Response, body: bytes) -> Exception:
        """What an answer means that is none: 403 means three things, and its body says which."""
        status = response.status_code
        if b"Undeclared Automated Tool" in body:
            return Rejected(f"{self.name}: user_agent: the SEC does not take it for declared")
        if b"Request Rate Threshold" in body:
            return _AgainError(
                f"{url}: the SEC blocks us: too many requests, perhaps of other machines",
                self.config.blocked_seconds,
            )
        if status in (403, 404):
            return Rejected(f"{url}: it is not there ({status})")
        after = response.headers.get("Retry-After", "")
        seconds = min(float(after), AGAIN_SECONDS_MAX) if after.isdigit() else None
        return _AgainError(f"{url}: HTTP {status}", seconds)


class _AgainError(Exception):
    """It may be asked again, after some seconds."""

    def __init__(self, said: str, seconds: float | None = None) -> None:
        self.seconds = seconds
        super().__init__(said)


def main_document(submission: bytes, form: str) -> bytes:
    """Return the document that a full submission was filed for: of its form's type, else the first;
    never an exhibit, a picture, or what a viewer made.

    Raises:
        Rejected: there is none to read.
    """
    found: list[tuple[bool, bytes]] = []
    for begun in submission.split(b"<DOCUMENT>")[1:]:
        document, ended, _ = begun.partition(b"</DOCUMENT>")
        if not ended:
            continue
        fields = {name: value.strip() for name, value in _FIELD.findall(document[:4000])}
        text = _TEXT.search(document)
        if text is None:
            continue
        content = text[1]
        if (wrapped := _WRAPPED.match(content)) is not None:
            if wrapped[1].upper() != b"XBRL":
                continue
            content = content[wrapped.end() :].replace(b"</XBRL>", b"")
        found.append((fields.get(b"TYPE", b"").decode("latin-1") == form, content))
    if not found:
        raise Rejected("its full submission has no document to read")
    return next((content for mine, content in found if mine), found[0][1])


def _listed(cik: int, company: Mapping[str, Any], listed: Mapping[str, Any]) -> list[_Filing]:
    name, tickers = str(company.get("name", "")), tuple(map(str, company.get("tickers") or ()))
    columns = [listed[column] for column in COLUMNS]
    return [
        _Filing(cik, clean(name), tickers, accession, filed, period or "", form, items, document)
        for accession, filed, period, form, items, document in zip(*columns, strict=True)
    ]


def _recent(seen: Sequence[str], portion: Sequence[_Filing]) -> list[str]:
    """The filings of the last days: what is listed late has an older date."""
    every = [*seen, *(" ".join(filing.order) for filing in portion)]
    if not every:
        return []
    newest = date.fromisoformat(max(every).partition(" ")[0])
    oldest = (newest - LATE).isoformat()
    return sorted(one for one in every if one >= oldest)


def _read(data: bytes) -> str:
    """The text of a document: a page, or plain text with the marks of before 2001."""
    if re.match(rb"\s{0,99}<(?:!doctype|html|\?xml|div|p)\b", data[:200], re.IGNORECASE):
        return web_pages.read(data).text
    text = data.decode("utf-8") if data.isascii() else data.decode("cp1252", "replace")
    return clean(text)


def _parts(text: str) -> Iterator[str]:
    """A long text in parts that end at a paragraph."""
    while len(text) > PART_CHARACTERS:
        cut = text.rfind("\n\n", PART_CHARACTERS // 2, PART_CHARACTERS)
        cut = cut if cut > 0 else PART_CHARACTERS
        yield text[:cut]
        text = text[cut:].lstrip("\n")
    yield text
