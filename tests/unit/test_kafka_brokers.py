"""The arguments of every client: what gets us in, and that it is nowhere printed."""

from __future__ import annotations

import logging
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from tickertape.errors import SettingsError
from tickertape.kafka.brokers import Brokers, Tokens, brokers_of, client, refusal, unreachable
from tickertape.settings import Settings

ROOT = Path(__file__).parents[2]
SECRET = "do-not-show-me"


def settings(**fields: Any) -> Settings:
    return Settings(brokers="b:9093", **fields)


def test_open_brokers_take_their_address_alone() -> None:
    assert client("b:9092") == client(Brokers("b:9092")) == {"bootstrap_servers": "b:9092"}
    assert client(brokers_of(settings())) == {"bootstrap_servers": "b:9093"}


def test_a_name_and_a_password_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n", "utf-8")
    made = brokers_of(
        settings(
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-256",
            sasl_username="me",
            sasl_password_file=tmp_path / "password",
        )
    )
    assert client(made) == {
        "bootstrap_servers": "b:9093",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "me",
        "sasl_plain_password": SECRET,
    }
    assert SECRET not in f"{made} {made!r}"
    with pytest.raises(SettingsError, match=r"^KAFKA_SASL_PASSWORD_FILE: .*/none cannot"):
        brokers_of(
            settings(
                security_protocol="SASL_PLAINTEXT",
                sasl_mechanism="PLAIN",
                sasl_username="me",
                sasl_password_file=tmp_path / "none",
            )
        )


def test_tls_trusts_whom_it_is_told_to(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = {"security_protocol": "SSL", "ssl_ca_file": tmp_path / "ca.pem"}
    context = client(brokers_of(settings(**tls)))["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.check_hostname, len(context.get_ca_certs())) == (True, 1)
    loose = client(brokers_of(settings(**tls, ssl_check_hostname=False)))["ssl_context"]
    assert (loose.check_hostname, loose.verify_mode) == (False, ssl.CERT_REQUIRED)


@pytest.mark.parametrize("name", ["ssl_ca_file", "ssl_cert_file"])
def test_a_file_that_is_none_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no PEM", "utf-8")
    said = {"ssl_ca_file": "KAFKA_SSL_CAFILE", "ssl_cert_file": "KAFKA_SSL_CERTFILE"}[name]
    for path in (tmp_path / "bad.pem", tmp_path / "none.pem"):
        with pytest.raises(SettingsError, match=f"^{said}: expected PEM files.*{path.name}"):
            brokers_of(settings(security_protocol="SSL", **{name: path}))


def test_why_we_are_not_let_in_is_what_the_client_logs() -> None:
    with refusal() as said:
        logging.getLogger("aiokafka.conn").error("Unable to connect:\n  %s", "bad password")
    closed = Brokers("b:9093", {"security_protocol": "SSL"})
    assert unreachable(closed, said).startswith(
        "no Kafka broker lets us in at b:9093 (Unable to connect: bad password): see KAFKA_BROKERS"
    )
    assert unreachable("b:9092", said) == (
        "no Kafka broker answers at b:9092: start it, or correct KAFKA_BROKERS"
    )


async def test_a_token_is_kept_until_shortly_before_it_expires() -> None:
    asked: list[dict[str, Any]] = []
    lasts = [1000, 0, "soon"]

    async def token(request: web.Request) -> web.Response:
        asked.append(dict(await request.post()))
        made = {"access_token": f"t{len(asked)}", "expires_in": lasts[len(asked) - 1]}
        return web.json_response(made)

    app = web.Application()
    app.router.add_post("/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}/token".format(*runner.addresses[0][:2])
    try:
        tokens = Tokens(url, "me", SECRET, "kafka")
        assert [await tokens.token(), await tokens.token()] == ["t1", "t1"]
        assert asked == [{"grant_type": "client_credentials", "scope": "kafka"}]
        tokens._until = 0.0
        assert await tokens.token() == "t2"
        tokens._until = 0.0
        with pytest.raises(OSError, match=f"^no token from {url}: ValueError"):
            await tokens.token()
    finally:
        await runner.cleanup()
    with pytest.raises(OSError, match=r"^no token from .*: ConnectError"):
        await Tokens(url, "me", SECRET, None).token()


def test_every_client_of_ours_asks_here_how_to_get_in() -> None:
    """A client with an address alone would not get into brokers that ask who it is."""
    address = r"(?<!kafka\.)bootstrap_servers[=\"']"
    alone = re.compile(address + r"|kafka_admin\.\w+\(\s*\w*settings\.bootstrap")
    rooms = ("tickertape", "worker", "runtime", "agents", "web", "tables")
    for path in (p for room in rooms for p in (ROOT / room).rglob("*.py")):
        if path.name != "brokers.py":
            assert not alone.search(path.read_text("utf-8")), path
