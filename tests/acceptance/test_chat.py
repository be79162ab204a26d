"""A conversation is any worker's to tell, outlives the one that had it, and is deleted for good."""

from __future__ import annotations

import httpx
import orjson

from testkit.system import System, Worker, until
from tickertape.topics import changelog

USER = "ada"
PATH = f"/chat/history/{USER}"
SECRET = "What did Halvorsen say about Project Nightjar?"


async def told(worker: Worker, items: int) -> None:
    async def there() -> bool:
        return len((await worker.json(PATH)).get("items", [None])) == items

    await until(there, f"{items} items:\n{worker.tail()}")


async def test_a_conversation_is_kept_told_by_all_and_deleted_for_good(system: System) -> None:
    first, second = await system.worker(), await system.worker()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{first.port}", timeout=60) as client:
        asked = await client.post("/chat", json={"user_name": USER, "question": SECRET})
    assert asked.status_code == 200, asked.text
    assert asked.json()["answer"] == "The documents do not say."
    await told(first, 2)
    await told(second, 2)
    await first.kill()
    third = await system.worker()
    await told(third, 2)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{second.port}", timeout=60) as client:
        assert (await client.delete(PATH)).json() == {"user_name": USER, "items": []}
    await told(third, 0)

    async def gone() -> bool:
        records = await system.read(changelog(system.settings.app_id, "history"))
        mine = [record for record in records if orjson.loads(record.key) == USER]
        return bool(mine) and mine[-1].value is None

    await until(gone, "the changelog to end with its removal")
