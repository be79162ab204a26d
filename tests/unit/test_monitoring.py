"""Alerts and the dashboard name what a worker exports, and say where to read on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tickertape import metrics, observe

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "tickertape.json"
RUNBOOK = ROOT / "docs" / "runbook.md"
NAME = re.compile(r"\b(?:tickertape|process)_\w+")
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (t["expr"] for panel in panels() for t in panel.get("targets", ()))


@pytest.fixture(scope="module")
def exported() -> set[str]:
    assert observe.STATES  # its module registers what the model's runner counts
    return {
        family.name + suffix
        for family in metrics.REGISTRY.collect()
        for suffix in SUFFIXES.get(family.type, ("",))
    }


def test_each_metric_that_is_asked_for_is_exported(exported: set[str]) -> None:
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert len(asked) > 20
    assert asked - exported == set()


def test_each_alert_says_where_to_read_on() -> None:
    headings = re.findall(r"^## (.+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings}
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (page, anchor in anchors) == ("docs/runbook.md", True), rule["alert"]
        assert {"summary", "description"} < set(rule["annotations"])
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_what_the_runbook_has_one_watch_has_an_alert() -> None:
    section = RUNBOOK.read_text("utf-8").partition("## What to watch")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(tickertape_\w+)` \|.*\| `?(\w+)`? \|$", section, re.MULTILINE)
    alerts = {rule["alert"]: rule["expr"] for rule in rules()}
    assert {alert for _, alert in rows} == set(alerts) - {"TickertapeWorkerGone"}
    for metric, alert in rows:
        assert metric in alerts[alert]


def test_panels_have_room_and_the_provisioned_source() -> None:
    source = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text("utf-8")
    )["datasources"][0]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == panel["datasource"]["uid"] == source["uid"]
    for one, other in combinations([panel["gridPos"] for panel in panels()], 2):
        beside = one["x"] >= other["x"] + other["w"] or other["x"] >= one["x"] + one["w"]
        below = one["y"] >= other["y"] + other["h"] or other["y"] >= one["y"] + one["h"]
        assert beside or below, (one, other)
