"""Language models: providers by name, and which of them the settings ask for."""

from __future__ import annotations

from importlib import import_module

from tickertape.llm.base import LanguageModel
from tickertape.settings import Settings

# name -> "module:Class"; a class has ``create(settings)``.
PROVIDERS = {
    "openai": "tickertape.llm.openai:OpenAIModel",
}


def open_llm(settings: Settings) -> LanguageModel:
    """Return the language model of the settings, not started. Nothing is asked of it yet.

    Raises:
        SettingsError: LLM_URL is not set, or LLM_API_KEY cannot be used.
    """
    module, _, name = PROVIDERS["openai"].partition(":")  # the one so far: LLM_URL's
    model: LanguageModel = getattr(import_module(module), name).create(settings)
    return model
