"""Folders for work in progress: gone when the work ends, and at the next work if it was killed.

Each is locked while its process lives. What lies there unlocked was left by a process that was
killed, and the next one of the same kind removes it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "vampbench-scratch-"
_RANDOM = re.compile(r"[a-z0-9_]{8}")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder where the system keeps temporary files, removed at the end."""
    with locked_folder(Path(tempfile.gettempdir()), _PREFIX) as folder:
        yield folder


@contextmanager
def locked_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder below `parent` whose name starts with `prefix`, removed at the end.

    Those that killed processes left under this prefix go first. Raises OSError when none can be
    made.
    """
    _remove_left(parent, prefix)
    # Under its own name only once it is locked: another process may be looking for left ones.
    made = Path(tempfile.mkdtemp(prefix=f".new.{os.getpid()}.", dir=parent))
    folder = parent / f"{prefix}{made.name.rpartition('.')[2]}"
    lock = _locked(made)
    try:
        made.rename(folder)
        yield folder
    finally:
        for each in (made, folder):
            shutil.rmtree(each, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _remove_left(parent: Path, prefix: str) -> None:
    """Remove the folders of this user that no living process holds."""
    with suppress(OSError):
        for each in parent.iterdir():
            # A folder of the user's own whose name only begins alike is none of ours.
            is_ours = each.name.startswith(prefix) and _RANDOM.fullmatch(each.name[len(prefix) :])
            if is_ours and each.is_dir() and not each.is_symlink():
                lock = _locked(each)
                if lock is not None:
                    shutil.rmtree(each, ignore_errors=True)
                    os.close(lock)


def _locked(folder: Path) -> int | None:
    """The descriptor that holds the folder's lock; None where another process has it.

    None too where the system does not lock folders: nothing is taken for left there.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = None
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
    if descriptor is not None:
        os.close(descriptor)
    return None
