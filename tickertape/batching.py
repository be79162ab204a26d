"""Cutting sequences into batches of about equal length, under a budget of padded tokens.

A batch costs what its longest sequence times its count costs: every row is padded to the
longest. Sorting by length first keeps the padding small. Pure.

Batches are cut to few shapes, because an engine that prepares for each shape it meets (OpenVINO:
2 ms, and some megabytes that it keeps) would else prepare for hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

STEPS = 4  # sizes between one and its double
WIDTH_STEP_MIN = 16  # tokens between two widths, at least


def plan(lengths: Sequence[int], budget: int, spare: int | None = None) -> list[list[int]]:
    """Return batches of indices into ``lengths``: each index once, longest sequences first.

    ``budget`` is in padded tokens: that many a batch's `shape` has at most. A sequence over the
    budget is a batch of its own. Longest first, so that the largest allocation comes first and a
    budget too large for the memory shows at once.

    ``spare`` is for engines with which one more batch costs little: how many tokens of a batch
    may be padding, the steps between widths not counted. The rows of each batch are a power of
    two then, which makes shapes fewer by more than it makes batches. None: as few batches as the
    budget allows.

    Raises:
        ValueError: ``budget`` is not positive.
    """
    if budget < 1:
        raise ValueError(f"budget: expected a positive number of tokens, got {budget}")
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches: list[list[int]] = []
    done = 0
    while done < len(order):
        width = _width(lengths[order[done]])
        rows = max(budget // max(width, 1), 1)
        if spare is None:
            rows -= rows % _step(rows)
        else:
            paddings = [width - _width(lengths[i]) for i in order[done : done + rows]]
            rows = _power_of_two(_within(spare, paddings))
        batches.append(order[done : done + rows])
        done += rows
    return batches


def shape(rows: int, longest: int) -> tuple[int, int]:
    """Return the rows and tokens that a batch is padded to; neither is less than it has."""
    return _up(rows, _step(rows)), _width(longest)


def share(lengths: Sequence[int], lanes: int) -> int:
    """Return a budget under which `plan` makes a batch for each lane, or a few, of equal size."""
    widest = _width(max(lengths, default=0))
    rows = -(-sum(map(_width, lengths)) // max(widest * lanes, 1))
    return max(_up(rows, _step(rows)) * widest, 1)


def padded(lengths: Sequence[int]) -> int:
    """Return what one batch of these lengths has, in tokens, padded to its longest."""
    return max(lengths, default=0) * len(lengths)


def _within(spare: int, paddings: Sequence[int]) -> int:
    """How many of the first paddings are within ``spare`` together; the first one always is."""
    return max(sum(padding <= spare for padding in accumulate(paddings)), 1)


def _power_of_two(size: int) -> int:
    """The greatest that is not over ``size``."""
    return 1 << size.bit_length() - 1


def _width(longest: int) -> int:
    return _up(longest, _step(longest, WIDTH_STEP_MIN))


def _up(size: int, step: int) -> int:
    return -(-size // step) * step


def _step(size: int, least: int = 1) -> int:
    """How far the sizes around this one are from each other."""
    return max(_power_of_two(max(size, 1)) // STEPS, least)
