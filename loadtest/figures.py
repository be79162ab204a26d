"""Medians with their spread, percentiles, slopes. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np


def spread(values: Iterable[float], digits: int = 3) -> dict[str, float]:
    """Return median, min and max."""
    found = list(values)
    parts = {"median": statistics.median(found), "min": min(found), "max": max(found)}
    return {name: round(value, digits) for name, value in parts.items()}


def ratios(over: Sequence[float], under: Sequence[float]) -> dict[str, float]:
    """Return the spread of the ratios of two series that were measured side by side."""
    return spread(a / b for a, b in zip(over, under, strict=True))


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed."""
    found = sorted(values)
    if not found:
        raise ValueError("expected values, got none")
    return found[max(math.ceil(len(found) * percent / 100), 1) - 1]


def percentiles(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Return p50, p95, p99 and the largest."""
    found = {f"p{percent}": percentile(values, percent) for percent in (50, 95, 99)}
    return {name: round(value, digits) for name, value in (found | {"max": max(values)}).items()}


def interval(values: Sequence[float], rounds: int = 1000, digits: int = 4) -> dict[str, float]:
    """Return the mean, and between what 95 % of the means lie of as many drawn from the values,
    with replacement (bootstrap); the same draws in every run.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("expected values, got none")
    draws = np.random.default_rng(0).integers(0, len(values), (rounds, len(values)))
    means = np.asarray(values)[draws].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    found = {"mean": statistics.fmean(values), "low": float(low), "high": float(high)}
    return {name: round(value, digits) for name, value in found.items()}


def slope(x: Sequence[float], y: Sequence[float], parts: int = 10) -> tuple[float, float]:
    """Return how ``y`` grows with ``x``, by least squares, and the standard error of that.

    Samples that follow each other are alike, which would make the error look too small. So each
    of ``parts`` equal stretches counts once, by its means.

    Raises:
        ValueError: fewer than three samples, or all at the same ``x``.
    """
    stretches = _stretches(x, y, parts)
    if len(stretches) < 3:
        raise ValueError(f"expected three samples at least, got {len(stretches)}")
    xs, ys = zip(*stretches, strict=True)
    middle_x, middle_y = statistics.fmean(xs), statistics.fmean(ys)
    square = sum((a - middle_x) ** 2 for a in xs)
    if not square:
        raise ValueError("expected samples at more than one place")
    found = sum((a - middle_x) * (b - middle_y) for a, b in stretches) / square
    rest = sum((b - middle_y - found * (a - middle_x)) ** 2 for a, b in stretches)
    return found, math.sqrt(rest / (len(stretches) - 2) / square)


def _stretches(x: Sequence[float], y: Sequence[float], parts: int) -> list[tuple[float, float]]:
    pairs = list(zip(x, y, strict=True))
    count = min(parts, len(pairs))
    bounds = [n * len(pairs) // count for n in range(count + 1)] if count else [0]
    return [
        (statistics.fmean(a for a, _ in piece), statistics.fmean(b for _, b in piece))
        for piece in (pairs[a:b] for a, b in pairwise(bounds))
    ]
