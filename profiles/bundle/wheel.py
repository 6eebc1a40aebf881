"""`make ops-wheel`: the operator library as wheels, so that `pip install` replaces a compiler.

    python -m profiles.bundle.wheel OUT

Needs the extra `ops` (ziglang, wheel, auditwheel). One wheel for each kind of Linux machine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
from pathlib import Path

from profiles.bundle.library import FOLDER, OLDEST_GLIBC, builds_for_all, write_libraries
from vampnet_models.errors import InputError
from vampnet_models.native.library import sources_sha256
from vampnet_models.native.packaged import DISTRIBUTION, HASH_FILE, PACKAGE
from vampnet_models.records.manifest import OperatorLibrary
from vampnet_models.scratch import scratch_folder

_INIT = (
    '"""The operator library of vampnet-workbench, built: found by it, and not to be imported."""\n'
)


def make_wheels(out: Path) -> list[Path]:
    """A wheel for each kind of machine. Raises InputError without what builds for all of them."""
    if not builds_for_all():
        raise InputError("ziglang is not installed: pip install 'vampnet-workbench[ops]'")
    out.mkdir(parents=True, exist_ok=True)
    with scratch_folder() as folder:
        return [_wheel(made, folder, out) for made in write_libraries(folder)]


def _wheel(made: OperatorLibrary, folder: Path, out: Path) -> Path:
    # Of the extra, which nothing else here needs.
    from wheel.wheelfile import WheelFile

    version = importlib.metadata.version("vampnet-workbench")
    machine = made.platform.rpartition("-")[2]
    tag = f"py3-none-manylinux_{OLDEST_GLIBC.replace('.', '_')}_{machine}"
    path = out / f"{PACKAGE}-{version}-{tag}.whl"
    about = f"{PACKAGE}-{version}.dist-info"
    with WheelFile(str(path), "w") as wheel:
        wheel.writestr(f"{PACKAGE}/__init__.py", _INIT)
        wheel.writestr(f"{PACKAGE}/{HASH_FILE}", f"{sources_sha256()}\n")
        wheel.write(str(folder / made.file), f"{PACKAGE}/vampnet_native-{machine}.so")
        for source in made.sources:
            name = Path(source).relative_to(FOLDER)
            wheel.write(str(folder / source), f"{PACKAGE}/{name.as_posix()}")
        wheel.writestr(
            f"{about}/METADATA",
            f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version}\nLicense: MIT\n"
            f"Summary: The operator library of vampnet-workbench, built\n\n{made.build}\n",
        )
        wheel.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: vampnet-workbench\nRoot-Is-Purelib: false\n"
            f"Tag: {tag}\n",
        )
    return path


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    for path in make_wheels(parser.parse_args().out):
        sys.stdout.write(f"{path}\n")
        # It fails where the library needs more of the system than the name of the wheel says.
        subprocess.run([sys.executable, "-m", "auditwheel", "show", str(path)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
