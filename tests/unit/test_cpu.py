"""What the CPU says of itself decides how int8 is made."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from tickertape.embed import choice, cpu
from tickertape.embed.manifest import INT8, REDUCED_INT8


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    cpu.flags.cache_clear()
    cpu.name.cache_clear()
    yield
    cpu.flags.cache_clear()
    cpu.name.cache_clear()


@pytest.mark.parametrize(
    ("machine", "flags", "folder"),
    [
        ("x86_64", "fma avx2 avx512f avx512_vnni", INT8),
        ("x86_64", "fma avx2 avx_vnni", INT8),
        ("x86_64", "fma avx2", REDUCED_INT8),
        ("AMD64", "avx avx512f", REDUCED_INT8),
        ("aarch64", None, INT8),
    ],
)
def test_weights_have_seven_bits_where_sums_saturate(
    machine: str, flags: str | None, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    if flags is not None:
        info.write_text(f"processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: {flags}\n")
    monkeypatch.setattr(cpu, "CPUINFO", info)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert choice.dynamic_int8() == folder
    if flags is not None:
        assert cpu.name() == "Some CPU"


@pytest.mark.parametrize(
    ("flags", "described"),
    [
        ("avx2 avx512bw avx512_vnni avx512_bf16", "Some CPU (AVX512-VNNI, bf16)"),
        ("avx2 avx_vnni", "Some CPU (AVX-VNNI)"),
        ("avx2 avx512_vnni amx_int8 amx_bf16", "Some CPU (AMX, bf16)"),
        ("sse4_2 avx2", "Some CPU (AVX2)"),
    ],
)
def test_a_cpu_is_described_by_its_name_and_what_it_multiplies_with(
    flags: str, described: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: {flags}\n")
    monkeypatch.setattr(cpu, "CPUINFO", info)
    assert cpu.describe() == described


def test_a_cpu_that_says_nothing_is_described_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert cpu.describe().endswith("(riscv64)")
