"""Fixtures that every ring of tests shares."""

from hypothesis import settings

# No test fails for the time that it takes: machines differ, and are busy.
settings.register_profile("tickertape", deadline=None)
settings.load_profile("tickertape")

pytest_plugins = ["tests.fixtures_broker", "tests.fixtures_model", "tests.fixtures_web"]
