"""Roles are how embedding, summarising and serving scale apart: every split is one group."""

from __future__ import annotations

import asyncio
from itertools import combinations

from testkit.system import System, documents
from tickertape.settings import ROLES

SPLITS = [
    (part, tuple(role for role in ROLES if role not in part))
    for size in range(1, len(ROLES) // 2 + 1)
    for part in combinations(ROLES, size)
    if 2 * size < len(ROLES) or ROLES[0] in part
]


async def test_every_split_of_the_roles_over_two_workers(system: System) -> None:
    assert len(SPLITS) == 15
    for number, split in enumerate(SPLITS):
        workers = await asyncio.gather(
            *(system.worker(TICKERTAPE_ROLES=",".join(roles)) for roles in split)
        )
        batch = await system.declare(3)
        sent = documents(3, batch, f"split-{number}")
        await system.send(system.settings.topic_financial_documents, sent)
        for worker in workers:
            state = await system.finished(worker, batch)
            assert (state["status"], state["done"]) == ("completed", 3), split
        for worker in workers:
            await worker.stop()
