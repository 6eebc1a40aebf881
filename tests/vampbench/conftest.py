"""The smallest set of models with the true interface, and short recordings."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from vampbench.cli import console
from vampbench.cli.main import main
from vampnet_models.architectures import synth
from vampnet_models.architectures.synth import Preset
from vampnet_models.family import VAMPNET
from vampnet_models.spec import IR_VERSION, OPSET

TINY = Preset(
    "tiny",
    "the true interface at the least size",
    synth._codec(4, 32, (8, 8, 6, 2)),
    synth._transformer(1, 32, 2, 4, 0),
    synth._transformer(1, 32, 2, 14, 4),
)


def write_tiny(folder: Path) -> Path:
    """Write the four models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synth, "PRESETS", (TINY,))
        synth.synth("tiny", folder)
    return folder


def tone(
    path: Path, seconds: float = 1.0, rate_hz: int = VAMPNET.sample_rate_hz, channels: int = 1
) -> Path:
    """Write a seeded chord with noise; no two paths' names give the same sound."""
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    sound = sum(np.sin(2 * np.pi * hz * time_s) for hz in rng.uniform(100, 2000, 4)) / 8
    sound = sound + 0.05 * rng.standard_normal(len(time_s))
    soundfile.write(path, np.stack([sound] * channels, axis=1), rate_hz)
    return path


@pytest.fixture(autouse=True)
def _no_progress_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal a step says after a while how far it is: no test may depend on when."""
    monkeypatch.setattr(console, "_LINE_EVERY_S", threading.TIMEOUT_MAX)


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have told a width, and long lines would wrap at it."""
    monkeypatch.delenv("COLUMNS", raising=False)


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> dict[str, Any]:
        """What `--json` printed."""
        assert self.stdout, f"exit code {self.code}, and no answer: {self.stderr}"
        found: dict[str, Any] = json.loads(self.stdout)
        assert list(found) == ["schema", "command", "result", "warnings", "errors"]
        return found

    @property
    def result(self) -> Any:
        """The result in what `--json` printed."""
        return self.answer["result"]

    @property
    def lines(self) -> list[str]:
        """stderr without the lines of finished steps."""
        return [line for line in self.stderr.splitlines() if not line.endswith(" s")]

    @property
    def errors(self) -> list[str]:
        """The lines of stderr that say what could not be done."""
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the four models; never written to by a test."""
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two short recordings."""
    folder = tmp_path_factory.mktemp("recordings")
    tone(folder / "one.wav")
    tone(folder / "two.wav")
    return folder


@pytest.fixture
def vampbench(capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run a command line in this process, errors and exit code included."""

    def run(*arguments: object) -> Finished:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Finished(int(stop.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def generic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model of no known role: `x float32 [batch, 8]` -> `y [batch, 512]`."""
    weight = np.random.default_rng(0).standard_normal((8, 512)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "generic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 512])],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", OPSET)]
    folder = tmp_path_factory.mktemp("generic")
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    onnx.save(model, folder / "product.onnx")
    return folder
