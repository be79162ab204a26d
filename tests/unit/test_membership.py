"""Bounds that the proofs in loadtest/ rest on: time until a dead worker is replaced, memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tickertape import kafka_admin
from tickertape.delivery import retries
from tickertape.errors import SettingsError
from tickertape.settings import Settings, load
from worker import TickertapeApp

TARGET_SECONDS = 15.0  # from kill -9 until all flows again
TAKE_OVER_SECONDS = 5.0  # rebalance, recovery of tables, the first window


def test_a_dead_worker_is_noticed_with_time_left_to_take_over(tmp_path: Path) -> None:
    conf = TickertapeApp(Settings(_env_file=None, data_dir=tmp_path)).conf
    # Its last heartbeat may be as old as the interval, and a replacement waits for the time-out.
    assert conf.broker_session_timeout + TAKE_OVER_SECONDS < TARGET_SECONDS
    assert 3 * conf.broker_heartbeat_interval <= conf.broker_session_timeout


def test_the_session_timeout_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKERTAPE_SESSION_TIMEOUT", "20")
    app = TickertapeApp(load(tmp_path, data_dir=tmp_path))
    assert app.conf.broker_session_timeout == 20
    monkeypatch.setenv("TICKERTAPE_SESSION_TIMEOUT", "1")
    with pytest.raises(SettingsError, match="TICKERTAPE_SESSION_TIMEOUT"):
        load(tmp_path)


def test_what_is_fetched_of_waiting_records_is_small() -> None:
    """The client keeps what it fetched of a partition until that is read: all of them at worst."""
    waiting = [t for t in kafka_admin.wanted(Settings(_env_file=None)) if "-retry-" in t.name]
    partitions = sum(topic.partitions for topic in waiting)
    kept = partitions * retries.PARTITION_BYTES_MAX + retries.FETCH_BYTES_MAX
    assert partitions > 100
    assert kept < 25 * 2**20
