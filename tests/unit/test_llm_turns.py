"""How many requests a server is asked at once: half where it was too many, more while it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from tickertape.errors import OutageError, TickertapeError, Timeout, TransientError
from tickertape.llm.turns import Turns


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def ask(turns: Turns, clock: Clock, seconds: float, error: TickertapeError | None) -> None:
    try:
        async with turns.turn():
            clock.now += seconds
            if error is not None:
                raise error
    except TickertapeError:
        pass


@pytest.mark.parametrize("make", [OutageError, Timeout])
async def test_too_much_halves_and_good_answers_bring_it_back(
    make: Callable[..., TickertapeError],
) -> None:
    clock = Clock()
    turns = Turns(8, clock)
    await ask(turns, clock, 1, make("llm: busy", dependency="llm"))
    assert turns.limit == 4
    await ask(turns, clock, 1, TransientError("llm: cut", dependency="llm"))
    assert turns.limit == 4
    for _ in range(60):
        await ask(turns, clock, 1, None)
    assert turns.limit == 8


async def test_those_that_were_under_way_together_count_once() -> None:
    clock = Clock()
    turns = Turns(8, clock)
    go = asyncio.Event()

    async def refused() -> None:
        with suppress(OutageError):
            async with turns.turn():
                await go.wait()
                clock.now += 0.1
                raise OutageError("llm: busy", dependency="llm")

    tasks = [asyncio.ensure_future(refused()) for _ in range(8)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*tasks)
    assert turns.limit == 4


async def test_it_does_not_grow_while_answers_become_slower() -> None:
    clock = Clock()
    turns = Turns(8, clock)
    for _ in range(20):
        await ask(turns, clock, 1, None)
    await ask(turns, clock, 1, Timeout("llm: late", dependency="llm"))
    before = turns.limit
    for _ in range(6):
        await ask(turns, clock, 9, None)
    assert turns.limit <= before + 1


async def test_somebody_who_waits_goes_before_what_nobody_waits_for() -> None:
    turns = Turns(1)
    order: list[str] = []
    go = asyncio.Event()

    async def take(name: str, *, urgent: bool) -> None:
        async with turns.turn(urgent=urgent):
            order.append(name)
            await go.wait()

    tasks = []
    for name, urgent in (("first", False), ("summary", False), ("question", True)):
        tasks.append(asyncio.ensure_future(take(name, urgent=urgent)))
        await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*tasks)
    assert order == ["first", "question", "summary"]


@pytest.mark.parametrize("let_in", [False, True])
async def test_one_that_is_cancelled_leaves_its_turn_to_others(let_in: bool) -> None:
    turns = Turns(1)

    async def take() -> None:
        async with turns.turn():
            pass

    async with turns.turn():
        second, third = (asyncio.ensure_future(take()) for _ in range(2))
        await asyncio.sleep(0)
        if not let_in:
            second.cancel()
            await asyncio.sleep(0)
    if let_in:  # its turn was given to it just now
        second.cancel()
    await asyncio.gather(second, third, return_exceptions=True)
    assert second.cancelled()
    assert not third.cancelled()
    async with asyncio.timeout(1), turns.turn():
        pass
