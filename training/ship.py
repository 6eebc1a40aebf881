"""`python -m training.ship --work FOLDER`: the finished checkpoints into the package."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from training.evaluate import SHIPPED

_NAMES = ("codec.pth", "coarse.pth", "c2f.pth")
_SIZE_LIMIT_BYTES = 14_000_000


def _ship(work: Path, target: Path) -> dict[str, str]:
    """Copy the three checkpoints and write `sha256.json`; returns the hashes by file name.

    Raises ValueError when the set is larger than 14 MB."""
    total = sum((work / name).stat().st_size for name in _NAMES)
    if total > _SIZE_LIMIT_BYTES:
        raise ValueError(f"{work}: the set has {total} bytes, more than {_SIZE_LIMIT_BYTES}")
    target.mkdir(parents=True, exist_ok=True)
    hashes: dict[str, str] = {}
    for name in _NAMES:
        shutil.copyfile(work / name, target / name)
        hashes[name] = hashlib.sha256((target / name).read_bytes()).hexdigest()
    (target / "sha256.json").write_text(json.dumps(hashes, indent=1) + "\n")
    return hashes


def _main() -> None:
    """Ship what `python -m training.train` made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    for name, digest in _ship(parser.parse_args().work, SHIPPED).items():
        print(name, digest)


if __name__ == "__main__":
    _main()
