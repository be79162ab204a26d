"""Summaries: providers by name, and which of them the settings ask for."""

from __future__ import annotations

from importlib import import_module

from tickertape.settings import Settings
from tickertape.summarize.base import Summarizer
from tickertape.summarize.together import SentenceEncoder

# name -> "module:Class"; a class has ``create(settings, encoder)``.
SUMMARIZERS = {
    "extractive": "tickertape.summarize.extractive:ExtractiveSummarizer",
    "llm": "tickertape.summarize.llm:LLMSummarizer",
}


def open_summarizer(settings: Settings, encoder: SentenceEncoder) -> Summarizer:
    """Return the summariser of the settings, not started: an LLM where ``llm_url`` names one.

    ``encoder`` is the embedding runner. Nothing is asked of either yet.

    Raises:
        SettingsError: LLM_API_KEY cannot be used.
    """
    module, _, name = SUMMARIZERS["llm" if settings.llm_url else "extractive"].partition(":")
    summarizer: Summarizer = getattr(import_module(module), name).create(settings, encoder)
    return summarizer
