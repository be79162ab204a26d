"""Vectors made elsewhere into the stores: vector-updates, and what others put on embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from agents.embed import PART, STATES, batch_of, id_of
from models import Embedding, VectorUpdate
from models.base import text_entry
from models.embedding import COLLECTION as EMBEDDINGS
from models.vector_update import COLLECTION as VECTOR_UPDATES
from tickertape.decode import Limits, key_text
from tickertape.delivery import headers as h
from tickertape.delivery.flow import Spec
from tickertape.delivery.outcome import Done, Failed, Outcome, State, Work
from tickertape.delivery.record import Record
from tickertape.delivery.routes import routes
from tickertape.documents import DocumentKey
from tickertape.pipeline import Embedded, Item, Removal
from tickertape.services import Services
from tickertape.settings import Settings

EXTERNAL = "external"  # the model of a vector whose maker gave no name
Vector = Item | None  # None: our own record, stored already


def specs(settings: Settings, services: Callable[[], Services]) -> list[Spec[Vector]]:
    """Return the flows: vectors (of other embedders), updates."""
    limits = Limits(settings.text_bytes_max)
    stores = tuple(f"store:{name}" for name in settings.stores)
    retries = len(settings.retry_delays_seconds)

    async def handle(works: Sequence[Work[Vector]]) -> list[Outcome]:
        return await write(works, services())

    def flow(name: str, topic: str, decode: Callable[[Record], Vector]) -> Spec[Vector]:
        return Spec(
            name=name,
            routes=routes(topic, retries=retries, rekeys=True),
            decode=decode,
            handle=handle,
            part=PART,
            batch_of=lambda item: batch_of(item) if item is not None else None,
            id_of=lambda item: id_of(item) if item is not None else None,
            dependencies=stores,
            window_records=settings.window_records,
        )

    return [
        flow(
            "vectors",
            settings.topic_embeddings,
            lambda record: read_embedding(record, limits, settings.topic_embeddings),
        ),
        flow(
            "updates",
            settings.topic_vector_updates,
            lambda record: read_update(record, limits, settings.topic_vector_updates),
        ),
    ]


def read_embedding(record: Record, limits: Limits, topic: str) -> Vector:
    """Decode a record of `embeddings`; our own is passed over by its header."""
    if record.value is None and (id := key_text(record)) is not None:
        return Removal(topic, id, record.version, record.origin, None, EMBEDDINGS)
    if record.header(h.OWN) is not None:
        return None
    found = Embedding.decode(record, limits)
    document = found.to_document(record)
    vector = np.asarray(found.embedding, np.float32)
    model = found.model_name or EXTERNAL
    return Embedded(document, vector, model, found.chunk, found.chunk_count)


def read_update(record: Record, limits: Limits, topic: str) -> Vector:
    """Decode a record of vector-updates."""
    if record.value is None and (id := key_text(record)) is not None:
        return Removal(topic, id, record.version, record.origin, None, VECTOR_UPDATES)
    found = VectorUpdate.decode(record, limits)
    document = found.to_document(record)
    key: DocumentKey = document.key
    if found.operation == "delete":
        named = found.table_name or text_entry(found.metadata, "table_name")
        return Removal(
            topic,
            key.id,
            document.version,
            document.origin,
            key.collection if named else None,
            VECTOR_UPDATES,
            document.batch_id,
        )
    model = document.metadata.get("model_name")
    name = model if isinstance(model, str) and model else EXTERNAL
    return Embedded(document, np.asarray(found.vector, np.float32), name)


async def write(works: Sequence[Work[Vector]], services: Services) -> list[Outcome]:
    """Store the vectors; one outcome each."""
    items = [work.item for work in works if work.item is not None]
    results = iter(await services.pipeline.run(items) if items else [])
    outcomes: list[Outcome] = []
    for work in works:
        if work.item is None:
            outcomes.append(Done())
            continue
        result = next(results)
        if isinstance(result, Exception):
            outcomes.append(Failed(result))
        else:
            outcomes.append(Done(state=STATES.get(result.verdict, State.DONE)))
    return outcomes
