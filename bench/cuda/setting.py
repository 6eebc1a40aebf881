"""What the script of CUDA was asked for, and where its work lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from profiles.place import Place
from vampnet_models.cache import Json
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import write_text

BASELINE = "ort-fp32"
"""The raw export in ONNX Runtime: what every row is compared with."""

RECIPES = ("fused", "fp16", "bf16", "int8-weights", "int4-weights")
"""What has kernels on CUDA: none quantizes activations."""

TRANSFORMERS = ("coarse", "c2f")
STEMS = ("codec_encoder", *TRANSFORMERS, "codec_decoder")


@dataclass(frozen=True)
class Setting:
    """A whole call.

    Attributes:
        name: the target, `cuda`; `cpu` tries the script without a device.
        place: where sessions run.
        given: a folder of the models to time; None for the full-size ones with seeded weights.
        heard: a folder of the models whose tokens are compared; None for the built-in ones.
        work: what is made: models, variants, a search, a bundle.
        rounds: timed runs of each row.
        frames: of the timed input; None for each model's own.
        clips: recordings that judge tokens; None for all of them.
        tune_limit_s: seconds after which the search is stopped.
    """

    name: str
    place: Place
    given: Path | None
    heard: Path | None
    work: Path
    rounds: int
    frames: int | None
    clips: int | None
    tune_limit_s: float

    @property
    def models(self) -> Path:
        """The folder of the models that are timed."""
        return self.work / "models" if self.given is None else self.given

    def source(self, stem: str) -> Path:
        """A model as it was exported."""
        return self.models / f"{stem}.onnx"

    def variant(self, stem: str, recipe: str) -> Path:
        """Where a variant of it lies."""
        return self.work / "variants" / recipe / f"{stem}.onnx"

    def feed(self, stem: str) -> Path:
        """Its timed input."""
        return self.work / "feeds" / f"{stem}.npz"

    def rows(self, stem: str) -> dict[str, Path]:
        """Row -> model file, the baseline first; a variant that was not made is left out."""
        made = {recipe: self.variant(stem, recipe) for recipe in RECIPES}
        there = {recipe: path for recipe, path in made.items() if path.is_file()}
        return {BASELINE: self.source(stem), **there}

    def stems(self) -> tuple[str, ...]:
        """The models of the folder. Raises InputError where there is none."""
        found = tuple(stem for stem in STEMS if self.source(stem).is_file())
        if not found:
            names = ", ".join(f"{stem}.onnx" for stem in STEMS)
            raise InputError(f"{self.models}: holds none of {names}; run the step `models`")
        return found

    def facts(self) -> Json:
        """What figures depend on: records of other settings do not go on with each other."""
        return {
            "target": self.name,
            "provider": self.place.provider,
            "weights": "seeded, full size" if self.given is None else "given",
            "heard": "built-in" if self.heard is None else "given",
            "rounds": self.rounds,
            "frames": self.frames,
            "clips": self.clips,
        }


def write_record(path: Path, record: Json) -> None:
    """Write the record, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
