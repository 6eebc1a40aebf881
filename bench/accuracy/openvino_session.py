"""An OpenVINO model as a session of ours: another interpreter answers its feeds."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench import ROOT
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.session import Array, Feeds, Session


class OpenVinoSession(Session):
    """Open for as long as this process runs; feeds and answers pass through files beside it."""

    def __init__(self, model: Path, interpreter: Path) -> None:
        self.name = model.name
        self._feed, self._answer = (model.with_name(f"{n}.npz") for n in ("feed", "answer"))
        command = [str(interpreter), "-m", "bench.accuracy.openvino_answers", str(model)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> Feeds:
        """Run once; all outputs by default. Raises InputError where the other process ended."""
        np.savez(self._feed, **feeds)
        pipe, answers = self._process.stdin, self._process.stdout
        assert pipe is not None and answers is not None
        with contextlib.suppress(BrokenPipeError):
            pipe.write(f"{self._feed} {self._answer}\n")
            pipe.flush()
        if not answers.readline():
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate()
            raise InputError(f"{self.name}: OpenVINO does not run it")
        with np.load(self._answer) as archive:
            return {name: archive[name] for name in outputs or archive.files}
