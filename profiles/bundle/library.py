"""The operator library in a bundle: for each kind of machine, built of sources that ship beside it.

`ziglang` (a C++ compiler on PyPI) builds for both kinds of Linux machines and old systems; without
it the machine's own compiler builds for itself alone.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vampnet_models.errors import InputError
from vampnet_models.native.library import FLAGS, OPERATORS, SOURCES, compiler
from vampnet_models.records.manifest import OperatorLibrary

FOLDER = "native"
_SOURCES = f"{FOLDER}/sources"
_PLATFORMS = {"x86_64": "linux-x86_64", "aarch64": "linux-aarch64"}
"""What bundles are for, by processor."""

OLDEST_GLIBC = "2.28"
"""Of Debian 10, RHEL 8 and later."""


@dataclass(frozen=True)
class _Compiler:
    """A command, how texts name it, and whether it builds for other machines too."""

    command: tuple[str, ...]
    name: str
    for_all: bool

    def target(self, machine: str) -> tuple[str, ...]:
        """Arguments that choose the machine."""
        return ("-target", f"{machine}-linux-gnu.{OLDEST_GLIBC}") if self.for_all else ()


def write_libraries(folder: Path) -> tuple[OperatorLibrary, ...]:
    """Copy the sources into a bundle and build what can be built here.

    Raises InputError where not even this machine's library can be.
    """
    sources = folder / _SOURCES
    sources.mkdir(parents=True)
    names = [each.relative_to(OPERATORS).as_posix() for each in SOURCES]
    for name in names:
        (sources / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(OPERATORS / name, sources / name)
    found, here = _compiler(), platform.machine()
    machines = [here, *(m for m in _PLATFORMS if m != here)] if found.for_all else [here]
    return tuple(_built(found, machine, folder, names) for machine in machines)


def missing(made: Sequence[OperatorLibrary]) -> str | None:
    """What is to be known where a platform has no library."""
    absent = sorted(set(_PLATFORMS.values()) - {each.platform for each in made})
    if not absent:
        return None
    return f"no operator library for {', '.join(absent)}: `pip install ziglang` builds those too"


def builds_for_all() -> bool:
    """Whether the compiler for other machines and older systems is here."""
    return importlib.util.find_spec("ziglang") is not None


def _compiler() -> _Compiler:
    if builds_for_all():
        command = (sys.executable, "-m", "ziglang", "c++")
        return _Compiler(command, "python -m ziglang c++", for_all=True)
    own = compiler()
    if own is None:
        raise InputError(
            "no C++ compiler for the operator library: pip install ziglang, install g++ (Debian: "
            "`apt install g++`) or name one in CXX; or bundle for --target cpu"
        )
    return _Compiler((own,), Path(own).name, for_all=False)


def _built(by: _Compiler, machine: str, folder: Path, names: list[str]) -> OperatorLibrary:
    where = _PLATFORMS.get(machine, f"{sys.platform}-{machine}")
    file = f"{FOLDER}/vampnet_native-{where}.so"
    units = [name for name in names if name.endswith(".cpp")]
    static = () if by.for_all else ("-static-libstdc++", "-static-libgcc")
    options = [*by.target(machine), *FLAGS, *static, "-s", "-o", f"../{Path(file).name}", *units]
    done = subprocess.run(
        [*by.command, *options],
        cwd=folder / _SOURCES,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        first = next((line for line in lines if "error" in line), lines[0])
        raise InputError(f"{by.name} cannot build the operators for {where}: {first[-300:]}")
    (folder / file).chmod(0o755)
    return OperatorLibrary(
        platform=where,
        file=file,
        build=" ".join((by.name, *options)),
        compiler=_version(by),
        sources=tuple(f"{_SOURCES}/{name}" for name in names),
    )


def _version(by: _Compiler) -> str:
    ask = (*by.command[:-1], "version") if by.for_all else (*by.command, "--version")
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    said = (done.stdout.strip().splitlines() or ["unknown"])[0]
    return f"zig {said}" if by.for_all else said
