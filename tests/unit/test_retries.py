"""When a record on a retry topic is due: by its header, and never later than its level's delay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.delivery.retries import due_in_seconds

NOW = 1_790_000_000_000
LONGEST = 30.0


@pytest.mark.parametrize(
    ("header_ms", "stamped_ms", "seen_seconds", "waits"),
    [
        (NOW + 20_000, NOW - 10_000, 0, 20),  # as its header says
        (NOW - 5_000, NOW - 10_000, 0, -5),  # due for five seconds
        (0, NOW - 10_000, 0, 20),  # no header, or one that is not read: its level's delay
        (NOW + 86_400_000, NOW - 10_000, 0, 20),  # forged: not later than that delay
        (NOW + 86_400_000, NOW, 25, 5),  # and not later by our own clock
        (1, NOW, 0, -NOW / 1000 + 0.001),  # forged: at once
        # The broker's clock is an hour ahead, or ours was set back.
        (NOW + 3_620_000, NOW + 3_600_000, 0, 30),
        (NOW + 3_620_000, NOW + 3_600_000, 29.5, 0.5),
        # It is an hour behind, or ours was set forward.
        (NOW - 3_580_000, NOW - 3_600_000, 0, -3580),
    ],
)
def test_due(header_ms, stamped_ms, seen_seconds, waits):
    found = due_in_seconds(header_ms, stamped_ms, LONGEST, NOW, seen_seconds)
    assert found == pytest.approx(waits)


@given(
    st.integers(0, 2**62),
    st.integers(0, 2**50),
    st.floats(0, 2**50),
    st.floats(0, 1e6),
    st.floats(0.1, 86_400),
)
def test_whatever_headers_and_clocks_say_the_wait_is_bounded(header, stamped, now, seen, longest):
    wait = due_in_seconds(header, stamped, longest, now, seen)
    assert wait <= longest - seen
    if header and header <= now:
        assert wait <= 0, "what is due by its header does not wait"
