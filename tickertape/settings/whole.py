"""All sections in one."""

from __future__ import annotations

from pydantic import PrivateAttr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from tickertape.settings.delivery import DeliverySettings
from tickertape.settings.embedding import EmbeddingSettings
from tickertape.settings.kafka_security import KafkaSecuritySettings
from tickertape.settings.llm import LLMSettings
from tickertape.settings.log import LogSettings
from tickertape.settings.sources import SourceSettings
from tickertape.settings.storage import StorageSettings
from tickertape.settings.web import WebSettings


# Python looks through bases from the left, pydantic takes fields from the right: Kafka is first
class Settings(
    LogSettings,
    WebSettings,
    DeliverySettings,
    SourceSettings,
    LLMSettings,
    EmbeddingSettings,
    StorageSettings,
    KafkaSecuritySettings,
    BaseSettings,
):
    """All settings. Build it with `load`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
    )

    _ignored: tuple[str, ...] = PrivateAttr(())

    @property
    def ignored(self) -> tuple[str, ...]:
        """What config.yaml has that nothing here needs, a line each."""
        return self._ignored

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # By their own names alone: a field's name is anybody's variable (SSL_CERT_FILE, OFFLINE).
        for source in (env_settings, dotenv_settings):
            source.config = {**source.config, "populate_by_name": False}
        return init_settings, env_settings, dotenv_settings
