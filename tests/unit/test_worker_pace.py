"""While there is work the broker is asked at a pace, and what is deferred keeps nothing waiting.

Records that came one by one were fetched one by one, which took a quarter of a core; and where
our own embeddings had been fetched and deferred, all other topics waited up to 100 ms.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.consumer.fetcher import FetchResult
from faust.types import TP

from tickertape.settings import Settings
from worker import TickertapeApp, consumer

TEXT, EMBEDDINGS = TP("text-messages", 0), TP("embeddings", 0)


class Fetcher:
    """aiokafka's decision: a fetch of what has no records, unless others are not taken yet."""

    def __init__(self) -> None:
        self._records: dict[TP, Any] = {}

    def _get_actions_per_node(self, assignment: list[TP]) -> tuple[Any, ...]:
        waits = [w for found in self._records.values() if (w := found.calculate_backoff())]
        wanted = [tp for tp in assignment if tp not in self._records]
        return ([] if waits else wanted), {}, max(waits, default=1.5), False, []


class App:
    """As much of an app as the pace asks for."""

    def __init__(self) -> None:
        self.busy = False
        self.holds = SimpleNamespace(deferred=[])


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def fetcher(app: App) -> Fetcher:
    fetcher = Fetcher()
    consumer.pace(fetcher, cast(Any, app))
    return fetcher


def asked(fetcher: Fetcher) -> tuple[list[TP], float]:
    fetches, _, timeout, _, _ = fetcher._get_actions_per_node([TEXT, EMBEDDINGS])
    return fetches, timeout


def test_at_a_pace_while_windows_run(
    app: App, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(consumer.time, "monotonic", lambda: now)
    app.busy = True
    assert asked(fetcher) == ([TEXT, EMBEDDINGS], 1.5)
    assert asked(fetcher) == ([], consumer.PACE_TICK_SECONDS)
    now += consumer.PACE_SECONDS
    assert asked(fetcher) == ([TEXT, EMBEDDINGS], 1.5)
    assert asked(fetcher)[0] == []
    app.busy = False
    assert asked(fetcher) == ([TEXT, EMBEDDINGS], 1.5)


def test_never_slowed_while_tables_recover(tmp_path: Path) -> None:
    """The app is busy only while it consumes."""
    app = TickertapeApp(Settings(_env_file=None, data_dir=tmp_path))
    app.flows.append(cast(Any, SimpleNamespace(busy=True)))
    assert not app.busy
    app._consuming = True
    assert app.busy


def test_what_is_deferred_keeps_nothing_waiting(app: App, fetcher: Fetcher) -> None:
    def fetched(tp: TP) -> FetchResult:
        return FetchResult(tp, assignment=None, partition_records=None, backoff=60.0)

    fetcher._records = {EMBEDDINGS: fetched(EMBEDDINGS)}
    assert asked(fetcher)[0] == []  # it is about to be taken, and is to be in the next fetch
    app.holds.deferred = [EMBEDDINGS]
    assert asked(fetcher)[0] == []  # nothing runs: the next fetch may last, and it is to be in it
    app.busy = True
    assert asked(fetcher)[0] == [TEXT]
    fetcher._records[TEXT] = fetched(TEXT)
    assert asked(fetcher)[0] == []
