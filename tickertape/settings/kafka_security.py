"""How we get into Kafka: TLS, and who we say that we are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from tickertape.settings.kafka import KafkaSettings
from tickertape.settings.section import env

_PROTOCOL = "KAFKA_SECURITY_PROTOCOL"


class KafkaSecuritySettings(KafkaSettings):
    """Kafka, with TLS and SASL for each client that we open."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT",
        validation_alias=env(_PROTOCOL),
        description="How Kafka is spoken to: `SSL` is TLS, `SASL_` with a name and a password "
        "or a token.",
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = (
        Field(
            None,
            validation_alias=env("KAFKA_SASL_MECHANISM"),
            description="How we say who we are, with `SASL_`.",
        )
    )
    sasl_username: str | None = Field(
        None, validation_alias=env("KAFKA_SASL_USERNAME"), description="Of PLAIN and SCRAM."
    )
    sasl_password: SecretStr | None = Field(
        None, validation_alias=env("KAFKA_SASL_PASSWORD"), description="Of PLAIN and SCRAM."
    )
    sasl_password_file: Path | None = Field(
        None,
        validation_alias=env("KAFKA_SASL_PASSWORD_FILE"),
        description="File that holds the password.",
    )
    oauth_token_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s@]+$",
        validation_alias=env("KAFKA_OAUTH_TOKEN_URL"),
        description="Of OAUTHBEARER: where tokens are had, by client credentials.",
    )
    oauth_client_id: str | None = Field(
        None, validation_alias=env("KAFKA_OAUTH_CLIENT_ID"), description="Of OAUTHBEARER."
    )
    oauth_client_secret: SecretStr | None = Field(
        None, validation_alias=env("KAFKA_OAUTH_CLIENT_SECRET"), description="Of OAUTHBEARER."
    )
    oauth_scope: str | None = Field(
        None,
        validation_alias=env("KAFKA_OAUTH_SCOPE"),
        description="Of OAUTHBEARER: scopes asked for, if any.",
    )
    ssl_ca_file: Path | None = Field(
        None,
        validation_alias=env("KAFKA_SSL_CAFILE"),
        description="Who vouches for the brokers (PEM). Unset: whom the system trusts.",
    )
    ssl_cert_file: Path | None = Field(
        None,
        validation_alias=env("KAFKA_SSL_CERTFILE"),
        description="Our certificate (PEM), where brokers ask for one.",
    )
    ssl_key_file: Path | None = Field(
        None, validation_alias=env("KAFKA_SSL_KEYFILE"), description="Its key (PEM)."
    )
    ssl_key_password: SecretStr | None = Field(
        None, validation_alias=env("KAFKA_SSL_KEY_PASSWORD"), description="Of that key, if any."
    )
    ssl_check_hostname: bool = Field(
        True,
        validation_alias=env("KAFKA_SSL_CHECK_HOSTNAME"),
        description="Whether a broker's certificate has to name its host.",
    )

    @model_validator(mode="after")
    def _of_one_piece(self) -> Self:
        protocol, mechanism = self.security_protocol, self.sasl_mechanism
        tls = protocol.endswith("SSL")
        if protocol != "PLAINTEXT" and self.embedded_broker:
            raise ValueError(f"KAFKA_BROKERS: expected with {_PROTOCOL}={protocol}")
        for name, value in (
            ("KAFKA_SSL_CAFILE", self.ssl_ca_file),
            ("KAFKA_SSL_CERTFILE", self.ssl_cert_file),
            ("KAFKA_SSL_KEYFILE", self.ssl_key_file),
        ):
            if value is not None and not tls:
                raise ValueError(f"{_PROTOCOL}: expected SSL or SASL_SSL with {name}")
        if self.ssl_key_file is not None and self.ssl_cert_file is None:
            raise ValueError("KAFKA_SSL_CERTFILE: expected with KAFKA_SSL_KEYFILE")
        if not protocol.startswith("SASL_"):
            if mechanism is not None:
                raise ValueError(
                    f"{_PROTOCOL}: expected SASL_SSL or SASL_PLAINTEXT with KAFKA_SASL_MECHANISM"
                )
            return self
        if mechanism is None:
            raise ValueError(f"KAFKA_SASL_MECHANISM: expected with {_PROTOCOL}={protocol}")
        needed: dict[str, object] = {
            "KAFKA_SASL_USERNAME": self.sasl_username,
            "KAFKA_SASL_PASSWORD": self.sasl_password or self.sasl_password_file,
        }
        if mechanism == "OAUTHBEARER":
            needed = {
                "KAFKA_OAUTH_TOKEN_URL": self.oauth_token_url,
                "KAFKA_OAUTH_CLIENT_ID": self.oauth_client_id,
                "KAFKA_OAUTH_CLIENT_SECRET": self.oauth_client_secret,
            }
        for name, given in needed.items():
            if not given:
                raise ValueError(f"{name}: expected with KAFKA_SASL_MECHANISM={mechanism}")
        return self
