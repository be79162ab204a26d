"""EDGAR as a source, against a server that answers in its formats."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tickertape.errors import PermanentError, SettingsError, TransientError
from tickertape.settings import Settings
from tickertape.sources import edgar, open_source
from tickertape.sources.base import Bookmark, Page, Row, Unread

AGENT = "Acme Research desk@acme.example"
COLUMNS = ("accessionNumber", "filingDate", "reportDate", "form", "items", "primaryDocument")
Filing = tuple[str, str, str, str, str, str]

K24: Filing = ("0000001-24-000001", "2024-02-01", "2023-12-31", "10-K", "", "k.htm")
Q24: Filing = ("0000001-24-000002", "2024-05-01", "2024-03-31", "10-Q", "", "xslF/q.htm")
EIGHT: Filing = ("0000001-24-000003", "2024-05-02", "", "8-K", "2.02,9.01", "")
PROXY: Filing = ("0000001-24-000004", "2024-05-03", "", "DEF 14A", "", "p.htm")
K19: Filing = ("0000001-19-000001", "2019-02-01", "2018-12-31", "10-K", "", "old.htm")
K21: Filing = ("0000001-21-000001", "2021-02-01", "2020-12-31", "10-K", "", "k21.txt")

SUBMISSION = b"""<SEC-HEADER>
COMPANY CONFORMED NAME:\t\tACME
</SEC-HEADER>
<DOCUMENT>
<TYPE>EX-99.1
<SEQUENCE>2
<TEXT>
An exhibit.
</TEXT>
</DOCUMENT>
<DOCUMENT>
<TYPE>GRAPHIC
<TEXT>
begin 644 a.jpg
</TEXT>
</DOCUMENT>
<DOCUMENT>
<TYPE>8-K
<SEQUENCE>1
<TEXT>
<XBRL>
<html><body><div style="display:none"><ix:header>us-gaap</ix:header></div>
<p>Sales of $<ix:nonFraction>4.2</ix:nonFraction> million.</p></body></html>
</XBRL>
</TEXT>
</DOCUMENT>"""


class Sec:
    """The SEC's servers, as far as they are asked."""

    def __init__(self) -> None:
        self.recent: list[Filing] = [PROXY, EIGHT, Q24, K24]
        self.older: list[Filing] = [K21, K19]
        self.asked: list[str] = []
        self.agents: set[str] = set()
        self.refuse: dict[str, list[web.Response]] = {}
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        self.agents.add(request.headers["User-Agent"])
        name = request.path.rpartition("/")[2]
        if self.refuse.get(name):
            return self.refuse[name].pop(0)
        if name == "company_tickers.json":
            return web.json_response({"0": {"cik_str": 1, "ticker": "ACME", "title": "Acme"}})
        if name == "CIK0000000001.json":
            older = [{"name": "older.json", "filingFrom": "2019-02-01", "filingTo": "2021-02-01"}]
            return web.json_response(
                {
                    "cik": "1",
                    "name": "ACME CORP",
                    "tickers": ["ACME"],
                    "filings": {"recent": table(self.recent), "files": older},
                }
            )
        texts = {
            "older.json": None,
            "k.htm": b"<html><body><p>Revenue rose.</p></body></html>",
            "q.htm": b"<html><body><p>" + b"Debt fell.</p><p>" * 60_000 + b"</p></body></html>",
            "k21.txt": b"<PAGE>\nSales grew \x96 again.",
            f"{EIGHT[0]}.txt": SUBMISSION,
        }
        if name == "older.json":
            return web.json_response(table(self.older))
        if texts.get(name) is None:
            return web.Response(status=403, body=b"<Error><Code>AccessDenied</Code></Error>")
        return web.Response(body=texts[name])


def table(filings: list[Filing]) -> dict[str, list[str]]:
    return {name: [filing[n] for filing in filings] for n, name in enumerate(COLUMNS)}


@pytest.fixture
async def sec() -> AsyncIterator[Sec]:
    found = Sec()
    app = web.Application()
    app.router.add_get("/{path:.*}", found.answer)
    async with TestServer(app) as server:
        found.url = str(server.make_url("")).rstrip("/")
        yield found


def source(sec: Sec, **config: Any) -> edgar.EdgarSource:
    tree = {
        "kind": "edgar",
        "companies": "acme",
        "user_agent": AGENT,
        "data_url": sec.url,
        "archive_url": sec.url,
        "requests_a_second": 10,
        "blocked_seconds": 0,
        **config,
    }
    settings = Settings(_env_file=None, sources={"filings": tree})  # type: ignore[call-arg]
    made = open_source(settings, "filings")
    assert isinstance(made, edgar.EdgarSource)
    return made


async def pages(made: edgar.EdgarSource, *marks: Bookmark | None) -> list[Page]:
    await made.start()
    try:
        return [page async for page in made.pages(*marks)]
    finally:
        await made.stop()


async def rows(made: edgar.EdgarSource, *marks: Bookmark | None) -> list[Row | Unread]:
    return [row for page in await pages(made, *marks) for row in page.rows]


async def test_filings_are_read_oldest_first_with_what_is_known_of_them(sec: Sec):
    first, second, *parts, last = await rows(source(sec))
    assert sec.agents == {AGENT}
    assert [one.id for one in (first, second, last)] == [K21[0], K24[0], EIGHT[0]]
    assert isinstance(first, Row)
    assert first.text == "<PAGE>\nSales grew \u2013 again."
    assert isinstance(second, Row)
    assert second.text == "Revenue rose."
    assert second.timestamp == 1_706_745_600.0
    assert second.metadata == {
        "title": "ACME CORP: 10-K of 2023-12-31",
        "company": "ACME CORP",
        "ticker": "ACME",
        "cik": 1,
        "form": "10-K",
        "period": "2023-12-31",
        "filed": "2024-02-01",
        "accession": K24[0],
        "url": f"{sec.url}/Archives/edgar/data/1/000000124000001/k.htm",
    }
    assert [part.id for part in parts] == [f"{Q24[0]}#{n}" for n in range(1, len(parts) + 1)]
    texts = [part.text for part in parts if isinstance(part, Row)]
    assert len(texts) == len(parts) == 2
    assert "\n\n".join(texts).count("Debt fell.") == 60_000
    assert isinstance(last, Row)
    assert (last.text, last.metadata["items"]) == ("Sales of $4.2 million.", ["2.02", "9.01"])


async def test_a_run_goes_on_behind_a_page_and_the_next_reads_what_is_new(
    sec: Sec, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(edgar, "PAGE_FILINGS", 1)
    made = source(sec)
    whole = await pages(made)
    assert len(whole) == 4
    ids = [row.id for row in await rows(made, whole[1].bookmark)]
    assert ids == [row.id for page in whole[2:] for row in page.rows]
    last = whole[-1].bookmark
    sec.asked.clear()
    assert await rows(made, None, last) == []
    assert not [path for path in sec.asked if "Archives" in path], "nothing is fetched again"
    late: Filing = ("0000001-24-000009", "2024-05-01", "", "8-K", "", "k.htm")
    new: Filing = ("0000001-24-000010", "2024-06-01", "", "10-Q", "", "k.htm")
    sec.recent = [new, late, *sec.recent]
    assert [row.id for row in await rows(made, None, last)] == [late[0], new[0]]
    await made.start()
    assert (await made.count(), await made.count(last)) == (6, 2)
    before = await made.fingerprint()
    assert await made.fingerprint() == before
    sec.recent = [("0000001-24-000011", "2024-06-02", "", "8-K", "", "k.htm"), *sec.recent]
    assert await made.fingerprint() != before
    described = dict((await made.describe()).facts)
    assert described["companies"] == "ACME CORP (1)"
    await made.stop()


async def test_forms_dates_and_numbers_choose(sec: Sec):
    found = await rows(
        source(sec, companies=["CIK0000000001", 1], forms="10-K", since="2023-01-01")
    )
    assert [row.id for row in found] == [K24[0]]
    assert not [path for path in sec.asked if path.endswith(("older.json", "tickers.json"))]
    with pytest.raises(PermanentError, match="filings: companies: EDGAR has no ticker 'NOPE'"):
        await rows(source(sec, companies="nope"))


async def test_a_filing_that_is_not_there_yet_is_asked_for_again(sec: Sec):
    made = source(sec, forms="8-K")
    sec.refuse[f"{EIGHT[0]}.txt"] = [web.Response(status=404)]
    (page,) = await pages(made)
    assert isinstance(page.rows[0], Unread)
    (page,) = await pages(made, None, page.bookmark)
    assert isinstance(page.rows[0], Row)
    assert await rows(made, None, page.bookmark) == []


def blocked() -> web.Response:
    return web.Response(status=403, body=b"<h1>Request Rate Threshold Exceeded</h1>")


async def test_a_refusal_is_read_by_its_body(sec: Sec, monkeypatch: pytest.MonkeyPatch):
    config = {"forms": "10-K", "since": "2023-01-01"}
    sec.refuse["k.htm"] = [blocked(), web.Response(status=429, headers={"Retry-After": "0"})]
    (row,) = await rows(source(sec, **config))
    assert isinstance(row, Row)
    sec.refuse["k.htm"] = [web.Response(status=404)]
    (row,) = await rows(source(sec, **config))
    assert isinstance(row, Unread)
    assert row.reason.endswith("k.htm: it is not there (404)")
    sec.refuse["k.htm"] = [blocked() for _ in range(edgar.TRIES)]
    with pytest.raises(TransientError, match="the SEC blocks us"):
        await rows(source(sec, **config))
    sec.refuse["CIK0000000001.json"] = [
        web.Response(status=403, body=b"Your Request Originates from an Undeclared Automated Tool")
    ]
    with pytest.raises(PermanentError, match="user_agent"):
        await rows(source(sec, **config))
    monkeypatch.setattr(edgar, "AGAIN_SECONDS_MAX", 0.01)
    with pytest.raises(TransientError, match="ConnectError"):
        await rows(source(sec, **config, companies="1", data_url="http://127.0.0.1:1"))


async def test_no_more_is_asked_a_second_than_is_let(sec: Sec):
    began = time.monotonic()
    await rows(source(sec, requests_a_second=10))
    assert time.monotonic() - began >= (len(sec.asked) - 1) / 10 - 0.01


@pytest.mark.parametrize("agent", ["", "python-httpx/0.27", "desk@acme.example"])
def test_the_user_agent_names_somebody(sec: Sec, agent: str):
    with pytest.raises(SettingsError, match=r"sources\.filings\.user_agent: expected a name"):
        source(sec, user_agent=agent)


@pytest.mark.parametrize(
    ("submission", "text"),
    [
        (SUBMISSION.replace(b"<TYPE>8-K", b"<TYPE>8-K/A"), b"An exhibit."),
        (SUBMISSION.replace(b"\n", b"\r\n"), b"<html>"),
        (b"<DOCUMENT><TYPE>8-K\n<TEXT>1995: never ended</DOCUMENT>", b"1995"),
    ],
)
def test_the_right_document_of_many(submission: bytes, text: bytes):
    assert text in edgar.main_document(submission, "8-K")
    with pytest.raises(PermanentError, match="no document"):
        edgar.main_document(b"<SEC-HEADER></SEC-HEADER>", "8-K")
