"""``verify``: do ledger, stores and topics agree? What does not is told, and mended on request."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tickertape.broker import reading
from tickertape.cli import naming
from tickertape.cli.failure import one_line
from tickertape.cli.sending import publisher
from tickertape.delivery.spec import Spec
from tickertape.embed import load
from tickertape.embed.runner import Runner
from tickertape.errors import BrokerError
from tickertape.flows import STORE
from tickertape.kafka.brokers import Brokers
from tickertape.kafka.recall import Recall
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.stores.base import Store
from tickertape.verify.chunks import cosine
from tickertape.verify.findings import Finding, Kind, Tally
from tickertape.verify.repair import MENDED, Repair
from tickertape.verify.stores import Mark, Walk
from tickertape.verify.topics import Topics

VECTORS = 32  # chunks that are embedded again
NEAR = 0.9  # cosine of a chunk's vector to one made anew; of its text alone, and rounded otherwise
FILE = "verify.json"


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for."""

    repair: bool
    delete_orphaned: bool
    sample: int | None
    vectors: int
    with_topics: bool
    resume: bool
    as_json: bool


@dataclass(slots=True)
class Saved:
    """How far a run came, as its file says. ``stores``: what it is of."""

    stores: list[str]
    walk: Mark = field(default_factory=Mark)
    topics: dict[str, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def save(self, path: Path) -> None:
        """Write it; a crash leaves the one before."""
        tree = {**asdict(self), "tally": self.tally.as_json()}
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(tree), "utf-8")
        new.replace(path)

    @classmethod
    def read(cls, path: Path, stores: Sequence[str]) -> Saved:
        """Read what a run of these stores left; a new one where there is none."""
        try:
            tree = json.loads(path.read_text("utf-8"))
            if tree["stores"] == list(stores):
                walk, tally = Mark(**tree["walk"]), Tally.of_json(tree["tally"])
                return cls(tree["stores"], walk, tree["topics"], tally)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return cls(list(stores))


def commands(
    load_settings: Callable[[], Settings], specs: Callable[[], Sequence[Spec[Any]]]
) -> list[click.Command]:
    """Return the command ``verify``. Exit codes: 0 all agree, or all that did not was mended;
    1 something does not, or it failed; 2 wrong usage."""

    @click.command("verify")
    @click.option("--repair", is_flag=True, help="Copy, or send again, what is wrong.")
    @click.option(
        "--delete-orphaned",
        is_flag=True,
        help="With --repair: delete what the ledger does not know of.",
    )
    @click.option("--sample", type=click.IntRange(1), help="Look at about so many documents.")
    @click.option(
        "--vectors",
        type=click.IntRange(0),
        default=VECTORS,
        show_default=True,
        help="Embed so many chunks again.",
    )
    @click.option("--stores-only", is_flag=True, help="Leave the topics out.")
    @click.option("--resume", is_flag=True, help="Go on where the last run was stopped.")
    @click.option(
        "--json", "as_json", is_flag=True, help="A JSON object a finding, then one of all."
    )
    @click.pass_context
    def verify(context: click.Context, /, stores_only: bool, **given: Any) -> None:
        """Compare the first store, which is the ledger, with the others and with the topics.

        Workers may run. Prints what is missing, stale, orphaned, doubled or damaged, by store.
        """
        options = Options(with_topics=not stores_only, **given)
        if options.delete_orphaned and not options.repair:
            raise click.UsageError("--delete-orphaned goes with --repair")
        settings = load_settings()
        run = _Run(settings, options, specs())
        try:
            with one_line():
                asyncio.run(run.all())
        except KeyboardInterrupt:
            naming.aside("stopped; go on with: faust -A app verify --resume")
            raise click.exceptions.Exit(1) from None
        run.sum_up()
        context.exit(1 if run.state.tally.open else 0)

    return [verify]


class _Run:
    """One run of the command."""

    def __init__(self, settings: Settings, options: Options, specs: Sequence[Spec[Any]]) -> None:
        self._settings, self._options = settings, options
        self._specs = [spec for spec in specs if spec.stage == STORE]
        self._path = settings.data_dir / FILE
        fresh = Saved(list(settings.stores))
        self.state = Saved.read(self._path, settings.stores) if options.resume else fresh
        self._lines: list[str] = []

    async def all(self) -> None:
        """Compare, tell, mend. Raises `TickertapeError`."""
        options, settings = self._options, self._settings
        async with AsyncExitStack() as stack:
            stores = open_stores(settings)
            for store in stores:
                stack.push_async_callback(store.stop)
                await store.start()
            kafka: Brokers | None = None
            if options.with_topics:
                try:
                    kafka = stack.enter_context(reading(settings))
                except BrokerError as error:
                    raise BrokerError(f"{error}; --stores-only leaves the topics out") from None
            repair = Repair(stores, options.delete_orphaned)
            if options.repair and kafka is not None:
                recall = Recall(kafka)
                stack.push_async_callback(recall.stop)
                sender = await stack.enter_async_context(publisher(settings))
                bases = {r.base for spec in self._specs for r in spec.routes.values() if r.rekeys}
                repair = Repair(
                    stores, options.delete_orphaned, recall, sender.send, frozenset(bases)
                )
            runner = await self._model(stack) if options.vectors else None
            look = Progress(
                *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                disable=options.as_json or not sys.stderr.isatty(),
            )
            with look:
                walk = await self._walk(stores, runner, repair, look)
                if runner is not None and walk.samples:
                    await self._vectors(walk, runner, repair)
                if kafka is not None:
                    await self._topics(kafka, walk, repair, look)
        self._path.unlink(missing_ok=True)

    async def _model(self, stack: AsyncExitStack) -> Runner:
        loaded = await asyncio.to_thread(load, self._settings)
        runner = Runner(loaded, self._settings.batch_tokens)
        stack.push_async_callback(runner.stop)
        await runner.start()
        return runner

    async def _walk(
        self, stores: Sequence[Store], runner: Runner | None, repair: Repair, look: Progress
    ) -> Walk:
        options, counts = self._options, [await store.count() for store in stores]
        share = 1.0
        if options.sample is not None:
            share = min(1.0, options.sample / max(1, counts[0].documents))
        walk = Walk(stores, share, self.state.walk, samples_max=options.vectors)
        walk.model = runner.embedder.identity if runner is not None else None
        total = round(sum(count.documents for count in counts) * share)
        done = sum(self.state.tally.looked[store.name] for store in stores)
        task = look.add_task("stores", total=total, completed=done)
        async for step in walk.steps():
            self.state.tally.looked[step.store] += step.looked
            await self._take(step.findings, repair)
            look.update(task, advance=step.looked, description=f"store {step.store}")
            self.state.walk = walk.mark
            self.state.save(self._path)
        self.state.walk = walk.mark
        return walk

    async def _vectors(self, walk: Walk, runner: Runner, repair: Repair) -> None:
        """Embed sampled chunks again: a vector that is not its text's is no other's to find."""
        tokens = await runner.tokenize([chunk.text for _, chunk in walk.samples])
        limit = runner.embedder.max_tokens - runner.embedder.special_tokens
        made = await runner.embed([found.ids[:limit] for found in tokens])
        findings = []
        worst = 1.0
        for (key, chunk), vector in zip(walk.samples, made, strict=True):
            near = cosine(chunk.vector, vector)
            worst = min(worst, near)
            if near < NEAR:
                detail = f"chunk {chunk.ordinal}: its vector is not its text's (cosine {near:.3f})"
                findings.append(Finding(Kind.DAMAGED, walk.stores[0].name, key, detail))
        self._lines.append(f"vectors: {len(made)} made again, the least alike by {worst:.3f}")
        await self._take(findings, repair)

    async def _topics(self, kafka: Brokers, walk: Walk, repair: Repair, look: Progress) -> None:
        settings = self._settings
        topics = Topics(
            *(kafka, settings.app_id, self._specs, walk.stores[0], walk.is_chosen),
            mark=self.state.topics,
        )
        task = look.add_task("topics", total=None)
        async for read in topics.steps():
            self.state.tally.looked["topics"] += read.looked
            look.update(task, advance=read.looked)
            if read.lost:
                findings = [one.finding for one in read.lost]
                sends = self._options.repair
                self._tell(findings, await repair.resend(read.lost) if sends else None)
            if not topics.lost:  # what may be lost is looked for at the end
                self.state.save(self._path)

    async def _take(self, findings: Sequence[Finding], repair: Repair) -> None:
        if findings:
            mends = self._options.repair
            self._tell(findings, await repair.mend(findings) if mends else None)

    def _tell(self, findings: Sequence[Finding], became: Sequence[str] | None) -> None:
        tally = self.state.tally
        tally.add(findings)
        for place, finding in enumerate(findings):
            done = became[place] if became is not None else None
            tally.mended += done in MENDED
            if self._options.as_json:
                click.echo(json.dumps(finding.as_json(done)))
                continue
            key = finding.key
            where = f" {key.collection}/{key.id}" if key is not None else ""
            after = f" [{done}]" if done is not None else ""
            line = f"{finding.store}: {finding.kind.value}{where}: {finding.detail}{after}"
            click.echo(line.encode("utf-8", "backslashreplace").decode())

    def sum_up(self) -> None:
        """Say what was looked at, and what was found."""
        tally = self.state.tally
        if self._options.as_json:
            click.echo(json.dumps(tally.as_json()))
            return
        for name, looked in tally.looked.items():
            unit = "records" if name == "topics" else "documents"
            kinds = [f"{n} {kind}" for (store, kind), n in tally.found.items() if store == name]
            click.echo(f"{name}: {looked:,} {unit}: {', '.join(kinds) or 'all agree'}")
        for line in self._lines:
            click.echo(line)
        if tally.found:
            click.echo(f"{tally.found.total():,} found, {tally.mended:,} mended")
