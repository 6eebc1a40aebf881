"""The folder that ships, and whether it still holds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from optimize.recipes import ALL_RECIPES
from profiles.bundle.bundled import selfcheck
from profiles.bundle.library import missing
from profiles.bundle.make import check_free, write_bundle
from profiles.place import cpu
from profiles.report.views.read import not_ended, read_results
from profiles.targets.contract import Target
from profiles.targets.order import TARGETS, find_target
from vampbench.api.bounds import typed
from vampbench.api.progress import Heard, Listener
from vampbench.api.ship.decide import chosen_told, decision_of, unheld_lines
from vampbench.work.asked import Job
from vampbench.work.chosen import chosen_for, wished
from vampbench.work.job import run_job
from vampbench.work.parts import left_out, part_in_ort_format, parts_of
from vampnet_models.chain.builtin import builtin_decision, builtin_models
from vampnet_models.errors import InputError, PromiseMissed, reason_in
from vampnet_models.onnxfile.artifact import find_models, load_model, sha256_of
from vampnet_models.progress import Reporter
from vampnet_models.records.generic import read
from vampnet_models.records.manifest import Manifest
from vampnet_models.records.results import Decided, Decision, GradeName, Results
from vampnet_models.scratch import scratch_folder
from vampnet_models.text import megabytes

TAKING_ORT = tuple(target.name for target in TARGETS if target.takes_ort)
"""The targets that take files in ORT format."""

_DEFAULT_ROUNDS = 5
_NO_BOUNDS = (None,) * 5


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written.

    Attributes:
        output: its folder.
        manifest: what it holds and promises; the contents of its manifest.json.
        manifest_sha256: of manifest.json: what tells a user that it is the maker's.
        results: of the run that it was packed from.
        chosen_by: who chose what is packed, in words.
        warnings: what to beware of, a line each; none by default.
    """

    output: Path
    manifest: Manifest = field(repr=False)
    manifest_sha256: str
    results: Results = field(repr=False)
    chosen_by: str
    warnings: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        # A report's tools are imported where one is shown: packing shall not load them.
        from vampbench.api.show import text_of

        lines = (
            *(f"{m.file}: {m.recipe}, {megabytes(m.bytes)}" for m in self.manifest.models),
            f"chosen: {self.chosen_by}",
            f"SHA-256 of its manifest: {self.manifest_sha256}",
        )
        return text_of(f"For {self.manifest.target}: {self.output}", lines, self.warnings)


@typed
def bundle(
    run: str | Path | None,
    target: str,
    output: str | Path,
    *,
    recipe: str | None = None,
    fastest: bool = False,
    grade: GradeName | None = None,
    min_agreement: float | None = None,
    min_sampled: float | None = None,
    max_cost: float | None = None,
    max_cost_db: float | None = None,
    ort: bool = False,
    progress: Listener = None,
) -> Bundle:
    """Make the folder that ships: chosen models, promises, golden answers, a check of itself.

    `run` is a folder that `run` or `tune` wrote. Packed is what `recipe` says
    (`coarse=fp16,codec=fp32` or one recipe for all), else what `decide` answers for the target, to
    the same bounds: the smallest set, or with `fastest` the fastest one. Where nothing holds the
    grade, a warning says so. Without a run, the built-in models are built and measured in the set
    that was decided for them when the package was made. `ort` ships files in ORT format.

    Raises InputError where `output` is there already, the run has no such set or was stopped before
    its last model (`recipe` packs what is there), or its files have changed; PromiseMissed where a
    model answers worse than was promised.
    """
    heard, out, place = Heard(progress), Path(output), find_target(target)
    if ort and not place.takes_ort:
        raise InputError(f"ORT format: not for {place.name}; it is for {', '.join(TAKING_ORT)}")
    own = (grade, min_agreement, min_sampled, max_cost, max_cost_db)
    check_free(out)
    with scratch_folder() as scratch:
        if run is None:
            decided = _decided_for_reference(own)
            root, results = _reference_run(place, decided, scratch, heard)
            decision, when = decided.decision, f"for the reference models, {decided.created}"
        else:
            root = Path(run)
            results = read_results(root)
            if recipe is None and (stopped := not_ended(results)) is not None:
                raise InputError(f"{root}: {stopped}; or name what to pack: --recipe")
            decision = decision_of(results, *own)
            when = "by the run" if own == _NO_BOUNDS else "to these bounds"
        chosen = chosen_for(place, results, decision, recipe, fastest=fastest)
        folder = root if root.is_dir() else root.parent
        parts = parts_of(results, folder, chosen, place, scratch, heard)
        if ort:
            parts = [part_in_ort_format(part, scratch, heard) for part in parts]
        weights = {model.weights for model in results.models}
        manifest = write_bundle(
            parts, out, target=place, weights=weights.pop() if len(weights) == 1 else "mixed"
        )
    if (stopped := not_ended(results)) is not None:
        heard.warn(f"{root}: {stopped}")
    asked = wished(recipe, results) if recipe is not None else {}
    others = ", ".join(name for name in chosen if name not in asked)
    chosen_by = f"as asked; {others} as decided {when}" if others else "as asked"
    if recipe is None:
        answer = decision[place.name]
        chosen_by = f"{chosen_told(answer, fastest=fastest)}; decided {when}"
        for line in unheld_lines({place.name: answer}):
            heard.warn(line)
    for line in left_out(results, {model.name for model in manifest.models}):
        heard.warn(line)
    for part in parts:
        names = [each.name for each in part.artifact.spec.outputs]
        unpromised = [name for name in names if name not in part.references]
        if unpromised and not part.sounds:
            why = "the source answered no finite numbers there"
            heard.warn(f"{part.name}: {', '.join(unpromised)}: not promised or checked: {why}")
    if manifest.libraries and (absent := missing(manifest.libraries)) is not None:
        heard.warn(absent)
    for model in manifest.models:
        if model.ort_reason is not None:
            heard.warn(f"{model.name} ships as .onnx: {model.ort_reason}")
    made_on, meant = manifest.provider, manifest.target_provider
    if meant != made_on:
        heard.warn(f"golden answers and promises are of {made_on}: {meant} was not exercised")
    digest = sha256_of((out / selfcheck.MANIFEST,))
    return Bundle(out, manifest, digest, results, chosen_by, tuple(heard.warnings))


@typed
def check(folder: str | Path, *, manifest_sha256: str | None = None) -> selfcheck.Report:
    """Verify a bundle again: hashes, then tokens and sound as its manifest promises.

    Nothing of the bundle is executed. What does not hold stands in the report's `problems`. The
    manifest is not signed: whether it is the maker's, its own hash tells, where that is given.
    Raises InputError where the folder is no bundle, PromiseMissed where it cannot be checked.
    """
    given = Path(folder)
    if not (given / selfcheck.MANIFEST).is_file():
        raise InputError(f"{given}: is no bundle; give a folder that `vampbench bundle` made")
    if manifest_sha256 is not None and not re.fullmatch("[0-9A-Fa-f]{64}", manifest_sha256.strip()):
        raise InputError(f"{manifest_sha256}: is no SHA-256; give its 64 hexadecimal digits")
    return _selfchecked(given, manifest_sha256)


def _selfchecked(folder: Path, manifest_sha256: str | None) -> selfcheck.Report:
    """What the packaged self-check says of a folder; its models run in a process of their own.

    Files and the models' headers are read before anything of the folder reaches the runtime.
    Raises PromiseMissed where the process ends without an answer, InputError as `load_model` does.
    """
    try:
        manifest, _ = selfcheck.read_manifest(folder, manifest_sha256)
        if not selfcheck.problems_of_files(folder, manifest):
            for entry in manifest.models:
                for each in (entry, entry.portable):
                    if each is not None and not each.file.endswith(".ort"):
                        load_model(folder / each.file)
    except selfcheck.Refused:
        # The process below says it again, in the form of every other problem.
        pass
    # The library of a bundle is code that came with it.
    command = [sys.executable, "-P", selfcheck.__file__, str(folder), "--json", "--portable"]
    command += ["--manifest-sha256", manifest_sha256] if manifest_sha256 is not None else []
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    try:
        values = json.loads(done.stdout)
    except ValueError as error:
        reason = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise PromiseMissed(
            f"{folder}: the self-check did not run: {reason_in(reason, 300)}"
        ) from error
    return read(selfcheck.Report, values, f"{folder}: the self-check", "check it again")


def _reference_run(
    target: Target, decided: Decided, scratch: Path, reporter: Reporter
) -> tuple[Path, Results]:
    """The built-in models in what was decided for the target, built, verified and measured."""
    decision = decided.decision.get(target.name, Decision(""))
    sets = [each for each in (decision.smallest, decision.fastest) if each is not None]
    wanted = {recipe for each in sets for recipe in each.parts.values()}
    job = Job(
        models=tuple(find_models(builtin_models(scratch))),
        out=scratch / "run",
        command=f"vampbench bundle --target {target.name}",
        recipes=tuple(recipe.name for recipe in ALL_RECIPES if recipe.name in wanted),
        targets=(cpu(),),
        rounds=_DEFAULT_ROUNDS,
    )
    return job.out, run_job(job, reporter)


def _decided_for_reference(own: tuple[object, ...]) -> Decided:
    """What was decided for the built-in models. Raises InputError where bounds ask for another."""
    if own != _NO_BOUNDS:
        raise InputError(
            "bounds and no run: what ships of the built-in models is decided; make a run to decide "
            "anew (vampbench demo)"
        )
    return builtin_decision()
