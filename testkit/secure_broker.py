"""A real broker that lets in only whom it knows: by SCRAM, mutual TLS or tokens, under ACLs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

from testkit.broker import free_port
from tickertape.broker import config, jars, storage

ADMIN, ADMIN_PASSWORD = "admin", "the admin's password"
USER, PASSWORD = "tickertape", "s3cret & \u00fcml\u00e4ut"
START_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class SecureBroker:
    """A running one. Each environment is what a user would set to get in."""

    folder: Path
    scram: Mapping[str, str]  # as USER
    mutual: Mapping[str, str]  # by a certificate of USER's name
    token: Mapping[str, str]  # by OAUTHBEARER; its token URL is the test's to add
    admin: Mapping[str, str]  # may do everything
    _admin_file: Path

    async def allow(self, *words: str) -> None:
        """Add ACLs for USER, in the words of kafka-acls."""
        await self._tool("org.apache.kafka.tools.AclCommand", "--add", "--force", *_user(words))

    async def _tool(self, name: str, *words: str) -> None:
        address = self.admin["KAFKA_BROKERS"]
        process = await asyncio.create_subprocess_exec(
            *(*_java(), name, "--bootstrap-server", address, "--command-config"),
            *(str(self._admin_file), *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        if process.returncode:
            raise AssertionError(said.decode())


@asynccontextmanager
async def secure_broker(folder: Path) -> AsyncIterator[SecureBroker]:
    """Make certificates and users, start the broker, and stop it by its own pid."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("broker", USER):
        _certificate(ca, name, folder / f"{name}.pem")
    scram, mutual, token, controller = (free_port() for _ in range(4))
    text = _properties(folder, scram, mutual, token, controller)
    (folder / "server.properties").write_text(text, "latin-1")
    _format(folder, [f"[name={u},password={p}]" for u, p in _USERS.items()])
    tls = {"KAFKA_SSL_CAFILE": str(folder / "ca.pem")}
    sasl = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", **tls, "KAFKA_BROKERS": f"localhost:{scram}"}
    sasl["KAFKA_SASL_MECHANISM"] = "SCRAM-SHA-512"

    def by(user: str) -> dict[str, str]:
        return {**sasl, "KAFKA_SASL_USERNAME": user, "KAFKA_SASL_PASSWORD": _USERS[user]}

    made = SecureBroker(
        folder,
        by(USER),
        {
            "KAFKA_BROKERS": f"localhost:{mutual}",
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CERTFILE": str(folder / f"{USER}.pem"),
            **tls,
        },
        {
            "KAFKA_BROKERS": f"localhost:{token}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            **tls,
        },
        by(ADMIN),
        _admin_config(folder),
    )
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(*_java(), "kafka.Kafka", str(folder / "server.properties")), stdout=log, stderr=log
        )
    try:
        await _listening(process, (scram, mutual, token), folder / "log")
        yield made
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


_USERS = {ADMIN: ADMIN_PASSWORD, USER: PASSWORD}


def _user(words: Sequence[str]) -> list[str]:
    return ["--allow-principal", f"User:{USER}", *words]


def _java() -> list[str]:
    return [str(jars.java()), *config.JVM, "-cp", jars.classpath(lambda _: None)]


def _certificate(ca: trustme.CA, name: str, path: Path) -> None:
    """Key and chain in one file. Java reads PKCS#8 alone, which trustme does not write."""
    made = ca.issue_cert("localhost", common_name=name)
    key = serialization.load_pem_private_key(made.private_key_pem.bytes(), None)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(pem + b"".join(blob.bytes() for blob in made.cert_chain_pems))


def _properties(folder: Path, scram: int, mutual: int, token: int, controller: int) -> str:
    own = config.properties(folder / "data", scram, controller).splitlines()
    values = dict(line.split("=", 1) for line in own)
    module = "org.apache.kafka.common.security"
    values |= {
        "listeners": f"SCRAM://localhost:{scram},MUTUAL://localhost:{mutual},"
        f"TOKEN://localhost:{token},CONTROLLER://localhost:{controller}",
        "advertised.listeners": f"SCRAM://localhost:{scram},MUTUAL://localhost:{mutual},"
        f"TOKEN://localhost:{token}",
        "listener.security.protocol.map": "SCRAM:SASL_SSL,MUTUAL:SSL,TOKEN:SASL_SSL,CONTROLLER:SSL",
        "inter.broker.listener.name": "MUTUAL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.controller.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule "
        "required;",
        "listener.name.token.sasl.enabled.mechanisms": "OAUTHBEARER",
        # Takes tokens without a signature: the protocol is the real one, the trust a test's.
        "listener.name.token.oauthbearer.sasl.jaas.config": f"{module}.oauthbearer."
        'OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:broker;User:{ADMIN}",
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _format(folder: Path, users: Sequence[str]) -> None:
    scram = [word for user in users for word in ("--add-scram", f"SCRAM-SHA-512={user}")]
    done = subprocess.run(
        [
            *(*_java(), "kafka.tools.StorageTool", "format", "--standalone"),
            *("-t", storage.new_cluster_id(), "-c", str(folder / "server.properties"), *scram),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)


def _admin_config(folder: Path) -> Path:
    path = folder / "admin.properties"
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    path.write_text(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\n"
        f"ssl.truststore.location={folder / 'ca.pem'}\n"
        f"sasl.jaas.config={module} required "
        f'username="{ADMIN}" password="{ADMIN_PASSWORD}";\n',
        "latin-1",
    )
    return path


async def _listening(process: asyncio.subprocess.Process, ports: Sequence[int], log: Path) -> None:
    async with asyncio.timeout(START_SECONDS_MAX):
        for port in ports:
            while True:
                if process.returncode is not None:
                    said = await asyncio.to_thread(log.read_text, "utf-8", "replace")
                    raise AssertionError(said[-4000:])
                try:
                    _, writer = await asyncio.open_connection("localhost", port)
                except OSError:
                    await asyncio.sleep(0.1)
                    continue
                writer.close()
                break
