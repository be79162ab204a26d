"""Deliveries of webhooks: who may send, what a body becomes, and what is refused."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import orjson
import pytest

from tests.web_parts import Client, Parts
from tickertape.errors import PermanentError, SettingsError
from tickertape.settings import Settings
from tickertape.sources import open_source
from tickertape.sources.base import Row
from tickertape.sources.webhook import WebhookSource

SECRET = "a secret of ours"
BODY = json.dumps({"id": 7, "issue": {"title": "Fire", "body": "A line stopped."}}).encode()
MAPPED = {"kind": "webhook", "secret": SECRET, "id_field": "id"}
SOURCES: dict[str, Any] = {
    "github": {
        **MAPPED,
        "signature": "github",
        "text_fields": ["issue.title", "issue.body"],
        "delete_field": "action",
        "delete_values": ["deleted"],
        "collection": "issues",
    },
    "stripe": {**MAPPED, "signature": "stripe", "text_fields": "issue.body"},
    "plain": {"kind": "webhook", "secret": SECRET, "header": "X-Sig", "items": "data.events"},
    "token": {**MAPPED, "signature": "token", "text_fields": "issue.body"},
    "folder": {"kind": "files", "path": "."},
}


@pytest.fixture
def web_settings() -> dict[str, Any]:
    return {"sources": SOURCES}


def digest(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def headers(
    name: str, body: bytes, secret: str = SECRET, now: float | None = None
) -> dict[str, str]:
    moment = str(int(time.time() if now is None else now))
    stripe = digest(moment.encode() + b"." + body, secret)
    return {
        "github": {"X-Hub-Signature-256": f"sha256={digest(body, secret)}"},
        "stripe": {"Stripe-Signature": f"t={moment},v1=00,v1={stripe},v0=x"},
        "plain": {"X-Sig": digest(body, secret).upper()},
        "token": {"Authorization": f"Bearer {secret}"},
    }[name]


async def test_a_signed_delivery_becomes_pieces_and_the_same_again_is_the_same(
    client: Client, services: Parts
) -> None:
    for _ in range(2):
        answer = await client.post("/hooks/github", data=BODY, headers=headers("github", BODY))
        assert (answer.status, (await answer.json())["ids"]) == (202, ["github/7"])
    first, again = (orjson.loads(record.value or b"") for record in services.publisher.sent)
    assert services.publisher.sent[0].topic == "embedding-requests"
    assert services.publisher.sent[0].key == b"github/7"
    assert first["content"] == "issue.title: Fire\nissue.body: A line stopped."
    assert (first["table_name"], first["source"], first["batch_id"]) == ("issues", "github", None)
    assert first["metadata"] == {"id": 7, "issue": {"title": "Fire", "body": "A line stopped."}}
    assert {**first, "timestamp": 0} == {**again, "timestamp": 0}


async def test_a_delete_is_a_tombstone_and_a_list_is_several(
    client: Client, services: Parts
) -> None:
    gone = json.dumps({"id": 7, "action": "deleted"}).encode()
    answer = await client.post("/hooks/github", data=gone, headers=headers("github", gone))
    assert answer.status == 202
    (record,) = services.publisher.sent
    assert (record.key, record.value) == (b"github/7", None)
    many = json.dumps({"data": {"events": [{"text": "one"}, {"text": "two"}]}}).encode()
    answer = await client.post("/hooks/plain", data=many, headers=headers("plain", many))
    assert len(set((await answer.json())["ids"])) == 2


@pytest.mark.parametrize(
    ("state", "gone"), [(True, True), (1, True), ("true", True), (False, False), (None, False)]
)
def test_a_delete_may_be_told_by_a_boolean(state: Any, gone: bool) -> None:
    config = {**MAPPED, "delete_field": "deleted", "delete_values": ["true", "1", ""]}
    settings = Settings(_env_file=None, sources={"s": config})  # type: ignore[call-arg]
    made = open_source(settings, "s")
    assert isinstance(made, WebhookSource)
    (item,) = made.read({"id": 7, "text": "Revenue rose.", "deleted": state}).items
    assert item == "7" if gone else isinstance(item, Row)


@pytest.mark.parametrize("name", ["github", "stripe", "plain", "token"])
async def test_who_does_not_know_the_secret_is_refused(
    client: Client, services: Parts, name: str
) -> None:
    other = BODY.replace(b"Fire", b"Flood")
    wrong: list[dict[str, str]] = [{}, headers(name, BODY, "another secret")]
    wrong += [dict.fromkeys(headers(name, BODY), ""), dict.fromkeys(headers(name, BODY), "é=,")]
    if name != "token":
        wrong.append(headers(name, other))
    if name == "stripe":
        wrong += [headers(name, BODY, now=time.time() - 301), {"Stripe-Signature": "t=x,v1=y"}]
    for given in wrong:
        answer = await client.post(f"/hooks/{name}", data=BODY, headers=given)
        assert answer.status == 401, given
    assert services.publisher.sent == []
    good = BODY if name != "plain" else b'{"data": {"events": []}}'
    answer = await client.post(f"/hooks/{name}", data=good, headers=headers(name, good))
    assert answer.status == 202


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, None),
        (b"[]", 422, "body"),
        (b'{"issue": {"title": "x"}}', 422, "id"),
        (b'{"id": 7}', 422, "issue.title, issue.body"),
        (b'{"id": 7, "issue": "x"}', 422, "issue.title, issue.body"),
    ],
)
async def test_a_body_that_is_not_as_mapped_names_the_field(
    client: Client, services: Parts, body: bytes, status: int, field: str | None
) -> None:
    answer = await client.post("/hooks/github", data=body, headers=headers("github", body))
    said = await answer.json(content_type=None)
    assert answer.status == status, said
    assert field is None or said["errors"][0]["field"] == field
    assert services.publisher.sent == []


@pytest.mark.parametrize("name", ["nope", "folder"])
async def test_what_takes_no_deliveries_is_not_there(client: Client, name: str) -> None:
    assert (await client.post(f"/hooks/{name}", data=BODY)).status == 404


async def test_it_is_not_read_and_its_configuration_is_checked() -> None:
    settings = Settings(_env_file=None, sources=SOURCES)  # type: ignore[call-arg]
    source = open_source(settings, "github")
    with pytest.raises(PermanentError, match="POST /hooks/github"):
        _ = [page async for page in source.pages()]
    for config, said in (
        ({"secret": "short"}, "secret: "),
        ({"delete_field": "x"}, "delete_field goes with delete_values"),
        ({"watch_seconds": 1}, "watch_seconds: nothing is looked at"),
        ({"delete_field": "x", "delete_values": "y", "id_field": None}, "delete_field needs"),
    ):
        tree = {"hook": {**SOURCES["stripe"], **config}}
        with pytest.raises(SettingsError, match=said) as error:
            open_source(Settings(_env_file=None, sources=tree), "hook")  # type: ignore[call-arg]
        assert SECRET not in str(error.value)
