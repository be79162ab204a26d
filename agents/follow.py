"""Stores beside the first: each takes over what changed, at its own pace."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from agents.items import routes_of
from tickertape import flows, followers
from tickertape.delivery.outcome import Done, Failed, Outcome, Work
from tickertape.delivery.spec import Spec
from tickertape.documents import DocumentKey
from tickertape.errors import ErrorClass, OutageError, TransientError, classify
from tickertape.flows import Flow
from tickertape.followers import Changed, Fill
from tickertape.record import Outgoing
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.stores.base import Store
from tickertape.stores.copying import bring, holds

PAGE = 1000  # heads that are compared at a time

Told = Changed | Fill

log = structlog.get_logger("tickertape.follow")


def specs(settings: Settings, services: Callable[[], Services]) -> list[Spec[Told]]:
    """Return a flow for each store that follows the first."""
    first = settings.stores[0] if settings.stores else ""

    def spec(name: str, flow: Flow) -> Spec[Told]:
        async def handle(works: Sequence[Work[Told]]) -> list[Outcome]:
            stores = {store.name: store for store in services().stores}
            return await follow(works, flow.topic(settings), stores[first], stores[name])

        return Spec(
            name=flow.name,
            routes=routes_of(flow, settings),
            decode=followers.read,
            handle=handle,
            dependencies=(f"store:{name}", f"store:{first}"),
            # What is copied is how it is then: order is of no use, and what was told several times
            # is copied once.
            keyed=False,
            windows=1,
            window_records=settings.window_records,
        )

    return [spec(name, flows.follower(name)) for name in settings.stores[1:]]


async def follow(
    works: Sequence[Work[Told]], topic: str, first: Store, store: Store
) -> list[Outcome]:
    """Copy what changed, and walk on; one outcome each."""
    changes = [work.item for work in works if isinstance(work.item, Changed)]
    try:
        copied = iter(await _copy(changes, first, store) if changes else [])
    except TransientError as error:
        if error.dependency is None:
            raise  # the window is halved until what fails stands alone
        copied = iter([Failed(error)] * len(changes))  # a step of the walk fails for itself only
    return [
        await _walk(topic, work.item, first, store) if isinstance(work.item, Fill) else next(copied)
        for work in works
    ]


async def _copy(changes: Sequence[Changed], first: Store, store: Store) -> list[Outcome]:
    keys = {changed: await _keys(first, changed) for changed in changes}
    brought = await bring(first, store, [key for found in keys.values() for key in found])
    outcomes: list[Outcome] = []
    for changed in changes:
        errors = [brought.refused[key] for key in keys[changed] if key in brought.refused]
        outcomes.append(Failed(errors[0]) if errors else Done())
    return outcomes


async def _walk(topic: str, step: Fill, first: Store, store: Store) -> Outcome:
    """Take a step. What may pass is waited for, however long: where the walk is stands in this one
    record, so as a dead letter it would end the walk, and nothing would begin it again."""
    try:
        return Done(await _step(topic, step, first, store))
    except Exception as error:
        if classify(error) is not ErrorClass.TRANSIENT:
            raise
        dependency = getattr(error, "dependency", None) or f"store:{store.name}"
        said = f"the walk of {store.name} waits: {error or type(error).__name__}"
        return Failed(OutageError(said, dependency=dependency))


async def _keys(first: Store, changed: Changed) -> list[DocumentKey]:
    """The documents that changed. A delete of an id in all collections concerns what there is of
    it, and is remembered where there is nothing."""
    if changed.collection is not None:
        return [DocumentKey(changed.collection, changed.id, changed.tenant)]
    found = await first.document(changed.id, None, changed.tenant)
    return [each.head.key for each in found] or [DocumentKey("", changed.id, changed.tenant)]


async def _step(topic: str, step: Fill, first: Store, store: Store) -> list[Outgoing]:
    """Tell what differs in the next page, and where the one after that begins."""
    heads, after = await first.scan(step.after, PAGE)
    ours = await store.heads([head.key for head in heads])
    differ = [head.key for head in heads if not holds(ours.get(head.key), head)]
    outputs = [followers.tell(topic, Changed.of(key)) for key in differ]
    told = step.told + len(differ)
    if after is not None:
        outputs.append(followers.fill(topic, Fill(after, told)))
    log.info("fill" if after is not None else "fill_ends", store=store.name, differ=told)
    return outputs
