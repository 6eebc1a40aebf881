"""What a model is, what is wrong with it, and what the runtime makes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from vampbench.api.bounds import typed
from vampbench.api.progress import Heard, Listener
from vampbench.work.runtime import check, record_beside
from vampnet_models.cache import Json
from vampnet_models.errors import contained
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.records.generic import VARIANT, versioned
from vampnet_models.records.runtime_facts import RuntimeFacts
from vampnet_models.records.variant import VariantRecord
from vampnet_models.repair.inspection import Inspection, inspect_model


@dataclass(frozen=True)
class Inspected:
    """What was found out about one model.

    inspection: inputs, outputs, operators, parameters, known problems.
    record: its variant.json; None where it is no variant.
    runtime: what the runtime made of its graph; None where nobody looked.
    missed: the promise that its graph does not keep; None where it keeps it, or nobody looked.
    """

    inspection: Inspection
    record: VariantRecord | None
    runtime: RuntimeFacts | None
    missed: str | None

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the model cannot be right, a line each: fatal problems, and a promise not kept."""
        fatal = [f"{each.kind}: {each.text}" for each in self.inspection.problems if each.fatal]
        return (*fatal, *([] if self.missed is None else [self.missed]))

    def as_json(self) -> Json:
        """As JSON values."""
        return self.inspection.as_json() | {
            "variant": None if self.record is None else versioned(self.record, VARIANT),
            "runtime": None if self.runtime is None else asdict(self.runtime),
        }


@typed
def inspect(model: str | Path, *, runtime: bool = False, progress: Listener = None) -> Inspected:
    """Look at a model; with `runtime`, read ONNX Runtime's own optimized graph back, too.

    A variant's variant.json is then completed. What is wrong stands in `faults`: nothing is raised
    for it. Raises InputError when the file cannot be read.
    """
    path = Path(model)
    with contained():
        inspection, record = inspect_model(path), record_beside(path)
        if not runtime:
            facts = None if record is None else record.runtime
            return Inspected(inspection, record, facts, None)
        with Heard(progress).task(f"{path.stem}: reading the runtime's graph back"):
            found = check(open_artifact(path))
        return Inspected(inspection, found.record, found.facts, found.missed)
