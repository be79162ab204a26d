"""The running worker: what it is made of, how it stands, and how its process is set up."""

from runtime.lifecycle import Worker

__all__ = ["Worker"]
