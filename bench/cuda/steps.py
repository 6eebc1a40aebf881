"""The steps of the script, in their order: each writes its part of the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cuda.commands import check_bundle, search
from bench.cuda.placement import place_models
from bench.cuda.setting import Setting, write_record
from bench.cuda.speed import time_models
from bench.cuda.tokens import compare_tokens
from bench.cuda.variants import make_models, make_variants
from vampnet_models.cache import Json
from vampnet_models.errors import WorkbenchError, contained

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """A part of the work: its name in the record, the minutes that it should take, what it is.

    One that is `made_here` leaves files in the work folder: it is always asked again, and finds
    what is there.
    """

    name: str
    minutes: float
    what: str
    run: Callable[[Setting, Tell], Json]
    made_here: bool = False


STEPS: Sequence[Step] = (
    Step(
        "models",
        1.5,
        "the four models, full size, seeded weights",
        lambda setting, _: make_models(setting),
        made_here=True,
    ),
    Step(
        "variants",
        3,
        "fused, fp16, bf16, int8-weights and int4-weights of each",
        lambda setting, _: make_variants(setting),
        made_here=True,
    ),
    Step("speed", 3, "times in interleaved rounds, inputs bound once; PyTorch beside", time_models),
    Step(
        "placement",
        1,
        "which provider ran each node, and whether attention was fused",
        lambda setting, _: place_models(setting),
    ),
    Step("tokens", 1, "tokens, sampled agreement and costs against FP32", compare_tokens),
    Step(
        "bundle",
        0.5,
        "vampbench bundle --target cuda, and its self-check",
        lambda setting, _: check_bundle(setting),
    ),
    Step(
        "tune",
        2,
        "vampbench tune --target cuda of the built-in encoder, stopped at the limit",
        lambda setting, _: search(setting),
    ),
)
"""The limit of the search ends the last one: what is known before is never at risk."""


def listed(steps: Sequence[Step]) -> str:
    """A line per step, and the minutes of all."""
    lines = [f"{step.name:10} {step.minutes:4.1f} min  {step.what}" for step in steps]
    total = sum(step.minutes for step in steps)
    return "\n".join([*lines, f"about {total:.0f} minutes, by estimate, on 16 cores"])


def run_steps(
    steps: Sequence[Step], setting: Setting, record: Json, out: Path, tell: Tell
) -> list[str]:
    """Run what the record does not hold yet; a line for each problem, in the order of the steps.

    The record is written after every step. A step that fails leaves its reason, and the rest goes
    on.
    """
    said = []
    for step in steps:
        kept = record["steps"].get(step.name)
        if step.made_here or not _is_done(kept):
            tell(f"{step.name}: {step.what}")
            start = time.monotonic()
            try:
                with contained():
                    kept = {"result": step.run(setting, tell)}
            except WorkbenchError as error:
                kept = {"failed": str(error)}
            kept["seconds"] = round(time.monotonic() - start, 1)
            record["steps"][step.name] = kept
            write_record(out, record)
        else:
            tell(f"{step.name}: kept")
        said += [f"{step.name}: {each}" for each in problems(step.name, kept)]
    return said


def _is_done(kept: Json | None) -> bool:
    """Whether a step came to its end: one that a limit stopped goes on."""
    return kept is not None and "failed" not in kept and "stopped" not in kept["result"]


def problems(name: str, kept: Json) -> list[str]:
    """What is wrong with a step's part of the record, a line each; nothing where all is well."""
    if "failed" in kept:
        return [kept["failed"]]
    result = kept["result"]
    if name == "placement":
        rows = _failed(result["models"])
        return [*rows, *result["problems"]]
    if name == "bundle":
        return [] if result["ok"] else result["problems"]
    return _failed(result["variants"] if name == "variants" else result)


def _failed(rows: Json) -> list[str]:
    """Rows of models that failed. PyTorch's may be absent: its row says why, and is no problem."""
    return [
        f"{model} {name}: {row['failed']}"
        for model, each in rows.items()
        if isinstance(each, dict)
        for name, row in each.items()
        if isinstance(row, dict) and "failed" in row and not name.startswith("torch-")
    ]
