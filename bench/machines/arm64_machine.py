"""An ARM64 Linux in a folder: qemu-user 10, Debian's Python, aarch64 wheels beside it.

Debian 13's static qemu computes ONNX Runtime's kernels right; version 7.2 of Debian 12 does not
and is refused. Nothing is installed: packages are unpacked below the folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

_SUITE = "trixie"
_LEAST_QEMU = 10
_CPU = "cortex-a76"
"""The Raspberry Pi 5's core: FP16 and dot products, no matrix extension."""

_PYTHON_VERSION = "3.13"
_PACKAGES = (
    *("python3.13-minimal", "libpython3.13-minimal", "libpython3.13-stdlib", "libc6"),
    *("libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5"),
    *("libssl3t64", "libuuid1"),
)
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
_APT = """Dir::State "{0}/state";
Dir::State::status "{0}/status";
Dir::Cache "{0}/cache";
Dir::Etc::sourcelist "{0}/sources.list";
Dir::Etc::sourceparts "-";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; "arm64"; }};
Acquire::Languages "none";
"""
_SOURCE = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {0} {1} main\n"


class NoMachine(Exception):
    """Why there is no emulated machine, and what to do."""


@dataclass(frozen=True)
class Machine:
    """`command` starts its Python; the rest says what it is."""

    command: tuple[str, ...]
    qemu: str
    cpu: str


def machine(folder: Path) -> Machine:
    """The machine in `folder`, made there where it is missing. Raises NoMachine."""
    folder = folder.resolve()
    root, site = folder / "root", folder / "site"
    qemu = folder / "qemu" / "usr" / "bin" / "qemu-aarch64"
    if not (folder / ".complete").is_file():
        _unpack(folder, root, site)
    said = _qemu_version(qemu)
    command = (str(qemu), "-cpu", _CPU, "-L", str(root))
    command += ("-E", f"PYTHONPATH={site}", "-E", f"PYTHONHOME={root / 'usr'}")
    command += (str(root / "usr" / "bin" / f"python{_PYTHON_VERSION}"),)
    (folder / ".complete").touch()
    return Machine(command, said, _CPU)


def _unpack(folder: Path, root: Path, site: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NoMachine(f"{tool} is missing: run this on Debian or Ubuntu")
    apt = folder / "apt"
    for name in ("state/lists/partial", "cache/archives/partial", "debs"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    (apt / "apt.conf").write_text(_APT.format(apt))
    (apt / "sources.list").write_text(_SOURCE.format(_mirror(), _SUITE))
    environment = {"APT_CONFIG": str(apt / "apt.conf"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    wanted = ["qemu-user", *(f"{name}:arm64" for name in _PACKAGES)]
    for arguments in (["update"], ["download", *wanted]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments],
            cwd=apt / "debs",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NoMachine(f"Debian {_SUITE}'s qemu {_LEAST_QEMU} cannot be had here: {last}")
    for package in sorted((apt / "debs").glob("*.deb")):
        into = folder / "qemu" if package.name.startswith("qemu-user") else root
        subprocess.run(["dpkg-deb", "-x", str(package), str(into)], check=True)
    lib = root / "lib"
    if not lib.exists():
        lib.symlink_to("usr/lib")
    _wheels(folder / "wheels", site)


def _mirror() -> str:
    """The Debian mirror that this machine itself uses. Raises NoMachine where it has none."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in done.stdout.split() if line.rstrip("/").endswith("/debian")]
    if not found:
        raise NoMachine("apt knows no Debian mirror here: run this on Debian")
    return found[0]


def _wheels(wheels: Path, site: Path) -> None:
    """The same onnxruntime and numpy as here, for aarch64."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    command += [f"--platform={name}" for name in _PLATFORMS]
    command += [f"--python-version={_PYTHON_VERSION}", "--implementation=cp", f"--dest={wheels}"]
    command += [f"{name}=={version(name)}" for name in ("onnxruntime", "numpy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NoMachine(f"the aarch64 wheels cannot be had here: {last}")
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def _qemu_version(qemu: Path) -> str:
    """What it calls itself. Raises NoMachine below the least version that computes right."""
    done = subprocess.run([str(qemu), "--version"], capture_output=True, text=True, check=False)
    return checked_version(done.stdout)


def checked_version(text: str) -> str:
    """The version in qemu's first line. Raises NoMachine below `_LEAST_QEMU`."""
    match = re.search(r"version (\d+)\.(\S+)", text)
    if match is None:
        raise NoMachine("qemu does not start here: it needs Linux on x86-64")
    found = f"{match.group(1)}.{match.group(2)}"
    if int(match.group(1)) < _LEAST_QEMU:
        raise NoMachine(f"qemu {found} miscomputes these kernels; use {_LEAST_QEMU} or later")
    return found
