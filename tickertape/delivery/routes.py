"""How the topics of a flow belong together: the user's own, re-keyed, retries."""

from __future__ import annotations

from tickertape import topics
from tickertape.delivery.spec import TopicRoute


def routes(topic: str, *, retries: int = 0, rekeys: bool = False) -> dict[str, TopicRoute]:
    """Return the routes of a topic that users produce to (or, without both, of one of ours)."""
    found = {topic: TopicRoute(topic, rekeys=rekeys)}
    if rekeys:
        found[topics.rekeyed(topic)] = TopicRoute(topic, internal=True)
    for level in range(retries):
        found[topics.retry(topic, level)] = TopicRoute(topic, attempts=level + 1, internal=True)
    return found


def internal(topic: str, *, retries: int = 0) -> dict[str, TopicRoute]:
    """Return the routes of a topic that only we produce to: its headers are believed."""
    return {**routes(topic, retries=retries), topic: TopicRoute(topic, internal=True)}
