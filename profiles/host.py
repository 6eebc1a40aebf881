"""Facts about the machine that numbers belong to; nothing that names the machine or its user."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from vampnet_models.records.host import Host
from vampnet_models.records.variant import VariantRecord

_TELLING_FLAGS = (
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "asimdhp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
    "sme",
)
"""The processor flags that choose ONNX Runtime's kernels."""

_PACKAGES = ("vampnet-workbench", "onnxruntime", "onnxruntime-gpu", "onnx", "onnx-ir", "numpy")

_MATTERS = ("cpu", "flags", "cores", "quota_cores", "os")
"""The facts that must agree before times of two hosts may be compared."""

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def describe_host() -> Host:
    """Read this machine's facts now."""
    info = _cpuinfo()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    total, available = memory_bytes()
    return Host(
        cpu=_cpu_name(info),
        flags=tuple(f for f in _TELLING_FLAGS if f in flags),
        cores=available_cores(),
        cores_machine=os.cpu_count() or 1,
        quota_cores=quota_cores(),
        governor=_first_line(_CPUFREQ),
        virtual="hypervisor" in flags if flags else None,
        load_1min=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        memory_bytes=total,
        memory_available_bytes=available,
        os=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=_versions(),
    )


def saturation(records: Iterable[VariantRecord], host: Host) -> str | None:
    """A warning where figures of some variants hold for this kind of processor alone."""
    found = dict.fromkeys(f"{each.model} {each.recipe}" for each in records if each.saturates)
    if not found or not host.saturates:
        return None
    return (
        f"{', '.join(found)}: this processor has no VNNI, and the runtime's 8-bit products "
        "saturate: they lose more here than on processors that have it"
    )


def differences(mine: Host, theirs: Host) -> tuple[str, ...]:
    """Which facts of `_MATTERS` differ between two machines, a phrase for each."""
    facts = ((key, getattr(mine, key), getattr(theirs, key)) for key in _MATTERS)
    return tuple(f"{key}: {then!r} then, {now!r} now" for key, now, then in facts if now != then)


def available_cores() -> int:
    """Cores that this process may use: its affinity, cut by the cgroup's quota."""
    allowed = len(affinity())
    quota = quota_cores()
    return allowed if quota is None else max(1, min(allowed, math.floor(quota)))


def affinity() -> tuple[int, ...]:
    """The cores that the scheduler may put this process on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def quota_cores(root: Path = _CGROUP) -> float | None:
    """The cgroup's CPU quota in cores (version 2, then version 1); None without one."""
    words = (_first_line(root / "cpu.max") or "").split()
    if len(words) == 2 and words[0] != "max":
        return int(words[0]) / int(words[1])
    quota = _first_line(root / "cpu" / "cpu.cfs_quota_us")
    period = _first_line(root / "cpu" / "cpu.cfs_period_us")
    if quota and period and int(quota) > 0:
        return int(quota) / int(period)
    return None


def memory_bytes(root: Path = _CGROUP, proc: Path = _PROC) -> tuple[int | None, int | None]:
    """(total, available) memory for this process, the cgroup's limit respected."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None, None
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if ":" in line}
    total, available = kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024
    for limit_name, used_name in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, used = _first_line(root / limit_name), _first_line(root / used_name)
        if limit and used and limit != "max" and int(limit) < total:
            total = int(limit)
            available = min(available, max(0, total - int(used)))
    return total, available


def busy_s(cores: tuple[int, ...], proc: Path = _PROC) -> float | None:
    """Seconds that these cores have been busy since boot, time stolen by the hypervisor included.

    None where the system does not count (no Linux `/proc/stat`).
    """
    try:
        lines = (proc / "stat").read_text().splitlines()
    except OSError:
        return None
    ticks = 0
    for line in lines:
        name, *numbers = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, numbers[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo; empty elsewhere."""
    try:
        block = (_PROC / "cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in block.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _cpu_name(info: dict[str, str]) -> str:
    """The model's name; virtual machines hide it, so family and model stand beside it."""
    name = info.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in info:
        name += f" (family {info['cpu family']}, model {info.get('model', '?')})"
    elif "CPU part" in info:
        name += f" (implementer {info.get('CPU implementer', '?')}, part {info['CPU part']})"
    return name


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().split("\n", 1)[0].strip() or None
    except OSError:
        return None
