"""Tickertape: streams of documents and text into searchable vectors, summaries and answers."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("tickertape")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0.0.0"
