"""Language models: providers by name, and which of them the settings ask for."""

from __future__ import annotations

from importlib import import_module

from tickertape.llm.base import LanguageModel
from tickertape.settings import Settings

# name -> "module:Class"; a class has ``create(settings)``.
PROVIDERS = {
    "openai": "tickertape.llm.openai:OpenAIModel",
}
NONE = "none"


def provider_of(settings: Settings) -> str | None:
    """Return the provider's name: LLM_PROVIDER's, else LLM_URL's; None where there is none."""
    name = settings.llm_provider or ("openai" if settings.llm_url else NONE)
    return None if name == NONE else name


def open_llm(settings: Settings) -> LanguageModel | None:
    """Return the language model of the settings, not started; None where they name none.

    Nothing is asked of it yet.

    Raises:
        SettingsError: LLM_URL is not set, or LLM_API_KEY cannot be used.
    """
    name = provider_of(settings)
    if name is None:
        return None
    module, _, class_ = PROVIDERS[name].partition(":")
    model: LanguageModel = getattr(import_module(module), class_).create(settings)
    return model
