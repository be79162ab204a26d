"""Dead letters over HTTP."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.web_parts import Client, Parts, store_text
from tickertape import topics
from tickertape.errors import BrokerError
from tickertape.mask import mask_text

BAD = b'{"id": "d", "text": 5, "password": "hunter2"}'


async def ids(client: Client, **query: Any) -> list[str]:
    answer = await client.get("/dlq", params=query)
    assert answer.status == 200, await answer.text()
    return [letter["id"] for letter in (await answer.json())["letters"]]


async def test_the_newest_are_first_and_can_be_chosen(client: Client, services: Parts) -> None:
    put = services.letters.put
    first = str(put("text-messages", "a", BAD, "b1"))
    second = str(put("embeddings", "b", BAD, "b2"))
    third = str(put("text-messages", "a", BAD, "b2"))
    assert await ids(client) == [third, second, first]
    assert await ids(client, limit=2) == [third, second]
    assert await ids(client, topic="text-messages") == [third, first]
    assert await ids(client, topic="text-messages-dlq, embeddings") == [third, second, first]
    assert await ids(client, topic="text-messages-parking") == []
    assert await ids(client, key="b") == [second]
    assert await ids(client, batch="b2", key="a") == [third]
    assert await ids(client, error="InvalidRecord", error_class="permanent") == [
        third,
        second,
        first,
    ]
    assert await ids(client, error_class="transient") == []
    assert await ids(client, since="1970-01-01T00:00:01.001Z") == [third, second]
    assert await ids(client, since="1h") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"topic": "secrets"}, "topic"),
        ({"topic": "secrets-dlq"}, "topic"),
        ({"limit": "0"}, "limit"),
        ({"since": "soon"}, "since"),
        ({"error_class": "outage"}, "error_class"),
    ],
)
async def test_a_wrong_filter_is_named(client: Client, query: dict[str, str], field: str) -> None:
    answer = await client.get("/dlq", params=query)
    assert answer.status == 422
    assert (await answer.json(content_type=None))["errors"][0]["field"] == field


async def test_one_letter_is_shown_without_its_secrets(client: Client, services: Parts) -> None:
    place = services.letters.put("text-messages", "d", BAD, "b", **{"x-mine": "1"})
    answer = await client.get(f"/dlq/{place}")
    letter = await answer.json()
    assert "hunter2" not in await answer.text()
    assert letter["payload"]["value"] == {"id": "d", "text": 5, "password": "***"}
    assert letter["reason"] == "text: expected a non-empty string"
    assert letter["original"] == {
        "topic": "text-messages",
        "partition": 0,
        "offset": 0,
        "timestamp": "1970-01-01T00:00:00.001000+00:00",
    }
    assert ["x-mine", "1"] in letter["headers"]
    assert (await client.get("/dlq")).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dlq/text-messages-dlq/0/5", 404),
        ("/dlq/text-messages/0/0", 404),
        ("/dlq/secrets-dlq/0/0", 404),
        ("/dlq/text-messages-dlq/x/0", 422),
    ],
)
async def test_only_dead_letters_of_ours_are_shown(
    client: Client, services: Parts, path: str, status: int
) -> None:
    services.letters.put("secrets", "d", BAD)
    assert (await client.get(path)).status == status


async def test_a_replay(client: Client, services: Parts) -> None:
    place = services.letters.put("text-messages", "d", BAD, "b")
    services.letters.put("text-messages", "e", BAD, "other")
    dry = await (await client.post("/dlq/replay", json={"batch": "b", "dry_run": True})).json()
    assert (dry["dry_run"], dry["replayed"], services.publisher.sent) == (True, 1, [])
    done = await (await client.post("/dlq/replay", json={"batch": "b"})).json()
    assert (done["replayed"], done["parked"], done["failed"], done["more"]) == (1, 0, 0, False)
    assert done["results"] == dry["results"]
    assert done["results"][0] == {
        "id": str(place),
        "action": "replayed",
        "to": "tickertape-text-messages-rekeyed",
        "key": "d",
        "replays": 1,
        "error": None,
    }
    (record,) = [r for r in services.publisher.sent if r.topic == topics.rekeyed("text-messages")]
    assert record.value == BAD
    assert str(place) not in await ids(client)
    assert str(place) in await ids(client, all="true")
    shown = await (await client.get(f"/dlq/{place}")).json()
    assert shown["state"] == "replayed"


async def test_a_replay_by_id_once_and_again(client: Client, services: Parts) -> None:
    place = str(services.letters.put("text-messages", "d", BAD, "b"))
    for again, status in ((False, 200), (False, 422), (True, 200)):
        answer = await client.post("/dlq/replay", json={"ids": [place], "again": again})
        assert answer.status == status, await answer.text()
    records = [r for r in services.publisher.sent if r.topic == topics.rekeyed("text-messages")]
    assert len(records) == 2


async def test_a_limit_says_that_there_may_be_more(client: Client, services: Parts) -> None:
    for n in range(3):
        services.letters.put("text-messages", str(n), BAD)
    found = []
    for _ in range(3):
        answer = await (await client.post("/dlq/replay", json={"all": True, "limit": 2})).json()
        found.append((answer["replayed"], answer["more"]))
    assert found == [(2, True), (1, False), (0, False)]


@pytest.mark.parametrize(
    "body",
    [
        {"ids": ["text-messages-dlq/0"]},
        {"ids": ["text-messages-dlq/0/0"], "batch": "b"},
        {"ids": ["a-dlq/0/0"] * 201},
        {"topic": "text-messages"},
        {"topic": ["elsewhere"]},
        {"limit": 100_000},
        {"rate": "fast", "limit": -1},
    ],
)
async def test_a_wrong_body_replays_nothing(
    client: Client, services: Parts, body: dict[str, Any]
) -> None:
    services.letters.put("text-messages", "d", BAD, "b")
    answer = await client.post("/dlq/replay", json=body)
    assert answer.status == 422, await answer.text()
    assert services.publisher.sent == []


async def test_a_page_elsewhere_cannot_replay(client: Client, services: Parts) -> None:
    services.letters.put("text-messages", "d", BAD, "b")
    answer = await client.post("/dlq/replay", json={}, headers={"Origin": "https://evil.example"})
    assert answer.status == 403
    assert services.publisher.sent == []


async def test_a_documents_dead_letter_is_shown_with_it(client: Client, services: Parts) -> None:
    await store_text(services, "d", "Revenue rose.")
    found = await (await client.get("/documents/d")).json()
    assert (found["dead_letter"], found["unavailable"]) == (None, {})
    services.letters.put("financial-documents", "d", BAD, "b")
    newest = services.letters.put("text-messages", "d", BAD, "b")
    services.letters.put("text-messages", "other", BAD, "b")
    found = await (await client.get("/documents/d")).json()
    assert len(found["documents"]) == 1
    assert found["dead_letter"]["id"] == str(newest)
    assert found["dead_letter"]["reason"] == "text: expected a non-empty string"
    assert "hunter2" not in str(found)


async def test_a_document_that_only_died_is_found(client: Client, services: Parts) -> None:
    assert (await client.get("/documents/d")).status == 404
    place = services.letters.put("text-messages", "d", BAD, "b")
    found = await (await client.get("/documents/d")).json()
    assert (found["documents"], found["dead_letter"]["id"]) == ([], str(place))
    await client.post("/dlq/replay", json={"ids": [str(place)]})
    assert (await client.get("/documents/d")).status == 404


async def test_without_kafka_what_is_stored_is_still_shown(client: Client, services: Parts) -> None:
    await store_text(services, "d", "Revenue rose.")
    services.letters.down = BrokerError("no Kafka broker answers")
    answer = await client.get("/documents/d")
    found = await answer.json()
    assert (answer.status, len(found["documents"]), found["dead_letter"]) == (200, 1, None)
    assert found["unavailable"] == {"dead letters": "no Kafka broker answers"}
    assert (await client.get("/documents/none")).status == 404
    for ask in (client.get("/dlq"), client.post("/dlq/replay", json={"all": True})):
        answer = await ask
        assert answer.status == 503
        assert answer.headers["Retry-After"]


async def test_secrets_are_looked_for_off_the_event_loop(
    client: Client, services: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()

    def watched(*given: Any) -> Any:
        threads.add(threading.get_ident())
        return mask_text(*given)

    monkeypatch.setattr("tickertape.dlq.showing.mask_text", watched)
    monkeypatch.setattr("tickertape.mask.mask_text", watched)
    place = services.letters.put("text-messages", "a", BAD, "b1")
    assert await ids(client) == [str(place)]
    assert (await client.get(f"/dlq/{place}")).status == 200
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(
    "body", [{}, {"limit": 5}, {"dry_run": True}, {"again": True}, {"all": False}, {"ids": []}]
)
async def test_a_replay_says_which_letters(
    client: Client, services: Parts, body: dict[str, Any]
) -> None:
    services.letters.put("text-messages", "a", BAD, "b1")
    answer = await client.post("/dlq/replay", json=body)
    assert answer.status == 422
    assert "all: true" in (await answer.json(content_type=None))["detail"]
    assert services.publisher.sent == []


async def test_a_misspelt_filter_replays_nothing(client: Client, services: Parts) -> None:
    services.letters.put("text-messages", "a", BAD, "b1")
    answer = await client.post("/dlq/replay", json={"batch": "b1", "errorclass": "transient"})
    assert answer.status == 422
    (wrong,) = (await answer.json(content_type=None))["errors"]
    assert wrong["field"] == "errorclass"
    assert "error_class" in wrong["message"]
    assert services.publisher.sent == []


async def test_all_replays_all_that_are_open(client: Client, services: Parts) -> None:
    for key in ("a", "b"):
        services.letters.put("text-messages", key, BAD, "b1")
    done = await (await client.post("/dlq/replay", json={"all": True})).json()
    assert done["replayed"] == 2
    place = services.letters.put("text-messages", "c", BAD, "b1")
    both = await client.post("/dlq/replay", json={"all": True, "ids": [str(place)]})
    assert both.status == 422
