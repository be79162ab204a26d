"""Conversations: fold what was said into the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

import structlog

from agents.items import routes_of
from tickertape.delivery.outcome import Done, Outcome, Work
from tickertape.delivery.spec import Spec
from tickertape.errors import OutageError
from tickertape.flows import CHAT
from tickertape.history import Change, decode
from tickertape.record import Outgoing
from tickertape.settings import Settings

TABLE = "table:history"

log = structlog.get_logger("tickertape.chat")

Apply = Callable[[Sequence[Change]], list[Outgoing]]
Partition = Callable[[str, int], AbstractContextManager[None]]


def specs(settings: Settings, apply: Apply, partition: Partition) -> list[Spec[Any]]:
    """Return the flow.

    ``apply`` folds changes into the table; ``partition`` is `worker.table_partition`.
    """

    async def handle(works: Sequence[Work[Change]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        try:
            for number, group in groupby(works, key=lambda work: work.record.partition):
                with partition(settings.topic_chat_turns, number):
                    changes = [work.item for work in group]
                    outcomes += [*([Done()] * (len(changes) - 1)), Done(apply(changes))]
        except Exception as error:
            log.exception("fold")
            raise OutageError(f"the table: {error!r}", dependency=TABLE) from error
        return outcomes

    return [
        Spec(
            name=CHAT.name,
            routes=routes_of(CHAT, settings),
            decode=decode,
            handle=handle,
            dependencies=(TABLE,),
            keyed=False,
            windows=1,
            window_records=1000,
        )
    ]
