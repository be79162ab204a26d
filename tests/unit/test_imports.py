"""Which may import which: ARCHITECTURE.md's drawing, checked in the source itself."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = {"app", "commands"}
ROOMS = {"agents", "models", "runtime", "tables", "web", "worker"}
OURS = TOP | ROOMS | {"tickertape"}
# What knows Faust: its App, its commands, its records and its tables
KNOW_FAUST = {"worker", "commands", "models", "tables"}

# Who may import what of ours, besides itself. Rooms first, from the bottom up.
MAY: dict[str, set[str]] = {
    "tickertape": set(),
    "models": {"tickertape"},
    "tables": {"models", "tickertape"},
    "agents": {"models", "tables", "tickertape"},
    "web": {"models", "tables", "tickertape"},
    "worker": {"tickertape"},
    "runtime": {"worker", "tickertape"},
    "commands": {"runtime", "worker", "tickertape"},
    "app": OURS - {"app"},
}
# Inside the library. What is named on the left reaches, of ours, only what is on the right: by its
# own imports and by those of what it imports.
ONLY: dict[str, set[str]] = {
    "tickertape.errors": set(),
    "tickertape.metrics": set(),
    "tickertape.flows": {"tickertape.settings", "tickertape.errors"},
    "tickertape.topics": {"tickertape.flows", "tickertape.settings", "tickertape.errors"},
    "tickertape.settings": {"tickertape.errors"},
    "tickertape.versions": {"tickertape.errors"},
    "tickertape.editions": {"tickertape.versions", "tickertape.errors"},
    "tickertape.documents": {"tickertape.editions", "tickertape.versions", "tickertape.errors"},
    "tickertape.headers": {"tickertape.versions", "tickertape.errors"},
    "tickertape.record": {"tickertape.headers", "tickertape.versions", "tickertape.errors"},
    "tickertape.markup": set(),
    "tickertape.text": {"tickertape.markup"},
    "tickertape.terms": {"tickertape.text", "tickertape.markup"},
    "tickertape.values": {"tickertape.errors", "tickertape.text", "tickertape.markup"},
    "tickertape.ranges": set(),
    "tickertape.batching": set(),
    "tickertape.lines": set(),
    "tickertape.llm": {
        "tickertape.errors",
        "tickertape.settings",
        "tickertape.lines",
        "tickertape.text",
        "tickertape.markup",
    },
}
# And what is named on the left never reaches what is on the right.
NEVER: dict[str, set[str]] = {
    "models": {
        "kafka",
        "delivery",
        "pipeline",
        "stores",
        "embed",
        "summarize",
        "search",
        "services",
    },
    "tickertape.delivery": {
        *("pipeline", "stores", "embed", "summarize", "search", "services", "batches", "broker")
    },
    "tickertape.kafka": {
        *("delivery", "pipeline", "stores", "embed", "summarize", "search", "services", "batches")
    },
    "tickertape.sources": {
        *("kafka", "delivery", "stores", "embed", "summarize", "pipeline", "search", "services")
    },
    "tickertape.stores": {
        *("kafka", "delivery", "embed", "summarize", "pipeline", "search", "services")
    },
    "tickertape.embed": {
        *("kafka", "delivery", "stores", "summarize", "pipeline", "search", "services")
    },
    "tickertape.summarize": {"kafka", "delivery", "stores", "pipeline", "search", "services"},
    "tickertape.pipeline": {"delivery", "services", "batches", "kafka_admin", "broker", "search"},
    "tickertape.summaries": {"delivery", "services", "pipeline", "batches", "broker", "search"},
    "tickertape.search": {"delivery", "services", "pipeline"},
    "tickertape.answer": {"kafka", "delivery", "summarize", "services", "pipeline"},
}
LEAVES = ("tickertape.cli", "tickertape.demo")  # nothing in the library imports these
REGISTRIES = (
    ("tickertape.stores", "STORES"),
    ("tickertape.sources", "KINDS"),
    ("tickertape.llm", "PROVIDERS"),
    ("tickertape.summarize", "SUMMARIZERS"),
    ("tickertape.embed", "ENGINES"),
)


@cache
def modules() -> dict[str, frozenset[str]]:
    """Return every module of ours and all that it imports, also inside functions."""
    files = [ROOT / f"{name}.py" for name in TOP]
    for room in ROOMS | {"tickertape"}:
        files += (ROOT / room).rglob("*.py")
    return {_name(path): frozenset(_imports(path)) for path in files}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def under(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}.")


def wrong(who: str, what: set[str]) -> list[str]:
    """Return ``module -> import`` for each import of ``what`` in ``who`` and below."""
    return sorted(
        f"{module} -> {found}"
        for module, imports in modules().items()
        if under(module, who)
        for found in imports
        if any(under(found, one) for one in what)
    )


def reached(who: str) -> dict[str, str]:
    """Return every module of ours that loading ``who`` and what is below it may load, and how:
    ``module -> import -> import``."""
    ways = {name: name for name in modules() if under(name, who)}
    todo = list(ways)
    for name in todo:
        for loaded in sorted(_loads(name)):
            if loaded not in ways:
                ways[loaded] = f"{ways[name]} -> {loaded}"
                todo.append(loaded)
    return ways


@cache
def _loads(name: str) -> frozenset[str]:
    """The modules of ours that one's own imports load, the packages that they are in included."""
    found: set[str] = set()
    for imported in modules()[name]:
        parts = imported.split(".")
        found.update(".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return frozenset(found & modules().keys())


def test_the_walk_sees_what_there_is() -> None:
    assert "faust" in {name.partition(".")[0] for name in modules()["worker.app"]}
    assert "tickertape.documents.Head" in modules()["tickertape.pipeline"]
    assert "jgo" in modules()["tickertape.broker.jars"]  # inside a function
    assert wrong("app", {"worker"})
    assert reached("tickertape.cli.search")["tickertape.embed.onnx"].count(" -> ") > 1


@pytest.mark.parametrize("room", MAY)
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    assert wrong(room, OURS - MAY[room] - {room}) == []


@pytest.mark.parametrize("room", sorted(OURS - KNOW_FAUST - {"app"}))
def test_faust_is_known_in_few_places(room: str) -> None:
    assert wrong(room, {"faust", "mode"}) == []


@pytest.mark.parametrize("module", ONLY)
def test_the_ground_floor(module: str) -> None:
    allowed = {module, *ONLY[module]}
    ways = {name: way for name, way in reached(module).items() if name != "tickertape"}
    assert [ways[name] for name in ways if not any(under(name, each) for each in allowed)] == []


@pytest.mark.parametrize("module", NEVER)
def test_floors_of_the_library(module: str) -> None:
    above = {f"tickertape.{name}" for name in NEVER[module]}
    ways = reached(module)
    assert [ways[name] for name in ways if any(under(name, each) for each in above)] == []


@pytest.mark.parametrize("leaf", LEAVES)
def test_nothing_in_the_library_imports_its_commands(leaf: str) -> None:
    users = {name.split("->")[0].strip() for name in wrong("tickertape", {leaf})}
    assert [name for name in users if not any(under(name, each) for each in LEAVES)] == []


def test_everything_of_ours_reads_with_one_consumer() -> None:
    """aiokafka's own ends at a record that it cannot read."""
    users = {name for name, imports in modules().items() if "aiokafka.AIOKafkaConsumer" in imports}
    assert users == {"tickertape.kafka.consumer"}


@pytest.mark.parametrize(("package", "registry"), REGISTRIES)
def test_providers_know_nothing_of_each_other(package: str, registry: str) -> None:
    """They are found by their registry's text: no other package imports one either."""
    targets = getattr(importlib.import_module(package), registry).values()
    homes = {_home(package, target.partition(":")[0]) for target in targets}
    for home in homes:
        for line in wrong("tickertape", {home}):
            user = line.split(" ")[0]
            assert under(user, package), line
            assert not any(under(user, other) for other in homes - {home}), line


def _home(package: str, module: str) -> str:
    """The provider's own folder or file, right below its package."""
    first = module.removeprefix(f"{package}.").partition(".")[0]
    return f"{package}.{first}"


def test_measurements_run_where_a_worker_does() -> None:
    """`make demo` makes an environment without pytest: `testkit` is what both may use."""
    for folder in ("loadtest", "testkit"):
        for path in (ROOT / folder).rglob("*.py"):
            found = {name.partition(".")[0] for name in _imports(path)}
            assert found.isdisjoint({"tests", "pytest", "hypothesis"}), path
            assert folder == "loadtest" or "loadtest" not in found, path


def test_agents_know_nothing_of_each_other() -> None:
    flows = {name for name in modules() if under(name, "agents")} - {"agents", "agents.items"}
    assert {line for flow in flows for line in wrong(flow, flows - {flow})} == set()
