"""What Faust must do otherwise. All that knows the insides of its app and consumer is here."""

from worker.app import TickertapeApp
from worker.table_event import table_partition

__all__ = ["TickertapeApp", "table_partition"]
