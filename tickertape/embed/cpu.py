"""Which CPU this is, and what of it decides how int8 is to be made."""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
BF16 = frozenset({"avx512_bf16", "amx_bf16"})
# What int8 is multiplied with, the best first; then what floats are
INT8_UNITS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX512-VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512bw": "AVX512",
    "avx2": "AVX2",
    "asimddp": "NEON",
    "asimd": "NEON",
}
X86 = frozenset({"x86_64", "amd64", "i386", "i686"})


@cache
def flags() -> frozenset[str]:
    """Return the CPU's features as Linux names them; none where it does not say."""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", _cpuinfo(), re.M)
    return frozenset(found[1].split()) if found else frozenset()


@cache
def name() -> str:
    """Return the CPU's name."""
    found = re.search(r"^model name\s*:\s*(.*)$", _cpuinfo(), re.M)
    return found[1] if found else platform.processor() or platform.machine()


def instructions() -> str:
    """Return what of its instructions decides how fast a model runs (``AVX512-VNNI, bf16``)."""
    units = (unit for flag, unit in INT8_UNITS.items() if flag in flags())
    found = next(units, platform.machine() or "unknown")
    return f"{found}, bf16" if bf16() else found


def describe() -> str:
    """Return its name with its instructions: of a virtual one, a name alone may say little."""
    return f"{name()} ({instructions()})"


def vnni() -> bool:
    """Return whether it multiplies int8 into 32 bits at once (AVX-VNNI, AVX512-VNNI)."""
    return bool(flags() & VNNI)


def bf16() -> bool:
    """Return whether it multiplies in bfloat16."""
    return bool(flags() & BF16)


def saturates() -> bool:
    """Return whether sums of two int8 products are cut to 16 bits: x86 without VNNI."""
    return platform.machine().lower() in X86 and not vnni()


def _cpuinfo() -> str:
    return CPUINFO.read_text("utf-8", "replace") if CPUINFO.exists() else ""
