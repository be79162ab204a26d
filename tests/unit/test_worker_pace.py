"""While there is work the broker is asked at a pace, and what rests keeps nothing else waiting.

Records that came one by one were fetched one by one, which took a quarter of a core; and where
our own embeddings had been fetched and rested, all other topics waited up to 100 ms.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import FetchResult
from faust.types import TP

import worker
from worker import FetchThread, TickertapeApp

TEXT, EMBEDDINGS = TP("text-messages", 0), TP("embeddings", 0)


class Fetcher:
    """aiokafka's decision: a fetch of what has no records, unless others are not taken yet."""

    def __init__(self) -> None:
        self._records: dict[TP, Any] = {}

    def _get_actions_per_node(self, assignment: list[TP]) -> tuple[Any, ...]:
        waits = [w for found in self._records.values() if (w := found.calculate_backoff())]
        wanted = [tp for tp in assignment if tp not in self._records]
        return ([] if waits else wanted), {}, max(waits, default=1.5), False, []


@pytest.fixture
def app() -> TickertapeApp:
    app = TickertapeApp.__new__(TickertapeApp)
    app._consuming, app._rests, app.flows = True, {}, []
    return app


@pytest.fixture
def fetcher(app: TickertapeApp) -> Fetcher:
    thread = FetchThread.__new__(FetchThread)
    thread.app = app
    fetcher = Fetcher()
    thread.pace(fetcher)
    return fetcher


def work(app: TickertapeApp, busy: bool) -> None:
    app.flows = [SimpleNamespace(busy=False), SimpleNamespace(busy=busy)]


def asked(fetcher: Fetcher) -> tuple[list[TP], float]:
    fetches, _, timeout, _, _ = fetcher._get_actions_per_node([TEXT, EMBEDDINGS])
    return fetches, timeout


def test_at_a_pace_while_windows_run(
    app: TickertapeApp, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(worker.time, "monotonic", lambda: now)
    work(app, busy=True)
    assert asked(fetcher) == ([TEXT, EMBEDDINGS], 1.5)
    assert asked(fetcher) == ([], worker.PACE_TICK_SECONDS)
    now += worker.PACE_SECONDS
    assert asked(fetcher) == ([TEXT, EMBEDDINGS], 1.5)
    assert asked(fetcher)[0] == []
    work(app, busy=False)
    assert asked(fetcher) == ([TEXT, EMBEDDINGS], 1.5)


def test_never_slowed_while_tables_recover(app: TickertapeApp, fetcher: Fetcher) -> None:
    work(app, busy=True)
    app._consuming = False
    assert [asked(fetcher)[0] for _ in range(3)] == [[TEXT, EMBEDDINGS]] * 3


def test_what_rests_keeps_nothing_waiting(app: TickertapeApp, fetcher: Fetcher) -> None:
    def fetched(tp: TP) -> FetchResult:
        return FetchResult(tp, assignment=None, partition_records=None, backoff=60.0)

    fetcher._records = {EMBEDDINGS: fetched(EMBEDDINGS)}
    assert asked(fetcher)[0] == []  # it is about to be taken, and is to be in the next fetch
    app._rests = {EMBEDDINGS: 9.0}
    assert asked(fetcher)[0] == []  # nothing runs: the next fetch may last, and it is to be in it
    work(app, busy=True)
    assert asked(fetcher)[0] == [TEXT]
    fetcher._records[TEXT] = fetched(TEXT)
    assert asked(fetcher)[0] == []
