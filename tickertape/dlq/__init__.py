"""Dead letters: read, shown, replayed, purged. Kafka holds all of it; there is no other state."""
