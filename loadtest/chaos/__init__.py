"""Chaos: seeded faults against real workers, and the reconciliation of every document after."""
