"""Cutting sequences into batches of about equal length, under a budget of padded tokens.

A batch costs what its longest sequence times its count costs: every row is padded to the
longest. Sorting by length first keeps the padding small. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence


def plan(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return batches of indices into ``lengths``: each index once, longest sequences first.

    ``budget`` is in padded tokens: ``longest * count`` of a batch stays within it. A sequence
    over the budget is a batch of its own. Longest first, so that the largest allocation comes
    first and a budget too large for the memory shows at once.

    Raises:
        ValueError: ``budget`` is not positive.
    """
    if budget < 1:
        raise ValueError(f"budget: expected a positive number of tokens, got {budget}")
    batches: list[list[int]] = []
    batch: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and longest * (len(batch) + 1) <= budget:
            batch.append(index)
        else:
            batch = [index]
            longest = lengths[index]
            batches.append(batch)
    return batches


def padded(lengths: Sequence[int]) -> int:
    """Return what one batch of these lengths costs, in padded tokens."""
    return max(lengths, default=0) * len(lengths)
