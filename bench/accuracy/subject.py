"""One model that every tool makes smaller: its feeds, and a row for each tool."""

from __future__ import annotations

import json
import pickle
import sys
import tempfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from bench.accuracy.child import Limits, run_child
from bench.accuracy.tools import Tool, make, recorded
from bench.printed import Printed
from calibration.feeds.chain_feeds import FeedSizes
from calibration.feeds.chain_inputs import ChainInputs
from calibration.feeds.feedset import FeedSet
from calibration.feeds.model_evidence import evidence_of
from calibration.feeds.model_feeds import CALIBRATION, EVALUATION, side_feeds
from optimize.fusions.codec import pointwise_conv
from optimize.fusions.order import fuse
from optimize.truth.accuracy import reference_truth
from vampnet_models.cache import Json
from vampnet_models.onnxfile.artifact import Artifact, load_model, save_model

_EVALUATION_FACTOR = 2
"""So many states are judged for each that is calibrated on, where their number is given."""


class Subject:
    """A model with what tools calibrate on and are judged by, made when one first needs it."""

    def __init__(
        self, artifact: Artifact, inputs: ChainInputs, sizes: FeedSizes | None, work: Path
    ):
        self.artifact, self._inputs, self._sizes = artifact, inputs, sizes
        self.work = work / artifact.name
        self.work.mkdir(exist_ok=True)

    @cached_property
    def calibration(self) -> tuple[FeedSet, Path]:
        """The feeds that every tool calibrates on, and their archive."""
        found = self._feeds(judged=False)
        path = self.work / "calibration.npz"
        found.save_npz(path)
        return found, path

    @cached_property
    def truth(self) -> Path:
        """What the reference says to the feeds that every tool is judged on, pickled."""
        feeds = self._feeds(judged=True)
        evidence = evidence_of(self.artifact, self._inputs, feeds)
        truth = reference_truth(
            self.artifact, feeds.feeds, sources=feeds.sources, evidence=evidence
        )
        path = self.work / "truth.pickle"
        path.write_bytes(pickle.dumps(truth))
        return path

    @cached_property
    def as_products(self) -> Path:
        """The model with each Conv over one frame written as a MatMul."""
        path, model = self.work / "products.onnx", load_model(self.artifact.path)
        fuse(model, (pointwise_conv.RULE,))
        save_model(model, path)
        return path

    def row(self, tool: Tool, limits: Limits) -> Json:
        """One tool on this model: its settings, what it took, and its accuracy or why it failed."""
        role = self.artifact.role
        source = self.as_products if tool.smooths else self.artifact.path
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            out = Path(folder) / f"{self.artifact.name}{tool.suffix}"
            row = make(tool, role, source, self.calibration[1], out, limits)
            if "failed" not in row:
                row |= self._judged(tool, out, limits)
        return {"tool": tool.name, "settings": recorded(tool, role), **row}

    def _judged(self, tool: Tool, model: Path, limits: Limits) -> Json:
        """How the tool's model keeps what the reference says, or why it does not run."""
        found = model.with_name("judged.json")
        command = [sys.executable, "-m", "bench.accuracy.judging"]
        command += [str(each) for each in (self.truth, model, found)]
        if tool.suffix != ".onnx":
            command.append(str(tool.interpreter))
        ran = run_child(command, model.with_name("judging.log"), limits)
        if ran.failed is not None:
            return {"failed": f"its model does not run: {ran.failed}"}
        judged: Json = json.loads(found.read_text(encoding="utf-8"))
        return judged

    def _feeds(self, *, judged: bool) -> FeedSet:
        side, inputs = EVALUATION if judged else CALIBRATION, self._inputs
        if self._sizes is not None:
            sizes = _scaled(self._sizes, _EVALUATION_FACTOR) if judged else self._sizes
            side = replace(side, sizes=sizes, large_sizes=sizes)
        return side_feeds(self.artifact, inputs, side, 0, Printed())


def _scaled(sizes: FeedSizes, factor: int) -> FeedSizes:
    """Sizes for so many times the feeds, of the full window alone."""
    return replace(
        sizes,
        clips=sizes.clips * factor,
        coarse_states=sizes.coarse_states * factor,
        c2f_states=sizes.c2f_states * factor,
    )
