"""Which machine this is, and what it is held to."""

from __future__ import annotations

import os
from typing import Any

from tickertape.embed import cpu


def describe() -> dict[str, Any]:
    """Return CPU, the cores that this process may use, and what its vectors can do."""
    return {
        "cpu": cpu.name(),
        "instructions": cpu.instructions(),
        "described": cpu.describe(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "vnni": cpu.vnni(),
        "bf16": cpu.bf16(),
    }


def targets(vnni: bool | None = None) -> dict[str, float]:
    """Return the least ratios of `loadtest.throughput` on such a machine, or as if it had VNNI."""
    vnni = cpu.vnni() if vnni is None else vnni
    return {
        "pipeline_over_ceiling": 0.93,
        "pipeline_over_tutorial": 5.0 if vnni else 4.0,
        "ceiling_over_sentence_transformers": 3.4 if vnni else 2.5,
        "main_job_over_ceiling": 0.90,
    }
