"""How the topics of a flow belong together: the user's own, re-keyed, retries."""

from __future__ import annotations

from tickertape import topics
from tickertape.delivery.spec import Route


def routes(topic: str, *, retries: int = 0, rekeys: bool = False) -> dict[str, Route]:
    """Return the routes of a topic that users produce to (or, without both, of one of ours)."""
    found = {topic: Route(topic, rekeys=rekeys)}
    if rekeys:
        found[topics.rekeyed(topic)] = Route(topic, internal=True)
    for level in range(retries):
        found[topics.retry(topic, level)] = Route(topic, attempts=level + 1, internal=True)
    return found


def internal(topic: str, *, retries: int = 0) -> dict[str, Route]:
    """Return the routes of a topic that only we produce to: its headers are believed."""
    return {**routes(topic, retries=retries), topic: Route(topic, internal=True)}
