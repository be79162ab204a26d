"""Where Kafka is, and how one gets in: the arguments of every client that we open."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiokafka.abc import AbstractTokenProvider

from tickertape.errors import SettingsError
from tickertape.settings import Settings

TOKEN_SECONDS_MAX = 10.0  # to get a token
TOKEN_EARLY_SECONDS = 60.0  # before it expires, the next is asked for
TOKEN_SECONDS = 300.0  # where the server does not say how long one lasts


@dataclass(frozen=True, slots=True)
class Brokers:
    """As text it is ``address`` alone: what gets us in is nowhere printed."""

    address: str  # host:port, comma-separated
    security: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.address


def brokers_of(settings: Settings) -> Brokers:
    """Return where the settings say that Kafka is.

    Raises:
        SettingsError: a file that they name cannot be used.
    """
    return Brokers(settings.bootstrap, {} if settings.embedded_broker else _security(settings))


def client(at: Brokers | str) -> dict[str, Any]:
    """Return the arguments by which a client of aiokafka reaches these brokers; a text is host:port
    of brokers that are open."""
    if isinstance(at, str):
        return {"bootstrap_servers": at}
    return {"bootstrap_servers": at.address, **at.security}


@contextmanager
def refusal() -> Iterator[list[str]]:
    """Gather why brokers could not be reached: aiokafka tells it to its log alone, and raises the
    same for a wrong password, an unknown certificate and a machine that is away."""
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(" ".join(record.getMessage().split())[:300])

    ear = Ear(logging.ERROR)
    log = logging.getLogger("aiokafka")
    log.addHandler(ear)
    try:
        yield said
    finally:
        log.removeHandler(ear)


def unreachable(at: Brokers | str, said: list[str]) -> str:
    """Return the line for brokers that do not let us in, with what was ``said``."""
    if isinstance(at, str) or not at.security:
        return f"no Kafka broker answers at {at}: start it, or correct KAFKA_BROKERS"
    why = f" ({said[-1]})" if said else ""
    return (
        f"no Kafka broker lets us in at {at}{why}: see KAFKA_BROKERS, KAFKA_SECURITY_PROTOCOL and "
        "what goes with it"
    )


def _security(settings: Settings) -> dict[str, Any]:
    protocol = settings.security_protocol
    if protocol == "PLAINTEXT":
        return {}
    found: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        found["ssl_context"] = _context(settings)
    if protocol.startswith("SASL_"):
        found["sasl_mechanism"] = settings.sasl_mechanism
        if settings.sasl_mechanism == "OAUTHBEARER":
            found["sasl_oauth_token_provider"] = Tokens.of(settings)
        else:
            found["sasl_plain_username"] = settings.sasl_username
            found["sasl_plain_password"] = _password(settings)
    return found


def _context(settings: Settings) -> ssl.SSLContext:
    ca, cert, key = settings.ssl_ca_file, settings.ssl_cert_file, settings.ssl_key_file
    name = "KAFKA_SSL_CAFILE"
    try:
        context = ssl.create_default_context(cafile=ca)
        context.check_hostname = settings.ssl_check_hostname
        if cert is not None:
            name = "KAFKA_SSL_CERTFILE"
            secret = settings.ssl_key_password
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(cert, key, secret.get_secret_value() if secret else "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingsError(
            f"{name}: expected PEM files that belong together, got {ca if cert is None else cert} "
            f"({getattr(error, 'strerror', None) or error})"
        ) from None
    return context


def _password(settings: Settings) -> str:
    if settings.sasl_password is not None:
        return settings.sasl_password.get_secret_value()
    assert settings.sasl_password_file is not None
    try:
        return settings.sasl_password_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"KAFKA_SASL_PASSWORD_FILE: {settings.sasl_password_file} cannot be read ({reason})"
        ) from None


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """OAUTHBEARER's tokens, by client credentials (RFC 6749, section 4.4): one is kept until
    shortly before it expires."""

    def __init__(self, url: str, client_id: str, secret: str, scope: str | None) -> None:
        self._url, self._who, self._scope = url, (client_id, secret), scope
        self._token, self._until = "", 0.0  # monotonic
        self._one = asyncio.Lock()

    @classmethod
    def of(cls, settings: Settings) -> Tokens:
        """Build from the settings, which have checked that all of it is there."""
        url, id, secret = (
            settings.oauth_token_url,
            settings.oauth_client_id,
            settings.oauth_client_secret,
        )
        assert url is not None
        assert id is not None
        assert secret is not None
        return cls(url, id, secret.get_secret_value(), settings.oauth_scope)

    async def token(self) -> str:
        """Return a token that is still good.

        Raises:
            OSError: no token was given.
        """
        async with self._one:
            if time.monotonic() >= self._until:
                await self._renew()
            return self._token

    async def _renew(self) -> None:
        form = {"grant_type": "client_credentials"}
        if self._scope:
            form["scope"] = self._scope
        try:
            async with httpx.AsyncClient(timeout=TOKEN_SECONDS_MAX) as asking:
                answer = await asking.post(self._url, data=form, auth=self._who)
            found = answer.raise_for_status().json()
            self._token = str(found["access_token"])
            lasts = float(found.get("expires_in") or TOKEN_SECONDS)
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            # An OSError: of whatever else is raised here aiokafka makes a traceback.
            raise OSError(f"no token from {self._url}: {type(error).__name__}") from None
        self._until = time.monotonic() + max(lasts / 2, lasts - TOKEN_EARLY_SECONDS)
