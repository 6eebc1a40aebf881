"""One pass over a weight in blocks: is it finite, and a sample of it, at the memory of a block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from vampnet_models.onnxfile.session import Array

_BLOCK_BYTES = 4 << 20
_SAMPLE_VALUES = 200_000


@dataclass(frozen=True)
class Survey:
    """Counts of NaN and infinity, and float64 `[n]` values of one in `step`, where asked for."""

    n_nan: int
    n_infinite: int
    sample: Array

    @property
    def finite(self) -> bool:
        """Whether every value is a number."""
        return not self.n_nan and not self.n_infinite


def survey(tensor: ir.TensorProtocol, *, sampled: bool = False) -> Survey:
    """Look at every value of a floating-point tensor; others are finite and give no sample.

    What lies in a file is read from it block by block, not mapped: a model of gigabytes takes no
    more memory than a small one. Raises OSError where it cannot be read.
    """
    if not tensor.dtype.is_floating_point() or not math.prod(tensor.shape.numpy()):
        return Survey(0, 0, np.zeros(0))
    n_nan = n_infinite = position = 0
    step = max(1, math.prod(tensor.shape.numpy()) // _SAMPLE_VALUES)
    sample = []
    for block in _blocks(tensor):
        # A signalling NaN becomes a quiet one where it is converted; numpy would warn of it.
        with np.errstate(invalid="ignore"):
            values = block if block.dtype.kind == "f" else block.astype(np.float32)
            taken = values[-position % step :: step].astype(np.float64) if sampled else None
        if not np.isfinite(values).all():
            n_nan += int(np.isnan(values).sum())
            n_infinite += int(np.isinf(values).sum())
        if taken is not None:
            sample.append(taken)
        position += values.size
    return Survey(n_nan, n_infinite, np.concatenate(sample) if sample else np.zeros(0))


def _blocks(tensor: ir.TensorProtocol) -> Iterator[Array]:
    """The values in order, `[n]` at a time."""
    dtype = tensor.dtype.numpy()
    if not isinstance(tensor, ir.ExternalTensor) or tensor.dtype.itemsize != dtype.itemsize:
        flat = tensor.numpy().reshape(-1)
        for start in range(0, flat.size, _BLOCK_BYTES // dtype.itemsize):
            yield flat[start : start + _BLOCK_BYTES // dtype.itemsize]
        return
    stored = np.dtype(dtype).newbyteorder("<") if dtype.kind == "f" else dtype
    left = tensor.nbytes
    with Path(tensor.path).open("rb") as file:
        file.seek(tensor.offset or 0)
        while left:
            data = file.read(min(left, _BLOCK_BYTES))
            if not data:
                raise OSError(f"{tensor.path} ends before {tensor.name}")
            left -= len(data)
            yield np.frombuffer(data, stored)
