"""What `build` gives: the file that was made, its record, and what to beware of."""

from __future__ import annotations

from dataclasses import dataclass

from optimize import variant
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.records import results


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

    def _repr_html_(self) -> str:
        # A report's tools are imported where one is shown: a conversion shall not load them.
        from vampbench.api.show import html_of

        made_of = self.record.source
        model = results.Model(
            made_of.name,
            self.record.role,
            source_bytes=made_of.bytes,
            variants=(
                results.Variant(
                    self.record.recipe, "ok", str(self.path), self.bytes, record=self.record
                ),
            ),
        )
        where = f"{self.path}, made before" if self.reused else str(self.path)
        return html_of(model, f"{made_of.name}: {self.record.recipe}", (where,), self.warnings)
