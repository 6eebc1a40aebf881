"""Archives of arrays that lie about their size."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np


def grown(source: Path, out: Path, name: str) -> Path:
    """A copy in which the header of one array promises 10^12 more rows than are there."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(out, "w") as copy:
        for info in archive.infolist():
            content = archive.read(info)
            if info.filename == f"{name}.npy":
                values = np.load(io.BytesIO(content))
                header = {
                    "descr": values.dtype.str,
                    "fortran_order": False,
                    "shape": (10**12, *values.shape),
                }
                stream = io.BytesIO()
                np.lib.format.write_array_header_1_0(stream, header)
                content = stream.getvalue() + values.tobytes()
            copy.writestr(info.filename, content)
    return out
