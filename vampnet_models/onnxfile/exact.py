"""Exact sums of 8-bit products on x86 without VNNI, where a model asks for them.

There the runtime adds pairs of products of u8 by s8 in 16 bits, and cuts what does not fit. Asked
to, it takes weights as u8 in sessions on such processors alone, with graph optimizations of level
`extended` and above: sums are exact then, and take about a tenth longer. With VNNI they are exact
anyway, and the entry would double their time (AVX512-VNNI, Zen 4). ONNX Runtime 1.31 fails to load
a model that shares integer weights that way, and to run one whose scales per channel have no
zero points, so a model must say that it may be asked.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

from vampnet_models.onnxfile.wire import LENGTH, Data, fields

EXACT_KEY = "vampbench.exact-products"
"""Model metadata: the session configuration below holds for this model."""

_EXACT_SESSION = {"session.x64quantprecision": "1"}
_CPUINFO = Path("/proc/cpuinfo")
_METADATA, _KEY = 14, 1


def exact_session() -> Mapping[str, str]:
    """The session configuration for models that ask for exact products, on this processor.

    Nothing where it is known to have VNNI; other architectures ignore the entry.
    """
    return {} if has_vnni() else _EXACT_SESSION


def has_vnni() -> bool:
    """Whether this processor is known to have VNNI: Linux tells, elsewhere nobody is asked."""
    try:
        return "_vnni" in _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def is_exact(model: Path | bytes) -> bool:
    """Whether the model's metadata ask for exact products; its graph is not read."""
    try:
        if isinstance(model, bytes):
            return _asks(model)
        with (
            model.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return _asks(data)
    except (OSError, ValueError, IndexError):
        # No protobuf message: the runtime says so in its own words.
        return False


def _asks(data: Data) -> bool:
    wanted = EXACT_KEY.encode()
    return any(
        data[key.value : key.end] == wanted
        for entry in fields(data, 0, len(data))
        if entry.number == _METADATA and entry.wire_type == LENGTH
        for key in fields(data, entry.value, entry.end)
        if key.number == _KEY and key.wire_type == LENGTH
    )
