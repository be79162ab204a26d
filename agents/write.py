"""Vectors made elsewhere into the stores: vector-updates, and what others put on embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from agents.items import STATES, batch_of, id_of, recalled, routes_of, tombstone
from models import Embedding, VectorUpdate
from models.base import text_entry
from tickertape import flows
from tickertape.decode import Limits
from tickertape.delivery.outcome import Done, Failed, Outcome, State, Work
from tickertape.delivery.record import Record
from tickertape.delivery.spec import Spec
from tickertape.documents import DocumentKey
from tickertape.flows import Flow
from tickertape.pipeline import Embedded, Item, Removal
from tickertape.services import Services
from tickertape.settings import Settings


def specs(settings: Settings, services: Callable[[], Services]) -> list[Spec[Item]]:
    """Return the flows: vectors (of other embedders), updates."""
    limits = Limits(settings.text_bytes_max)
    stores = tuple(f"store:{name}" for name in settings.stores)

    async def handle(works: Sequence[Work[Item]]) -> list[Outcome]:
        return await write(works, settings, services())

    def spec(flow: Flow, decode: Callable[[Record], Item]) -> Spec[Item]:
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
        spec(flows.VECTORS, lambda record: read_embedding(record, limits)),
        spec(flows.UPDATES, lambda record: read_update(record, limits)),
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


def unnamed(dimension: int) -> str:
    """Return the model of a vector whose maker gave no name.

    One for each size: a vector of three numbers must not refuse those of 384 that come after it.
    """
    return f"external-{dimension}"


async def write(
    works: Sequence[Work[Item]], settings: Settings, services: Services
) -> list[Outcome]:
    """Store the vectors; one outcome each."""
    results = await services.pipeline.run([work.item for work in works])
    return [
        Failed(result)
        if isinstance(result, Exception)
        else Done(await recalled(settings, result), STATES.get(result.verdict, State.DONE))
        for result in results
    ]
