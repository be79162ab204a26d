"""An offset moves only when the table's change is on the broker: a kill costs no count."""

from __future__ import annotations

from testkit.system import System, documents, until
from tickertape.topics import changelog


async def test_what_the_changelog_has_not_taken_is_folded_again(system: System) -> None:
    settings = system.settings
    slow = await system.worker(app="tests.acceptance.no_changelog")
    batch = await system.declare(5)
    await system.send(settings.topic_text_messages, documents(5, batch))

    async def folded() -> bool:
        return await system.committed(settings.topic_text_messages) == 5

    await until(folded, f"five documents:\n{slow.tail()}")
    # A commit comes every quarter of a second; of other topics there have been some by now.
    assert await system.committed(settings.topic_batch_progress) == 0
    assert await system.read(changelog(settings.app_id, "batches")) == []
    await slow.kill()

    worker = await system.worker()
    state = await system.finished(worker, batch)
    assert (state["status"], state["done"]) == ("completed", 5)
