"""Summaries: providers by name, and which of them the settings ask for."""

from __future__ import annotations

from importlib import import_module

from tickertape.llm import provider_of
from tickertape.llm.base import LanguageModel
from tickertape.settings import Settings
from tickertape.summarize.base import Summarizer
from tickertape.summarize.together import SentenceEncoder

# name -> "module:Class"; a class has ``create(settings, encoder, model)``.
SUMMARIZERS = {
    "extractive": "tickertape.summarize.extractive:ExtractiveSummarizer",
    "llm": "tickertape.summarize.llm:LLMSummarizer",
}


def open_summarizer(
    settings: Settings, encoder: SentenceEncoder, model: LanguageModel | None = None
) -> Summarizer:
    """Return the summariser of the settings, not started: an LLM where they name one.

    ``encoder`` is the embedding runner; ``model`` the language model that others ask too, else one
    of its own. Nothing is asked of either yet.

    Raises:
        SettingsError: LLM_URL is not set, or LLM_API_KEY cannot be used.
    """
    name = "llm" if provider_of(settings) else "extractive"
    module, _, class_ = SUMMARIZERS[name].partition(":")
    made: Summarizer = getattr(import_module(module), class_).create(settings, encoder, model)
    return made
