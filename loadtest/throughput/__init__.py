"""Tickertape's throughput beside its ceiling and beside what people would use instead."""
