"""What `build` gives: the file that was made, its record, and what to beware of."""

from __future__ import annotations

from dataclasses import dataclass

from optimize import variant
from vampnet_models.onnxfile.artifact import Artifact, open_artifact


@dataclass(frozen=True)
class Variant(variant.Variant):
    """A model that a recipe made.

    Attributes:
        path: of the .onnx file; its record lies beside it.
        record: what was fused and converted, and what stayed in float, each with its reason.
        reused: whether the same variant was there already; False by default.
        source: the model that it was made of; None, the default, where nobody said.
        warnings: what to beware of, a line each; none by default.
        native: the same with operators that `vampbench native` builds; None unless asked for.
    """

    source: Artifact | None = None
    warnings: tuple[str, ...] = ()
    native: Variant | None = None

    @property
    def bytes(self) -> int:
        """The size of the file with its external data."""
        return self.record.bytes

    def open(self) -> Artifact:
        """The made model, as `open_models` gives it. Raises InputError where it is gone."""
        return open_artifact(self.path)
