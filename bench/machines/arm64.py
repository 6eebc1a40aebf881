"""Do the variants of the built-in models choose the same tokens on ARM64 as on x86?

    python -m bench.machines.arm64 [MODEL ...] [--machine FOLDER] [--work FOLDER] [--out FILE]

ONNX Runtime's ARM64 kernels run under qemu-user: this is about tokens and
says nothing about speed. Exit code 1 where a variant does not run or keeps too few tokens, 2 where
there is no qemu 10.

Debian 13's static qemu computes ONNX Runtime's kernels right; version 7.2 of Debian 12 does not
and is refused. Nothing is installed: packages are unpacked below the folder.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bench.machines.small_variants import Small, small_variants
from optimize.recipes import RECIPES
from profiles.host import describe_host
from profiles.targets.qnn import si_sdr_db
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.evidence import Arm64File, NotRun, OnArm64
from vampnet_models.records.files import read_record, write_record
from vampnet_models.records.generic import ARM64

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
class _Machine:
    """`command` starts its Python; the rest says what it is."""

    command: tuple[str, ...]
    qemu: str
    cpu: str


def machine(folder: Path) -> _Machine:
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
    return _Machine(command, said, _CPU)


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


_RESULTS = Path(__file__).resolve().parents[1] / "results" / "arm64.json"
_SIZES = {"coarse": (48, 4), "c2f": (48, 4), "codec_encoder": (24, 1), "codec_decoder": (24, 1)}
"""Frames and states; about 0.45 GFLOP a second are emulated."""

_LEAST_SHARE = 0.9
"""Below this share of x86's tokens a kernel is wrong, not rounded otherwise."""

_LEAST_SI_SDR_DB = 20.0


def _main() -> int:
    """Run all, compare, write after each model."""
    parser = argparse.ArgumentParser(prog="python -m bench.machines.arm64")
    parser.add_argument("models", nargs="*", default=list(_SIZES), metavar="MODEL")
    parser.add_argument("--machine", type=Path, default=Path("out/arm64/machine"))
    parser.add_argument("--work", type=Path, default=Path("out/arm64/work"))
    parser.add_argument("--out", type=Path, default=_RESULTS)
    options = parser.parse_args()
    try:
        arm = machine(options.machine)
    except NoMachine as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sizes = {name: size for name, size in _SIZES.items() if name in options.models}
    records: dict[str, OnArm64 | NotRun] = {}
    if options.out.is_file():
        records = dict(read_record(Arm64File, ARM64, options.out).records)
    failed = False
    for small in small_variants(options.work, RECIPES, sizes):
        for name, record in _compare(small, arm, options.work).items():
            records[name] = record
            failed |= is_failed(record)
            print(_line_of(name, record), flush=True)
        _write(options.out, arm, records)
    return 1 if failed else 0


def is_failed(record: OnArm64 | NotRun) -> bool:
    """Whether a variant did not run, or answers so differently that a kernel must be wrong."""
    if isinstance(record, NotRun):
        return True
    return record.arm_to_x86 < (_LEAST_SHARE if record.measure == "tokens" else _LEAST_SI_SDR_DB)


def _line_of(name: str, record: OnArm64 | NotRun) -> str:
    """One row of the agreement table."""
    if isinstance(record, NotRun):
        return f"{name:<28} FAILED: {record.reason}"
    if record.bit_equal:
        return f"{name:<28} equal, bit for bit"
    if record.measure == "tokens":
        share = f"{record.arm_to_x86:.2%} of {record.n_positions} tokens as on x86"
        return f"{name:<28} {share}; as FP32: {record.arm_to_reference:.2%}"
    return f"{name:<28} SI-SDR {record.arm_to_x86:.1f} dB to x86"


def _compare(small: Small, arm: _Machine, work: Path) -> dict[str, OnArm64 | NotRun]:
    files = {"source": small.source.path, **small.variants}
    feeds = work / f"{small.source.name}.feeds.npz"
    arrays = {f"{i}/{k}": x for i, each in enumerate(small.states) for k, x in each.items()}
    np.savez(feeds, allow_pickle=False, **arrays)
    jobs = [
        {
            "name": recipe,
            "model": str(path.resolve()),
            "feeds": str(feeds.resolve()),
            "outputs": str((work / f"{small.source.name}.{recipe}.npz").resolve()),
        }
        for recipe, path in files.items()
    ]
    listed = work / f"{small.source.name}.jobs.json"
    listed.write_text(json.dumps(jobs))
    child = Path(__file__).with_name("arm64_child.py")
    done = subprocess.run(
        [*arm.command, str(child), str(listed)], capture_output=True, text=True, check=False
    )
    said = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    reference = [open_session(small.source.path).run(feeds) for feeds in small.states]
    records: dict[str, OnArm64 | NotRun] = {}
    for job in jobs:
        recipe, answer = job["name"], said.get(job["name"])
        name = f"{small.source.name}/{recipe}"
        base: dict[str, Any] = {
            "model": small.source.name,
            "recipe": recipe,
            "sha256": open_artifact(files[recipe]).sha256,
        }
        if answer is None or "error" in answer:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            why = last if answer is None else answer["error"]
            records[name] = NotRun(why, **base)
            continue
        agreed = _agreement(small, files[recipe], Path(job["outputs"]), reference)
        records[name] = OnArm64(**base, **agreed, emulation_s=tuple(answer["seconds"]))
    return records


def _agreement(
    small: Small, path: Path, outputs: Path, reference: list[dict[str, Any]]
) -> dict[str, Any]:
    session = open_session(path, threads=1)
    output = next((n for n in ("tokens", "codes") if n in session.output_names), None)
    measured = output or session.output_names[0]
    pairs: list[tuple[Any, Any, Any]] = []
    bit_equal = True
    with np.load(outputs) as archive:
        for index, feeds in enumerate(small.states):
            x86 = session.run(feeds)
            bit_equal &= all(np.array_equal(x86[n], archive[f"{index}/{n}"]) for n in x86)
            counted = np.ones(x86[measured].shape, bool)
            if "mask" in feeds:
                counted = feeds["mask"][:, -x86[measured].shape[1] :].astype(bool)
            found = (reference[index][measured], x86[measured], archive[f"{index}/{measured}"])
            pairs.append(tuple(values[counted] for values in found))  # type: ignore[arg-type]
    truth, x86_all, arm_all = (np.concatenate(part) for part in zip(*pairs, strict=True))
    score = si_sdr_db if output is None else lambda a, b: float((a == b).mean())
    return {
        "measure": "si_sdr_db" if output is None else "tokens",
        "bit_equal": bit_equal,
        "arm_to_x86": score(x86_all, arm_all),
        "arm_to_reference": score(truth, arm_all),
        "x86_to_reference": score(truth, x86_all),
        "n_positions": int(truth.size),
        "frames": int(_SIZES[small.source.name][0]),
        "states": len(small.states),
    }


def _write(out: Path, arm: _Machine, records: dict[str, OnArm64 | NotRun]) -> None:
    content = Arm64File(
        command="python -m bench.machines.arm64",
        weights="trained",
        qemu=arm.qemu,
        emulated_cpu=arm.cpu,
        versions={name: version(name) for name in ("onnxruntime", "numpy")},
        host=describe_host(),
        records=dict(sorted(records.items())),
    )
    write_record(content, ARM64, out)


if __name__ == "__main__":
    sys.exit(_main())
