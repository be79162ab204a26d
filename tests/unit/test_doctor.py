"""What `doctor` says of the LLM server and of the worker that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from testkit.broker import free_port
from testkit.llm.double import LlmDouble
from tests.web_parts import Parts, served
from tickertape.cli import batches, doctor
from tickertape.cli.check import Check
from tickertape.cli.doctor import _llm
from tickertape.cli.standing import ask_worker, worker_address
from tickertape.settings import Settings


async def asked(address: str) -> list[Check]:
    return [check async for check in ask_worker(address)]


async def of(services: Parts) -> list[Check]:
    async with served(services) as client:
        return await asked(str(client.make_url("")).rstrip("/"))


async def test_a_worker_that_is_ready(services: Parts) -> None:
    (check,) = await of(services)
    assert check.ok
    assert "ok at http://" in check.found
    assert "summaries by extractive" in check.found


async def test_what_is_down_for_the_worker_is_wrong_though_this_shell_knows_nothing_of_it(
    services: Parts,
) -> None:
    services.runtime.missing = {"llm": "llm: no connection to vllm:8000", "kafka": "no broker"}
    llm, kafka = await of(services)
    assert (llm.name, llm.ok) == ("worker, llm", False)
    assert llm.found.startswith("no connection to vllm:8000 (at http://")
    assert "LLM_URL" in llm.mend
    assert (kafka.name, kafka.ok) == ("worker, kafka", False)


async def test_no_worker_is_no_mistake() -> None:
    (check,) = await asked(f"http://127.0.0.1:{free_port()}")
    assert check.ok
    assert "none answers" in check.found


@pytest.mark.parametrize("body", ["<html>", "[]", '{"status": "ok"}'])
async def test_something_else_that_answers_is_no_worker(body: str) -> None:
    async def health(_: web.Request) -> web.Response:
        return web.Response(text=body)

    other = web.Application()
    other.router.add_get("/health", health)
    async with TestServer(other) as server:
        (check,) = await asked(str(server.make_url("")).rstrip("/"))
    assert not check.ok
    assert "is no worker of ours" in check.found


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("w.example", "w.example"),
    ],
)
def test_where_a_worker_is_asked(host: str, expected: str) -> None:
    settings = Settings(_env_file=None, web_host=host, web_port=7077)
    assert worker_address(settings) == f"http://{expected}:7077"


async def test_a_model_that_the_server_does_not_have_is_not_ok() -> None:
    async with LlmDouble() as llm:
        has = Settings(_env_file=None, llm_url=llm.url, model_name=llm.model)
        assert (await _llm(has)).ok
        lacks = Settings(_env_file=None, llm_url=llm.url, model_name="another/model")
        check = await _llm(lacks)
    assert not check.ok
    assert "has no model another/model" in check.found
    assert "MODEL_NAME" in check.mend
    assert not (await _llm(has)).ok  # gone


async def test_ollamas_name_of_a_model_without_a_tag() -> None:
    async with LlmDouble(model="mistral:latest") as llm:
        settings = Settings(_env_file=None, llm_url=llm.url, llm_model="mistral")
        assert (await _llm(settings)).ok


def test_without_a_broker_its_own_lines_are_all_that_doctor_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        _env_file=None, data_dir=tmp_path, brokers=f"127.0.0.1:{free_port()}", stores=("nowhere",)
    )
    (command,) = doctor.commands(lambda: settings)
    done = CliRunner().invoke(command)
    assert done.exit_code == 1
    assert "wrong topics: no Kafka broker answers" in done.output
    assert [record for record in caplog.records if record.name.startswith("aiokafka")] == []
    assert all(line.startswith(("ok ", "wrong ", "      ")) for line in done.output.splitlines())


def test_batches_without_a_broker_are_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, brokers=f"127.0.0.1:{free_port()}")
    (group,) = batches.commands(lambda: settings)
    for words in (["list"], ["show", "b"], ["watch", "b"]):
        done = CliRunner().invoke(group, words)
        assert done.exit_code == 1
        assert done.output.startswith("Error: no Kafka broker answers at 127.0.0.1")
        assert done.output.count("\n") == 1
    assert caplog.records == []


async def test_who_waits_is_told_what_is_down_for_the_worker(
    services: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def workers(_bootstrap: str, _group: str) -> int:
        return 1

    monkeypatch.setattr(batches.kafka_admin, "workers", workers)  # the rest is real
    services.runtime.missing = {"llm": "no connection to vllm:8000"}
    async with served(services) as client:
        settings = Settings(_env_file=None, web_port=client.port)
        said = await batches._why(settings, None)
        services.runtime.missing = {}
        assert await batches._why(settings, None) == (
            "a worker runs (queued); what it does: faust -A app doctor"
        )
    assert said.startswith("a worker runs (queued), and is not ready: worker, llm: no connection")
