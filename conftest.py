"""Fixtures that every ring of tests shares."""

pytest_plugins = ["tests.fixtures_broker", "tests.fixtures_model"]
