"""Memory that is freed and taken again every step, kept by the process in between."""

from __future__ import annotations

import ctypes
import sys

# glibc's numbers for `mallopt`, and more bytes than any tensor here has.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _BYTES = -1, -3, 2_000_000_000


def keep_freed_memory() -> None:
    """Let large blocks stay with the process: giving them back to the system costs more than half
    of an encoder's time, since each page is cleared again when it is next touched."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_MMAP_THRESHOLD, _BYTES)
            libc.mallopt(_TRIM_THRESHOLD, _BYTES)
