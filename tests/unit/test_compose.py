"""docker-compose.yml, Dockerfile and .dockerignore agree with the code that is tested here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.test_imports import reached
from tickertape.broker import config
from tickertape.broker.jars import KAFKA_VERSION
from tickertape.settings import Settings, describe, env_name

ROOT = Path(__file__).parents[2]
OURS = re.compile(r"[$][{](?P<name>[A-Z_]+)(?::-(?P<default>[^}]*))?[}]")
# What differs by design: where it listens and where its records are.
OF_THE_CONTAINER = {
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "inter.broker.listener.name",
    "controller.quorum.voters",
    "log.dirs",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return tree


def containers_of_ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: it for name, it in compose["services"].items() if it["image"] == "tickertape"}


def settings_of(environment: dict[str, Any]) -> dict[str, str]:
    """The environment where the user's shell sets nothing."""
    return {k: OURS.sub(lambda m: m["default"] or "", str(v)) for k, v in environment.items()}


def names_of(field: str) -> tuple[str, ...]:
    alias = Settings.model_fields[field].validation_alias
    return tuple(str(choice) for choice in alias.choices)  # type: ignore[union-attr]


def test_every_variable_is_a_setting(compose: dict[str, Any]) -> None:
    known = {name for field in Settings.model_fields for name in names_of(field)}
    for name, service in containers_of_ours(compose).items():
        assert set(service["environment"]) <= known, name
        for variable, value in service["environment"].items():
            asked = OURS.fullmatch(str(value))
            assert asked is None or asked["name"] == variable


def test_the_defaults_are_those_of_the_code(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings_of(containers_of_ours(compose)["worker"]["environment"])
    for name in {name for field in Settings.model_fields for name in names_of(field)}:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    for name, shown in describe(settings).items():
        if name not in {"KAFKA_BROKERS", "TICKERTAPE_WEB_ALLOWED_HOSTS"}:
            assert shown["value"] == shown["default"], name


def test_workers_and_producers_reach_kafka(compose: dict[str, Any]) -> None:
    kafka = compose["services"]["kafka"]["environment"]
    advertised = dict(
        listener.split("://") for listener in kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    listening = dict(listener.split("://:") for listener in kafka["KAFKA_LISTENERS"].split(","))
    for name, address in advertised.items():
        assert address.rpartition(":")[2] == listening[name]
    for service in containers_of_ours(compose).values():
        assert service["environment"]["KAFKA_BROKERS"] == advertised["CONTAINERS"]
    port = Settings.model_fields["broker_port"].default
    assert advertised["HOST"] == f"{config.HOST}:{port}"
    assert compose["services"]["kafka"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_kafka_is_the_embedded_one(compose: dict[str, Any]) -> None:
    kafka = compose["services"]["kafka"]
    assert kafka["image"] == f"apache/kafka:{KAFKA_VERSION}"
    lines = config.properties(Path("/d"), 9092, 9093).splitlines()
    embedded = dict(line.split("=", 1) for line in lines)
    for variable, value in kafka["environment"].items():
        key = variable.removeprefix("KAFKA_").lower().replace("_", ".")
        if key not in OF_THE_CONTAINER:
            assert embedded[key] == str(value), key


def test_what_runs_on_is_watched(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        runs_on = service["restart"] != "no"
        assert ("healthcheck" in service) == runs_on, name
    needs = {name: set(s.get("depends_on", {})) for name, s in compose["services"].items()}
    assert needs["worker"] == {"topics"}
    assert needs["topics"] == {"kafka"}


def test_the_pages_are_for_this_machine_only(compose: dict[str, Any]) -> None:
    port = Settings.model_fields["web_port"].default
    assert compose["services"]["worker"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    given = settings_of(compose["services"]["worker"]["environment"])
    assert given["TICKERTAPE_WEB_ALLOWED_HOSTS"].split(",") == ["localhost", "worker"]
    assert f"localhost:{port}/readyz" in compose["services"]["worker"]["healthcheck"]["test"][-1]


class TestImage:
    @pytest.fixture
    def lines(self) -> list[str]:
        return (ROOT / "deploy" / "Dockerfile").read_text("utf-8").splitlines()

    def test_is_not_run_by_root(self, lines: list[str]) -> None:
        users = [line.split()[1] for line in lines if line.startswith("USER ")]
        assert users == ["tickertape"]
        assert lines.index("USER tickertape") < lines.index('ENTRYPOINT ["faust", "-A", "app"]')

    def test_copies_what_is_there_and_let_in(self, lines: list[str]) -> None:
        let_in = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        for line in lines:
            if line.startswith("COPY ") and "--from" not in line:
                for source in line.split()[1:-1]:
                    assert list(ROOT.glob(source)), source
                    assert f"!{source}" in let_in, source

    def test_copies_every_room_that_a_worker_imports(self, lines: list[str]) -> None:
        rooms = {name.partition(".")[0] for name in reached("app")} - {"app", "commands"}
        copied = {line.split()[1] for line in lines if line.startswith("COPY ")}
        assert {"agents", "tickertape", "worker"} <= rooms
        assert rooms - copied == set()

    def test_names_that_it_serves_are_set(self, lines: list[str]) -> None:
        """It listens on 0.0.0.0: without them a page rebound to loopback could read from it."""
        text = "\n".join(lines)
        assert "TICKERTAPE_WEB_HOST=0.0.0.0" in text
        assert "TICKERTAPE_WEB_ALLOWED_HOSTS=localhost" in text

    def test_extras_are_asked_for_when_it_is_built(
        self, lines: list[str], compose: dict[str, Any]
    ) -> None:
        args = compose["x-tickertape"]["build"]["args"]
        assert [f"ARG {name}=" for name in args] == [x for x in lines if x.startswith("ARG ")]
        assert settings_of(args) == {"EXTRAS": ""}

    def test_its_variables_are_settings(self, lines: list[str]) -> None:
        text = "\n".join(lines)
        known = {env_name(field) for field in Settings.model_fields}
        assert set(re.findall(r"TICKERTAPE_[A-Z_]+", text)) <= known
        assert f"EXPOSE {Settings.model_fields['web_port'].default}" in lines
