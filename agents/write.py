"""Vectors made elsewhere into the stores: vector-updates, and what others put on embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from agents.items import STATES, batch_of, changed, routes_of, tombstone, uncovered
from models import Embedding, VectorUpdate
from models.base import text_entry
from tickertape import flows
from tickertape.decode import Limits
from tickertape.delivery.outcome import Done, Failed, Outcome, State, Work
from tickertape.delivery.spec import Spec
from tickertape.documents import DocumentKey
from tickertape.errors import InvalidRecord
from tickertape.flows import Flow
from tickertape.pipeline import Embedded, Item, Removal, id_of
from tickertape.record import Record
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.spaces import space_of, unnamed


def specs(settings: Settings, services: Callable[[], Services]) -> list[Spec[Item]]:
    """Return the flows: vectors (of other embedders), updates."""
    limits = Limits(settings.text_bytes_max)
    stores = tuple(f"store:{name}" for name in settings.stores[:1])

    def spec(flow: Flow, field: str, decode: Callable[[Record], Item]) -> Spec[Item]:
        async def handle(works: Sequence[Work[Item]]) -> list[Outcome]:
            return await write(works, settings, services(), field)

        return Spec(
            name=flow.name,
            routes=routes_of(flow, settings),
            decode=decode,
            handle=handle,
            stage=flow.stage,
            batch_of=batch_of,
            id_of=id_of,
            passes=lambda record: flow is flows.VECTORS and record.own,  # ours are stored already
            dependencies=stores,
            window_records=settings.window_records,
        )

    return [
        spec(flows.VECTORS, "embedding", lambda record: read_embedding(record, limits)),
        spec(flows.UPDATES, "vector", lambda record: read_update(record, limits)),
    ]


def read_embedding(record: Record, limits: Limits) -> Item:
    """Decode a record of `embeddings`."""
    if (removal := tombstone(record)) is not None:
        return removal
    found = Embedding.decode(record, limits)
    document = found.to_document(record)
    vector = np.asarray(found.embedding, np.float32)
    model = found.model_name or unnamed(len(vector))
    return Embedded(document, vector, model, found.chunk, found.chunk_count)


def read_update(record: Record, limits: Limits) -> Item:
    """Decode a record of vector-updates."""
    if (removal := tombstone(record)) is not None:
        return removal
    found = VectorUpdate.decode(record, limits)
    document = found.to_document(record)
    key: DocumentKey = document.key
    if found.operation == "delete":
        named = found.table_name or text_entry(found.metadata, "table_name")
        return Removal(
            key.id,
            document.version,
            document.origin,
            key.collection if named else None,
            document.batch_id,
        )
    model = document.metadata.get("model_name")
    name = model if isinstance(model, str) and model else unnamed(len(found.vector))
    return Embedded(document, np.asarray(found.vector, np.float32), name)


async def write(
    works: Sequence[Work[Item]], settings: Settings, services: Services, field: str
) -> list[Outcome]:
    """Store the vectors, which stand in the records' ``field``; one outcome each."""
    items = [_placed(work.item, services, field) for work in works]
    ready = [item for item in items if not isinstance(item, InvalidRecord)]
    made = await services.pipeline.run(ready)
    again = await uncovered(services.recall, settings, made)
    results = iter(made)
    outcomes: list[Outcome] = []
    for item in items:
        if isinstance(item, InvalidRecord):
            outcomes.append(Failed(item))
        elif isinstance(result := next(results), Exception):
            outcomes.append(Failed(result))
        else:
            state = STATES.get(result.verdict, State.DONE)
            outputs = [again[each] for each in result.uncovered if each in again]
            outcomes.append(Done([*outputs, *changed(settings, item)], state))
    return outcomes


def _placed(item: Item, services: Services, field: str) -> Item | InvalidRecord:
    """The item in the space of our own vectors, where its maker names our model."""
    if not isinstance(item, Embedded):
        return item
    ours = services.runner.embedder
    try:
        return replace(item, model=space_of(field, item.model, len(item.vector), ours))
    except InvalidRecord as error:
        return error
