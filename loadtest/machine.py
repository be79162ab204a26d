"""Which machine this is, and what it is held to."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

VNNI = frozenset({"avx512_vnni", "avx_vnni"})
BF16 = frozenset({"avx512_bf16", "amx_bf16"})


def describe() -> dict[str, Any]:
    """Return CPU, the cores that this process may use, and what its vectors can do."""
    flags = _flags()
    return {
        "cpu": _name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "vnni": bool(flags & VNNI),
        "bf16": bool(flags & BF16),
    }


def targets() -> dict[str, float]:
    """Return the least ratios of `loadtest.throughput` on such a machine."""
    return {
        "pipeline_over_ceiling": 0.93,
        "pipeline_over_tutorial": 5.0,
        "ceiling_over_sentence_transformers": 3.4 if _flags() & VNNI else 2.5,
    }


def _cpuinfo() -> str:
    file = Path("/proc/cpuinfo")
    return file.read_text() if file.exists() else ""


def _flags() -> frozenset[str]:
    found = re.search(r"^flags\s*:(.*)$", _cpuinfo(), re.M)
    return frozenset(found[1].split()) if found else frozenset()


def _name() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", _cpuinfo(), re.M)
    return found[1] if found else platform.processor() or platform.machine()
