"""``doctor``: is everything reachable, what is wrong, and how to mend it."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace

import click
import numpy as np

from tickertape import kafka_admin
from tickertape.broker import EmbeddedBroker
from tickertape.cli.check import Check
from tickertape.cli.failure import one_line
from tickertape.cli.sources import check_one
from tickertape.cli.standing import ask_worker, worker_address
from tickertape.documents import Delete, Document, DocumentKey, Put, StoredChunk, chunk_id
from tickertape.editions import Edition
from tickertape.embed import choice, load
from tickertape.embed.runner import Runner
from tickertape.errors import StoreError, TickertapeError
from tickertape.kafka.brokers import brokers_of
from tickertape.llm import open_llm
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.stores.base import Mode, Query, Store
from tickertape.versions import Origin, Stamp, Version

COLLECTION = "tickertape-doctor"
CHECK_SECONDS_MAX = 60.0


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the command ``doctor``. Exit codes: 0 all well, 1 something is wrong, 2 usage."""

    @click.command("doctor")
    @click.option("--write", is_flag=True, help="Write, read and delete a probe in each store.")
    @click.option("--worker", "address", help="The worker to ask.  [default: that of the settings]")
    @click.option("--json", "as_json", is_flag=True, help="One JSON array.")
    @click.pass_context
    def doctor(context: click.Context, write: bool, address: str | None, as_json: bool) -> None:
        """Check everything a worker needs, and say how to mend what is wrong.

        What this shell's settings say is tried here; a worker that runs is asked how it stands.
        """
        with one_line():
            checks = asyncio.run(_collect(load_settings(), write, address, quiet=as_json))
        if as_json:
            click.echo(json.dumps([asdict(check) for check in checks]))
        context.exit(0 if all(check.ok for check in checks) else 1)

    return [doctor]


async def _collect(
    settings: Settings, write: bool, address: str | None, quiet: bool
) -> list[Check]:
    checks: list[Check] = []
    async for check in examine(settings, write, address):
        checks.append(check)
        if not quiet:
            mark = click.style("ok   ", fg="green") if check.ok else click.style("wrong", fg="red")
            click.echo(f"{mark} {check.name}: {check.found}")
            if not check.ok and check.mend:
                click.echo(f"      {check.mend}")
    return checks


async def examine(
    settings: Settings, write: bool = False, address: str | None = None
) -> AsyncIterator[Check]:
    """Yield the checks, one after the other. ``address``: the worker's, if not the settings'."""
    yield await _broker(settings)
    yield await _topics(settings)
    yield await _model(settings)
    yield await _engine(settings)
    try:
        stores = open_stores(settings)
    except TickertapeError as error:
        yield Check("stores", False, str(error), "name known stores in TICKERTAPE_STORES")
        stores = []
    for store in stores:
        yield await _store(store, write)
    yield await _llm(settings)
    for name in settings.source_names:
        yield await check_one(settings, name)
    async for check in ask_worker(address or worker_address(settings)):
        yield check


async def _broker(settings: Settings) -> Check:
    if not settings.embedded_broker:
        how = f"{settings.security_protocol} {settings.sasl_mechanism or ''}".strip()
        return Check("kafka", True, f"named: {settings.bootstrap}, by {how}")
    broker = EmbeddedBroker(settings.data_dir, settings.broker_port)
    try:
        status = await asyncio.to_thread(broker.status)
    except TickertapeError as error:
        return Check("kafka", False, str(error), "set KAFKA_BROKERS or TICKERTAPE_BROKER_PORT")
    if status.state == "running":
        return Check("kafka", True, f"embedded, running at {broker.bootstrap}")
    mend = "a worker starts it, or: faust -A app broker start"
    return Check("kafka", False, f"embedded, not running at {broker.bootstrap}", mend)


async def _topics(settings: Settings) -> Check:
    try:
        found = await kafka_admin.check(brokers_of(settings), kafka_admin.wanted(settings))
    except TickertapeError as error:
        return Check("topics", False, str(error), "check KAFKA_BROKERS")
    wrong = [difference for difference in found if difference.breaks]
    if wrong:
        return Check("topics", False, f"{wrong[0]}", "faust -A app topics create")
    differing = f"; {len(found)} differ from our defaults, harmlessly" if found else ""
    return Check("topics", True, f"all there{differing}")


async def _model(settings: Settings) -> Check:
    started = time.perf_counter()
    try:
        runner = Runner(await asyncio.to_thread(load, settings), settings.batch_tokens)
    except TickertapeError as error:
        return Check("model", False, str(error), "faust -A app export-model")
    await runner.start()
    try:
        vector = await runner.embed_text("revenue rose")
    finally:
        await runner.stop()
    took = time.perf_counter() - started
    identity = runner.embedder.identity
    return Check("model", True, f"{identity}, {len(vector)} dimensions, loaded in {took:.1f} s")


async def _engine(settings: Settings) -> Check:
    try:
        chosen = await asyncio.to_thread(choice.choose, settings)
    except TickertapeError as error:
        mend = "set TICKERTAPE_ENGINE=auto, or: faust -A app export-model"
        return Check("engine", False, str(error), mend)
    return Check("engine", True, chosen.reason)


async def _store(store: Store, write: bool) -> Check:
    name = f"store {store.name}"
    try:
        await asyncio.wait_for(store.start(), CHECK_SECONDS_MAX)
        try:
            await asyncio.wait_for(store.ping(), CHECK_SECONDS_MAX)
            if write:
                await asyncio.wait_for(_probe(store), CHECK_SECONDS_MAX)
            counts = await asyncio.wait_for(store.count(), CHECK_SECONDS_MAX)
        finally:
            await store.stop()
    except (TickertapeError, TimeoutError, OSError) as error:
        return Check(name, False, str(error) or "no answer in time", "see docs/runbook.md")
    probed = "; a probe was written, found and deleted" if write else ""
    return Check(name, True, f"{counts.documents} documents, {counts.chunks} chunks{probed}")


async def _probe(store: Store) -> None:
    """Write, find and delete one document. Raises `StoreError` when it is not found."""
    word = f"probe{uuid.uuid4().hex}"
    key, origin = DocumentKey(COLLECTION, word), Origin("doctor", 0, 0)
    now = int(time.time() * 1000)
    model = "doctor@none"
    vector = np.full(8, 8**-0.5, np.float32)
    chunk = StoredChunk(chunk_id(key, 0, model), 0, word, 0, len(word), vector)
    version = Version((), Stamp(now, 0, 0, origin.topic))
    document = Document(key=key, text=word, version=version, origin=origin)
    for result in await store.apply([Put(document, Edition(version), word, model, [chunk])]):
        if isinstance(result, Exception):
            raise result
    hits = await store.search(Query(Mode.KEYWORD, 1, text=word, collection=COLLECTION))
    deleted = replace(version, stamp=replace(version.stamp, offset=1))
    await store.apply([Delete(word, COLLECTION, deleted, origin)])
    if not hits:
        raise StoreError("a probe was written and not found")


async def _llm(settings: Settings) -> Check:
    try:
        model = open_llm(settings)
        if model is None:
            return Check("summaries", True, "extractive (LLM_URL is not set here)")
        await model.start()
        try:
            described = await asyncio.wait_for(model.describe(), CHECK_SECONDS_MAX)
        finally:
            await model.stop()
    except (TickertapeError, TimeoutError) as error:
        mend = "check LLM_URL, LLM_API_KEY and MODEL_NAME"
        return Check("summaries", False, str(error) or "no answer in time", mend)
    if described.served is False:
        found = f"{settings.llm_url} answers, and has no model {model.name}"
        return Check(
            "summaries", False, found, "set MODEL_NAME to one that it has (GET /v1/models)"
        )
    return Check("summaries", True, f"{model.name} at {settings.llm_url}")
