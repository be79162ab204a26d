"""The embedded Kafka: a real broker on this machine, for workers that name none."""

from tickertape.broker.embedded import EmbeddedBroker, Status, reading, using

__all__ = ["EmbeddedBroker", "Status", "reading", "using"]
