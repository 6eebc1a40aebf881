"""The optional operator library: built once on the user's machine, opened by sessions that need it.

`operators/` needs g++ (or another C++17 compiler named by CXX) and nothing else: no headers of
ONNX Runtime, no packages. Models that use it name the portable model to open in its place.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from vampnet_models.errors import InputError
from vampnet_models.native.packaged import packaged_library, why_not

PORTABLE_KEY = "vampnet.portable"
"""Metadata of a model with operators of this domain: the portable model's file name, beside it."""

PORTABLE_HASH_KEY = "vampnet.portable.sha256"
"""Metadata beside it: the hash of that model, so that no other is taken for it."""

OPERATORS = Path(__file__).parents[1] / "operators"

SOURCES = tuple(sorted(OPERATORS.rglob("*.[ch]*")))
"""Of the library; the .cpp files are compiled together."""

FLAGS = (
    *("-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared"),
    "-fvisibility=hidden",
)
_CACHE_VARIABLE = "VAMPBENCH_CACHE"
HOW = "`vampbench native` builds it"
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def library_path() -> Path | None:
    """Where this machine's library lies, built or not: another source has another name.

    None where there is no folder for it: no HOME, and no entry of this user in the password file.
    """
    named = os.environ.get(_CACHE_VARIABLE)
    if named:
        folder = Path(named).absolute()
    else:
        try:
            home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        except RuntimeError:
            return None
        folder = Path(home) / "vampbench"
    if not folder.is_absolute():
        return None
    try:
        # The folder itself, so that no link on the way is followed again when it is loaded.
        folder = folder.resolve()
    except (OSError, RuntimeError):
        return None
    return folder / f"vampnet_native-{platform.machine()}-{sources_sha256()[:12]}.so"


def sources_sha256() -> str:
    """The hash of all that the library is made of: its sources and how they are compiled."""
    content = b"".join(each.read_bytes() for each in SOURCES) + " ".join(FLAGS).encode()
    return hashlib.sha256(content).hexdigest()


def built_library() -> Path | None:
    """The library that was built here, or that of the package; None where there is neither.

    One that others may have changed, or of other sources, is none.
    """
    return _built_here() or packaged_library(sources_sha256())


def _built_here() -> Path | None:
    path = library_path()
    if path is None or _exposed(path.parent) is not None:
        return None
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return None
        if found.st_mode & _OTHERS or _sha256(path) != _record(path).read_text().strip():
            return None
    except (OSError, ValueError):
        return None
    return path


def kernels_of(library: Path) -> dict[str, str]:
    """By which kernels a library computes here, by the type of what it multiplies: it is loaded.

    Products in int8 and in bfloat16, convolutions in float32.
    """
    name = ctypes.CDLL(str(library)).VampnetKernels
    name.restype = ctypes.c_char_p
    return dict(zip(("int8", "bfloat16", "float32"), name().decode().split(), strict=True))


def how() -> str:
    """What brings the library, for a message that it is not here."""
    packaged = why_not(sources_sha256())
    if packaged is not None:
        return packaged
    path = library_path()
    if path is None:
        return f"{_NO_FOLDER}, then {HOW}"
    exposed = _exposed(path.parent) if path.parent.is_dir() else None
    return HOW if exposed is None else f"{exposed}, then {HOW}"


def compiler() -> str | None:
    """The C++ compiler to use: $CXX, or g++ or c++ on the path."""
    named = os.environ.get("CXX")
    candidates = [named] if named else ["g++", "c++"]
    return next((found for each in candidates if (found := shutil.which(each))), None)


def build_library() -> Path:
    """Compile the library unless it is there as it was built.

    Raises InputError with what is missing or wrong: a compiler, a folder, its rights.
    """
    built = built_library()
    if built is not None:
        return built
    path = library_path()
    if path is None:
        raise InputError(f"there is no folder for the operator library: {_NO_FOLDER}")
    cxx = compiler()
    if cxx is None:
        raise InputError(
            "no C++ compiler: install g++ (Debian: `apt install g++`), name one in CXX or install "
            "the wheel of vampnet-workbench-ops; the portable models do without"
        )
    try:
        _make_private(path.parent)
        exposed = _exposed(path.parent)
        if exposed is not None:
            raise InputError(f"the operator library is not built: {exposed}")
        with tempfile.TemporaryDirectory(dir=path.parent) as staging:
            made = Path(staging) / path.name
            units = [str(each) for each in SOURCES if each.suffix == ".cpp"]
            command = [cxx, *FLAGS, "-o", str(made), *units]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
                first = next((line for line in lines if "error" in line), lines[0])
                raise InputError(f"{cxx} cannot build the operators: {first[-300:]}")
            made.chmod(0o755)
            record = _record(made)
            record.write_text(f"{_sha256(made)}\n")
            # Without its record, or with another's, a library is not loaded.
            made.replace(path)
            record.replace(_record(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error}") from error
    return path


_NO_FOLDER = f"set HOME, or name a folder in {_CACHE_VARIABLE}"


def _record(library: Path) -> Path:
    """Where the build writes down the hash of what it made."""
    return library.with_name(f"{library.name}.sha256")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _make_private(folder: Path) -> None:
    """Make a folder and those above it, for this user alone whatever the umask says."""
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(mode=0o700)


def _exposed(folder: Path) -> str | None:
    """Why others than this user (and root) may change what lies in a folder, None if they cannot.

    On the way to it, folders that all may write to are safe where they are sticky, as /tmp is.
    """
    if not hasattr(os, "geteuid"):
        return "this system has no owners of files that could be checked"
    user = os.geteuid()
    for each in (folder, *folder.parents):
        try:
            found = each.stat()
        except OSError as error:
            return f"{each} cannot be looked at ({error.strerror})"
        owners = (user,) if each == folder else (user, 0)
        if found.st_uid not in owners:
            return f"{each} belongs to another user: name a folder of yours in {_CACHE_VARIABLE}"
        if found.st_mode & _OTHERS and (each == folder or not found.st_mode & stat.S_ISVTX):
            return f"others may write to {each}: run `chmod go-w {each}`"
    return None
