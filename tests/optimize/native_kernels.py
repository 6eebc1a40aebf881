"""What the optional library answers, by each of its kernels."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.optimize.graphs import Array
from vampnet_models.native.library import build_library, compiler
from vampnet_models.onnxfile.artifact import save_model

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")

KERNELS = ("", "vnni", "avx2", "portable")
"""As VAMPBENCH_KERNELS names them: all that this processor has, and less and less of it."""

_RUN = """
import sys, numpy as np
from pathlib import Path
from vampnet_models.onnxfile.session import open_session
feeds = dict(np.load(sys.argv[2]))
np.savez(sys.argv[3], **open_session(Path(sys.argv[1]), threads=2).run(feeds))
"""


def answers_by(kernels: str, made: ir.Model, folder: Path, **feeds: Array) -> dict[str, Array]:
    """What the library answers in a process that may use these kernels alone."""
    build_library()
    save_model(made, folder / "m.onnx")
    np.savez(folder / "f.npz", **feeds)
    files = [str(folder / name) for name in ("m.onnx", "f.npz", "y.npz")]
    environment = os.environ | {"VAMPBENCH_KERNELS": kernels}
    command = [sys.executable, "-c", _RUN, *files]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2])
    return dict(np.load(folder / "y.npz"))


def by(kernels: str, made: ir.Model, folder: Path, **feeds: Array) -> Array:
    """The same of a model whose output is `y`."""
    return answers_by(kernels, made, folder, **feeds)["y"]
