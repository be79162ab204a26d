"""The documentation says what the program does: tables, commands, routes, settings, links."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from docs import tables
from tickertape import metrics, observe
from tickertape.settings import Settings
from web.documents_bodies import DocumentBody

ROOT = Path(__file__).parents[2]
PAGES = (
    *("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
    *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))),
)
README_LINES_MAX = 150
ELSEWHERE = {"TICKERTAPE_CONFIG"}  # read before there are settings
IMAGE_BYTES_MAX = 300_000

# Both in a process of their own: app.py is built once a process, from the environment
INTERFACE = """
import json
import click
from docs import tables
options = lambda c: [o for p in c.params if isinstance(p, click.Option)
                     for o in [*p.opts, *p.secondary_opts]]
print(json.dumps({
    "commands": {name: options(command) for name, command in tables.commands()},
    "routes": [f"{method} {path}" for method, path, _ in tables.routes()],
}))
"""


def python(*args: str) -> subprocess.CompletedProcess[str]:
    names = ("TICKERTAPE_", "KAFKA_", "LLM_", "MODEL_NAME", "INPUT_TOPIC", "OUTPUT_TOPIC")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(names)}
    return subprocess.run(
        [sys.executable, *args], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def interface() -> dict[str, Any]:
    """Commands with their options, and routes, of the real app."""
    done = python("-c", INTERFACE)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@cache
def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def code(page: str, *languages: str) -> Iterator[str]:
    """Yield the blocks of code in these languages."""
    for language, body in re.findall(r"^```(\w*)\n(.*?)^```", text(page), re.M | re.S):
        if language in languages:
            yield body


def test_the_tables_are_up_to_date() -> None:
    done = python("-m", "docs.tables", "--check")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run: make docs"


def test_each_command_route_topic_and_setting_has_its_row(interface: dict[str, Any]) -> None:
    page = text("docs/reference.md")
    names = [str(choice) for f in Settings.model_fields.values() for choice in _choices(f)]
    topics = [str(f.default) for n, f in Settings.model_fields.items() if n.startswith("topic_")]
    routes = [f"| `{route}` |" for route in interface["routes"]]
    cells = [f"`{name}`" for name in (*names, *topics)]
    missing = [each for each in (*cells, *routes) if each not in page]
    missing += [name for name in interface["commands"] if f"| `{name}" not in page]
    assert missing == []
    assert {"worker", "send", "dlq replay"} <= set(interface["commands"])
    assert {"GET /readyz", "POST /documents"} <= set(interface["routes"])


def _choices(field: Any) -> list[Any]:
    return list(field.validation_alias.choices)


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_named_exist(page: str, interface: dict[str, Any]) -> None:
    wrong = []
    for line in re.findall(r"faust -A app ([a-z][^`\n#|;]*)", text(page)):
        words = shlex.split(line.strip().rstrip(".,:)"))
        name = next((n for n in (" ".join(words[:2]), words[0]) if n in interface["commands"]), "")
        group = any(command.startswith(f"{words[0]} ") for command in interface["commands"])
        options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
        known = set(interface["commands"].get(name, ()))
        if not (name or (group and len(words) == 1)) or not known.issuperset(options):
            wrong.append(line)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_are_named_exist(page: str) -> None:
    known = {c for f in Settings.model_fields.values() for c in _choices(f)} | ELSEWHERE
    assert set(re.findall(r"\bTICKERTAPE_[A-Z_]*[A-Z]\b", text(page))) - known == set()


@pytest.mark.parametrize("page", PAGES)
def test_values_that_are_named_are_taken(page: str) -> None:
    found = re.findall(r"\b(TICKERTAPE_[A-Z_]*[A-Z])=([\w,.:/-]+)", text(page))
    fields = {c: name for name, f in Settings.model_fields.items() for c in _choices(f)}
    for name, value in found:
        if name in fields:
            Settings(_env_file=None, **{fields[name]: value.rstrip(".,:")})


@pytest.mark.parametrize("page", PAGES)
def test_routes_that_are_named_exist(page: str, interface: dict[str, Any]) -> None:
    known = [re.sub(r"\{\w+\}", "[^/]+", r.split(" ")[1]) for r in interface["routes"]]
    named = re.findall(r"`(?:GET |POST |PUT |DELETE )?(/[a-z][\w./{}-]*)`", text(page))
    named += re.findall(r"localhost:6066(/[\w./-]*)", text(page))
    assert [each for each in named if not any(re.fullmatch(k, each) for k in known)] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", found.read_text("utf-8"), re.M)
            slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in slugs, target


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_and_metrics_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text(page), re.M)) <= targets
    exposed = metrics.render("")[0].decode()
    known = set(re.findall(r"^# TYPE (\w+)", exposed, re.M))
    assert {f"tickertape_embed_{field}_total" for field in observe.TEXTS} <= known
    named = set(re.findall(r"\btickertape_[a-z_]+\b", text(page)))
    assert {name for name in named if name not in known} == set()


@pytest.mark.parametrize("page", PAGES)
def test_no_page_tells_where_it_was_written(page: str) -> None:
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|work|Users)/\S*", text(page)) == []


def test_paths_in_the_architecture_exist_and_none_is_left_out() -> None:
    page = text("ARCHITECTURE.md")
    named = set(re.findall(r"`((?:[\w-]+/)*[\w-]+(?:\.py|\.yml|/))`", page))
    homes = (ROOT, ROOT / "docs", ROOT / "tickertape" / "stores")
    assert [each for each in named if not any((home / each).exists() for home in homes)] == []
    library = [p for p in (ROOT / "tickertape").iterdir() if "__" not in p.name]
    rooms = [f"tickertape/{p.name}" for p in library if p.is_dir() or p.suffix == ".py"]
    assert [room for room in rooms if not any(each.startswith(room) for each in named)] == []


def test_each_type_in_the_glossary_is_there_once() -> None:
    words = text("ARCHITECTURE.md").partition("\n## Words\n")[2].partition("\n## ")[0]
    named = re.findall(r"`([A-Z][A-Za-z]+)`", words)
    rooms = ("agents", "models", "runtime", "tables", "tickertape", "web", "worker")
    source = "".join(p.read_text("utf-8") for room in rooms for p in (ROOT / room).rglob("*.py"))
    assert len(named) > 10
    found = {name: len(re.findall(rf"^(?:class )?{name}\b[(: ]", source, re.M)) for name in named}
    assert {name: count for name, count in found.items() if count != 1} == {}
    # Words that were several things once
    once = ("Entry", "Model", "Result", "Problem", "State", "Limits", "Embedded", "Route")
    counts = {name: len(re.findall(rf"^class {name}\b", source, re.M)) for name in once}
    assert {name: count for name, count in counts.items() if count > 1} == {}


def test_the_examples_are_valid() -> None:
    for source in code("README.md", "python"):
        ast.parse(source)
    bodies = [
        body
        for shell in code("README.md", "sh")
        for body in re.findall(r"-d '(\{.*?\})'", shell, re.S)
    ]
    assert bodies
    for body in bodies:
        DocumentBody.model_validate(json.loads(body))


def test_every_page_is_linked_and_the_first_is_short() -> None:
    readme = text("README.md")
    assert [page for page in PAGES if page != "README.md" and f"]({page}" not in readme] == []
    assert len(readme.splitlines()) <= README_LINES_MAX


def test_the_picture_is_one_and_small() -> None:
    picture = ROOT / "docs" / "images" / "dashboard.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < IMAGE_BYTES_MAX


def test_the_demo_output_is_of_this_demo() -> None:
    (shown,) = re.findall(r"<!-- demo output -->\n```text\n(.*?)```", text("README.md"), re.S)
    printed = (ROOT / "tickertape" / "demo" / "run.py").read_text("utf-8")
    for part in re.findall(r"screen\.title\(\"(\w[\w ]*)\"\)", printed):
        assert part in shown
    for step in ("Kafka", "embeddings", "store", "summaries", "worker", "web page"):
        assert re.search(rf"^ok +{step} +\S", shown, re.M), step


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Send it. Then wait.", "Send it."),
        ('Send `{"documents": [...]. x}` here. Then wait.', 'Send `{"documents": [...]. x}` here.'),
        ("Exact counts: done, dead. More.", "Exact counts: done, dead."),
        ("A summary; 200 even so", "A summary; 200 even so."),
        ("See ``a. `b` c`` of 1.5. More", "See ``a. `b` c`` of 1.5."),
    ],
)
def test_the_first_sentence_of_a_description_is_whole(text: str, sentence: str) -> None:
    assert tables.sentence_of(text) == sentence
