"""What a variant is as a part of an app: size, compressed size, ORT format, store limits."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from profiles import host
from vampnet_models.errors import reason_in
from vampnet_models.records.profiles import StoreFit
from vampnet_models.scratch import scratch_folder

_BLOCK_BYTES = 4 << 20
_EXACT_UP_TO_BYTES = 64 << 20
_SAMPLED_BLOCKS = 12
UNFOLDED = 1.5
"""An ORT-format file of more than this times the model's size has its weights unfolded."""

_CONVERTER = """
import runpy, sys
sys.modules["torch"] = None
runpy.run_module("onnxruntime.tools.convert_onnx_models_to_ort", run_name="__main__")
"""
"""The tool's package imports PyTorch where it is installed, without need: four times the time."""

_CONVERSION_FACTOR = 4
"""Predicted memory of the conversion over the size of the files, from 354 MB and 1.3 GB models."""


@dataclass(frozen=True)
class StoreLimit:
    """The most bytes that a store takes of one part of an app, as delivered (compressed)."""

    store: str
    part: str
    bytes: int


@dataclass(frozen=True)
class _Zipped:
    """Deflated size; of large files from evenly spaced blocks, then `exact` is false."""

    bytes: int
    exact: bool


@dataclass(frozen=True)
class _OrtFormat:
    """The conversion to ORT format: its size and operators, or why there is none."""

    bytes: int | None
    operators: dict[str, tuple[str, ...]]
    reason: str | None


def zipped_size(files: tuple[Path, ...]) -> _Zipped:
    """Size after deflate at its default level, which is what app archives use.

    Files above 64 MiB are judged by 12 evenly spaced blocks of 4 MiB: weights compress alike
    throughout a file, and deflating 1.3 GB would take most of a minute.
    """
    total, exact = 0, True
    for path in files:
        size = path.stat().st_size
        if size <= _EXACT_UP_TO_BYTES:
            total += _deflated(path, range(0, size, _BLOCK_BYTES))
            continue
        exact = False
        step = (size - _BLOCK_BYTES) // (_SAMPLED_BLOCKS - 1)
        sampled = _deflated(path, range(0, size - _BLOCK_BYTES + 1, step))
        total += round(size * sampled / (_SAMPLED_BLOCKS * _BLOCK_BYTES))
    return _Zipped(total, exact)


def to_ort(files: tuple[Path, ...], size_bytes: int, keep: Path | None = None) -> _OrtFormat:
    """Convert for ARM in a temporary folder by onnxruntime's own tool, in a process of its own.

    The file itself is dropped, or moved to `keep`.
    """
    needed = _CONVERSION_FACTOR * size_bytes
    available = host.memory_bytes()[1]
    if available is not None and needed > available:
        return _no_ort(f"the conversion needs about {needed / 1e9:.1f} GB of memory; free some")
    with scratch_folder() as folder:
        room = shutil.disk_usage(folder).free
        if room < 2 * size_bytes:
            return _no_ort(f"{2 * size_bytes / 1e9:.1f} GB of temporary disk space are missing")
        source, out = folder / "source", folder / "out"
        source.mkdir()
        for file in files:
            # The converter takes a path; a plain name keeps accents and spaces out of its way.
            name = "model.onnx" if file == files[0] else file.name
            (source / name).symlink_to(file.resolve())
        command = [sys.executable, "-P", "-c", _CONVERTER]
        command += ["--optimization_style=Fixed", "--target_platform=arm", f"--output_dir={out}"]
        done = subprocess.run(
            [*command, str(source / "model.onnx")],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        converted = sorted(out.glob("*.ort"))
        if done.returncode != 0 or not converted:
            said = (done.stderr or done.stdout).strip().splitlines()
            return _no_ort(
                f"the conversion failed: {reason_in(said[-1], 200) if said else 'no message'}"
            )
        operators = {}
        for config in out.glob("*.config"):
            operators.update(parse_operators(config.read_text(encoding="utf-8")))
        size = converted[0].stat().st_size
        if keep is not None:
            shutil.move(converted[0], keep)
        return _OrtFormat(size, operators, None)


def parse_operators(text: str) -> dict[str, tuple[str, ...]]:
    """Read `domain;opset;Op,Op` lines of a reduced-build configuration, by `domain;opset`."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#") and line.count(";") == 2:
            domain, opset, operators = line.split(";")
            found[f"{domain};{opset}"] = tuple(operators.split(","))
    return found


def store_fit(delivered_bytes: int, limits: Sequence[StoreLimit]) -> tuple[StoreFit, ...]:
    """Each store limit and whether a part of this size, as delivered, is within it."""
    return tuple(
        StoreFit(limit.store, limit.part, limit.bytes, delivered_bytes <= limit.bytes)
        for limit in limits
    )


def _deflated(path: Path, offsets: range) -> int:
    squeezer = zlib.compressobj()
    total = 0
    with path.open("rb") as stream:
        for offset in offsets:
            stream.seek(offset)
            total += len(squeezer.compress(stream.read(_BLOCK_BYTES)))
    return total + len(squeezer.flush())


def _no_ort(reason: str) -> _OrtFormat:
    return _OrtFormat(None, {}, reason)
