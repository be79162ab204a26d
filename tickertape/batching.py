"""Cutting sequences into batches of about equal length, under a budget of padded tokens.

A batch costs what its longest sequence times its count costs: every row is padded to the
longest. Sorting by length first keeps the padding small. Pure.

Batches are cut to few shapes, because an engine that prepares for each shape it meets (OpenVINO:
2 ms, and some megabytes that it keeps) would else prepare for hundreds. 3,000 paragraphs are 20
shapes so; the tenth that is padded costs less than can be measured.
"""

from __future__ import annotations

from collections.abc import Sequence

STEPS = 4  # sizes between one and its double
WIDTH_MIN = 8  # tokens between two widths, at least


def plan(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return batches of indices into ``lengths``: each index once, longest sequences first.

    ``budget`` is in padded tokens: that many a batch's `shape` has at most. A sequence over the
    budget is a batch of its own. Longest first, so that the largest allocation comes first and a
    budget too large for the memory shows at once.

    Raises:
        ValueError: ``budget`` is not positive.
    """
    if budget < 1:
        raise ValueError(f"budget: expected a positive number of tokens, got {budget}")
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches: list[list[int]] = []
    done = 0
    while done < len(order):
        rows = max(budget // max(_width(lengths[order[done]]), 1), 1)
        rows -= rows % _step(rows)
        batches.append(order[done : done + rows])
        done += rows
    return batches


def shape(rows: int, longest: int) -> tuple[int, int]:
    """Return the rows and tokens that a batch is padded to; neither is less than it has."""
    return _up(rows, _step(rows)), _width(longest)


def share(lengths: Sequence[int], lanes: int) -> int:
    """Return a budget under which `plan` makes about one batch for each lane, of equal size."""
    widest = _width(max(lengths, default=0))
    rows = -(-sum(map(_width, lengths)) // max(widest * lanes, 1))
    return max(_up(rows, _step(rows)) * widest, 1)


def padded(lengths: Sequence[int]) -> int:
    """Return what one batch of these lengths has, in tokens, padded to its longest."""
    return max(lengths, default=0) * len(lengths)


def _width(longest: int) -> int:
    return _up(longest, _step(longest, WIDTH_MIN))


def _up(size: int, step: int) -> int:
    return -(-size // step) * step


def _step(size: int, least: int = 1) -> int:
    """How far the sizes around this one are from each other."""
    return max((1 << max(size.bit_length() - 1, 0)) // STEPS, least)
