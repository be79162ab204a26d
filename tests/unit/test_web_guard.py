"""What a page elsewhere must not reach, and what every error looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.web_parts import Client, Parts, parts, served
from tickertape.errors import InvalidRecord, OutageError, StoreError, TooLarge, TransientError
from web import register
from web.guard import host_name, is_loopback
from web.routes import Reply, Route


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://anything"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
    ],
)
async def test_posts_of_other_sites_are_refused(
    client: Client, services: Parts, headers: dict[str, str], status: int
) -> None:
    answer = await client.post("/stop", headers=headers)
    assert answer.status == status
    assert services.runtime.paused is (status == 200)


async def test_a_post_of_our_own_page_passes_by_its_origin(client: Client) -> None:
    origin = str(client.make_url("/")).rstrip("/")
    assert (await client.post("/stop", headers={"Origin": origin})).status == 200


async def test_other_sites_may_not_delete(client: Client) -> None:
    answer = await client.delete("/documents/a", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:6066", 200),
        ("127.0.0.1", 200),
        ("[::1]:6066", 200),
        ("rebound.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1:6066", 421),
    ],
)
async def test_a_name_rebound_to_loopback_is_refused(
    client: Client, host: str, status: int
) -> None:
    answer = await client.get("/stats", headers={"Host": host})
    assert answer.status == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:6066", 200),
        ("worker", 200),
        ("WORKER:6066", 200),
        ("rebound.example:6066", 421),
        ("10.0.0.1", 421),
        ("", 421),
    ],
)
async def test_names_that_are_set_are_obeyed_wherever_the_server_listens(
    tmp_path: Path, host: str, status: int
) -> None:
    """In a container it listens on 0.0.0.0, and its port is published on loopback."""
    given = {"web_host": "0.0.0.0", "web_allowed_hosts": ("localhost", "Worker")}
    async with parts(tmp_path, **given) as services, served(services) as client:
        answer = await client.get("/stats", headers={"Host": host})
        assert answer.status == status
        if status == 421:
            assert "TICKERTAPE_WEB_ALLOWED_HOSTS" in (await answer.json())["detail"]


async def test_a_probe_may_ask_for_the_address_it_connects_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kubernetes and Prometheus do. A rebound page's script asks for its own name."""
    monkeypatch.setattr("web.guard._own_address", lambda _: "10.1.2.3")
    given = {"web_host": "0.0.0.0", "web_allowed_hosts": ("localhost",)}
    async with parts(tmp_path, **given) as services, served(services) as client:
        assert (await client.get("/livez", headers={"Host": "10.1.2.3:6066"})).status == 200
        assert (await client.get("/livez", headers={"Host": "10.1.2.4:6066"})).status == 421


async def test_a_public_server_takes_any_host(tmp_path: Path) -> None:
    async with parts(tmp_path, web_host="0.0.0.0") as services, served(services) as client:
        assert (await client.get("/stats", headers={"Host": "search.example"})).status == 200


async def test_a_proxys_name_is_allowed_where_the_setting_names_it(tmp_path: Path) -> None:
    allowed = parts(tmp_path, web_allowed_hosts=("search.example",))
    async with allowed as services, served(services) as client:
        assert (await client.get("/stats", headers={"Host": "search.example"})).status == 200
        assert (await client.get("/stats", headers={"Host": "other.example"})).status == 421


def test_hosts_are_read() -> None:
    assert host_name("[::1]:80") == "::1"
    assert host_name("Localhost:1") == "localhost"
    assert host_name("[broken") == ""
    assert is_loopback("127.9.9.9")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("")


async def test_every_answer_has_security_headers(client: Client) -> None:
    for path in ("/health", "/nothing", "/static/app.js", "/docs"):
        headers = (await client.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Server"] == "tickertape"
    page = await client.get("/", headers={"Accept": "text/html"})
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert (await client.get("/stats")).headers["Cache-Control"] == "no-store"


async def test_a_page_that_did_not_change_keeps_the_headers_it_came_with(client: Client) -> None:
    """A browser takes over what a 304 says: a policy without scripts would leave a bare page."""
    page = await client.get("/", headers={"Accept": "text/html"})
    again = {"Accept": "text/html", "If-None-Match": page.headers["ETag"]}
    unchanged = await client.get("/", headers=again)
    assert unchanged.status == 304
    assert "Content-Security-Policy" not in unchanged.headers
    assert "Cache-Control" not in unchanged.headers


FAILURES = {
    "outage": (OutageError("llm is down", dependency="llm", retry_after=7.2), 503, "8"),
    "store": (StoreError("cannot be opened"), 503, "5"),
    "transient": (TransientError("try again"), 503, "5"),
    "invalid": (InvalidRecord("k", "1 to 100", 0), 422, None),
    "large": (TooLarge("over TICKERTAPE_TEXT_BYTES_MAX"), 413, None),
    "bug": (KeyError("secret-value"), 500, None),
}


@pytest.mark.parametrize("prefix", ["/fail", "/v1/fail"])
@pytest.mark.parametrize("name", FAILURES)
async def test_failures_have_the_form_that_clients_expect(
    services: Parts, name: str, prefix: str
) -> None:
    error, status, retry_after = FAILURES[name]

    async def fail(_request: web.Request) -> web.Response:
        raise error

    web_app = web.Application()
    reply = (Reply(200, None, "Never."),)
    register(web_app, lambda: services, [Route("GET", prefix, fail, "Fail", "Test", reply)])
    async with TestClient(TestServer(web_app)) as client:
        answer = await client.get(prefix)
        body = await answer.json(content_type=None)
    assert answer.status == status
    assert answer.headers.get("Retry-After") == retry_after
    assert "secret-value" not in str(body)
    assert "Traceback" not in str(body)
    if prefix == "/fail":
        assert answer.content_type == "application/problem+json"
        assert body["status"] == status
        assert body["title"]
        assert {"type", "detail", "instance"} <= body.keys()
    else:
        assert set(body["error"]) == {"message", "type", "param", "code"}
    if name == "invalid":
        field = body["errors"][0]["field"] if prefix == "/fail" else body["error"]["param"]
        assert field == "k"


async def test_wrong_path_and_method_are_problems(client: Client) -> None:
    missing = await client.get("/nothing")
    assert missing.status == 404
    assert missing.content_type == "application/problem+json"
    wrong = await client.delete("/search")
    assert wrong.status == 405
    assert set(wrong.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}
    assert (await wrong.json(content_type=None))["status"] == 405
