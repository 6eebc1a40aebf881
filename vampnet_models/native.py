"""The optional operator library: built once on the user's machine, opened by sessions that need it.

`operators/` needs g++ (or another C++17 compiler named by CXX) and nothing else: no headers of
ONNX Runtime, no packages. Models that use it name the portable model to open in its place.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from vampnet_models.errors import InputError

DOMAIN = "vampnet.native"
ATTENTION_OPS = ("RelativeAttention", "RelativeAttentionBfloat16")
BYTE_OPS = ("SnakeQuantize", "SnakeBytes")
"""Its operators whose output is uint8; all outputs are shaped as the first input."""

PORTABLE_KEY = "vampnet.portable"
"""Metadata of a model with operators of this domain: the portable model's file name, beside it."""

PORTABLE_HASH_KEY = "vampnet.portable.sha256"
"""Metadata beside it: the hash of that model, so that no other is taken for it."""

SOURCES = tuple(sorted(Path(__file__).with_name("operators").glob("*.[ch]*")))
FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
CACHE_VARIABLE = "VAMPBENCH_CACHE"
HOW = "`vampbench native` builds it"


def library_path() -> Path:
    """Where this machine's library lies, built or not: another source has another name."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vampbench"
    folder = Path(os.environ.get(CACHE_VARIABLE) or default)
    content = b"".join(each.read_bytes() for each in SOURCES) + " ".join(FLAGS).encode()
    digest = hashlib.sha256(content).hexdigest()[:12]
    return folder / f"vampnet_native-{platform.machine()}-{digest}.so"


def built_library() -> Path | None:
    """The library, None where it was not built."""
    path = library_path()
    return path if path.is_file() else None


def compiler() -> str | None:
    """The C++ compiler to use: $CXX, or g++ or c++ on the path."""
    named = os.environ.get("CXX")
    candidates = [named] if named else ["g++", "c++"]
    return next((found for each in candidates if (found := shutil.which(each))), None)


def build_library() -> Path:
    """Compile the library unless it is there. Raises InputError with what is missing or wrong."""
    path = library_path()
    if path.is_file():
        return path
    cxx = compiler()
    if cxx is None:
        raise InputError(
            "no C++ compiler: install g++ (Debian: `apt install g++`) or name one in CXX; the "
            "portable models do without"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as staging:
            made = Path(staging) / path.name
            units = [str(each) for each in SOURCES if each.suffix == ".cpp"]
            command = [cxx, *FLAGS, "-fvisibility=hidden", "-o", str(made), *units]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
                first = next((line for line in lines if "error" in line), lines[0])
                raise InputError(f"{cxx} cannot build the operators: {first[:300]}")
            made.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error}") from error
    return path
