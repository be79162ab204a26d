"""Workers and commands get into a Kafka that lets in only whom it knows, with the rights that the
docs list and no more; who is not let in is told why in one line."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer

from testkit.broker import topic_settings, unique, worker_env
from testkit.secure_broker import PASSWORD, USER, SecureBroker, secure_broker
from testkit.system import ROOT, WAIT_SECONDS_MAX, Worker, until
from tickertape import kafka_admin
from tickertape.kafka.brokers import brokers_of, client
from tickertape.settings import Settings, env_name

PREFIX = "tickertape-secured"  # the rights are for what begins with tickertape
CLIENT, CLIENT_SECRET = "worker", "the client's secret"
RUNBOOK = ROOT / "docs" / "kafka.md"


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[SecureBroker]:
    folder = tmp_path / "kafka"
    folder.mkdir()
    async with secure_broker(folder) as broker:
        yield broker


def settings_of(env: dict[str, str]) -> Settings:
    given = {name: env.get(env_name(name)) for name in Settings.model_fields}
    return Settings(**cast(Any, {name: value for name, value in given.items() if value}))


def documented() -> list[list[str]]:
    """The rights of docs/kafka.md, as words of kafka-acls."""
    text = RUNBOOK.read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("kafka-acls.sh ")]
    who = "--allow-principal User:tickertape "
    return [line.partition(who)[2].split() for line in lines]


@asynccontextmanager
async def token_server() -> AsyncIterator[str]:
    """Gives tokens as an identity provider does, to whom it knows; gives its URL."""

    async def token(request: web.Request) -> web.Response:
        expected = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            return web.json_response({"error": "invalid_client"}, status=401)
        form = await request.post()
        assert form["grant_type"] == "client_credentials"
        now = int(time.time())
        parts = ({"alg": "none"}, {"sub": USER, "iat": now, "exp": now + 300})
        coded = (base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
        jwt = ".".join(part.decode().rstrip("=") for part in coded) + "."
        return web.json_response({"access_token": jwt, "expires_in": 300})

    app = web.Application()
    app.router.add_post("/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}/token".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def command(env: dict[str, str], *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "faust", "-A", "app", *words),
        cwd=ROOT,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), WAIT_SECONDS_MAX)
    return process.returncode or 0, out.decode(), err.decode()


async def test_each_way_in_does_the_whole_job(
    secured: SecureBroker, model_cache: Path, tmp_path: Path
) -> None:
    rights = documented()
    assert len(rights) >= 2
    for words in rights:
        await secured.allow(*words)
    async with token_server() as url:
        oauth = {
            **secured.token,
            "KAFKA_OAUTH_TOKEN_URL": url,
            "KAFKA_OAUTH_CLIENT_ID": CLIENT,
            "KAFKA_OAUTH_CLIENT_SECRET": CLIENT_SECRET,
        }
        for number, way in enumerate((secured.scram, secured.mutual, oauth)):
            names = topic_settings(unique(PREFIX))
            env = {
                **worker_env(cast(Any, SimpleNamespace(bootstrap="")), tmp_path / str(number)),
                **names,
                "TICKERTAPE_APP_ID": unique(PREFIX),
                "TICKERTAPE_MODELS_DIR": str(model_cache),
                "TICKERTAPE_OFFLINE": "1",
            }
            admin = settings_of({**env, **secured.admin})
            wanted = [replace(topic, partitions=1) for topic in kafka_admin.wanted(admin)]
            (await kafka_admin.ensure(brokers_of(admin), wanted)).raise_for_errors()
            await does_all(SimpleNamespace(folder=tmp_path, env={**env, **way}))


async def does_all(system: Any) -> None:
    worker = Worker(system)
    await worker.start()
    try:
        await worker.ready()
        document = {"id": "d-1", "text": "Revenue rose nine per cent to $12 million. It did."}
        words = ("send", "--topic", system.env["INPUT_TOPIC"], "--no-wait", json.dumps(document))
        code, _, said = await command(system.env, *words)
        assert (code, said.count("Traceback")) == (0, 0), said
        producer = AIOKafkaProducer(**client(brokers_of(settings_of(system.env))))
        async with producer:
            await producer.send_and_wait(system.env["INPUT_TOPIC"], b"no JSON", key=b"bad")

        async def found() -> bool:
            answer = await worker.json("/search", q="revenue")
            return [hit["id"] for hit in answer["results"]] == ["d-1"]

        await until(found, f"the document to be found:\n{worker.tail()}")

        async def summarised() -> bool:
            _, out, _ = await command(
                system.env,
                "read",
                "llm-results",
                "--from-beginning",
                "--max-messages",
                "1",
                "--json",
            )
            return "d-1" in out

        await until(summarised, f"a summary:\n{worker.tail()}")

        async def dead() -> bool:
            code, out, _ = await command(system.env, "dlq", "list", "--json")
            return code == 0 and "bad" in out

        await until(dead, f"a dead letter:\n{worker.tail()}")
        log = worker.log.read_text("utf-8")
        assert PASSWORD not in log
        assert "Traceback" not in log
        async with httpx.AsyncClient() as asking:
            shown = (await asking.get(f"http://127.0.0.1:{worker.port}/config")).text
        assert not {PASSWORD, CLIENT_SECRET} & set(shown.split('"'))
        await worker.stop()
    finally:
        if worker.process.returncode is None:
            await worker.kill()


async def test_who_is_not_let_in_is_told_why(secured: SecureBroker, tmp_path: Path) -> None:
    base = worker_env(cast(Any, SimpleNamespace(bootstrap="")), tmp_path)
    wrong = {
        "NoMatchingPassword": {**secured.scram, "KAFKA_SASL_PASSWORD": "guessed"},
        "Unknown": {k: v for k, v in secured.scram.items() if k != "KAFKA_SSL_CAFILE"},
        "NoCertificate": {k: v for k, v in secured.mutual.items() if k != "KAFKA_SSL_CERTFILE"},
    }
    said = {}
    for what, env in wrong.items():
        for words in (("topics", "check"), ("worker",)):
            code, _, err = await command({**base, **env}, *words)
            assert code == 1
            lines = err.strip().splitlines()
            said[what] = lines[-1]
            assert "lets us in at localhost" in lines[-1], err
            assert "Traceback" not in err
            assert "guessed" not in err
    assert "authentication" in said["NoMatchingPassword"].lower()
    assert "certificate verify failed" in said["Unknown"].lower()
