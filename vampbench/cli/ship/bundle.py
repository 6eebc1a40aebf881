"""`vampbench bundle` and `vampbench check`: the folder that ships, and whether it still holds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click
import numpy as np

from calibration.audio.two_folders import load_audio
from calibration.feeds.chain_inputs import EVALUATION, prepare_inputs, side_feeds
from optimize.recipes import find_recipe
from profiles.bundle.bundled import selfcheck
from profiles.bundle.make import TELEMETRY, Part, check_free, promise, reached, write_bundle
from profiles.bundle.ort_format import in_ort_format
from profiles.full_size import is_far_smaller
from profiles.place import cpu
from profiles.report.views.read import read_results
from profiles.targets.contract import Target
from profiles.targets.order import TARGETS, find_target
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.work.chosen import chosen_for
from vampbench.work.goldens import Golden, golden_of, kept_golden
from vampbench.work.job import Job, run_job
from vampbench.work.workspace import Workspace
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.onnxfile.artifact import (
    Artifact,
    find_models,
    load_model,
    open_artifact,
    sha256_of,
)
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.generic import MANIFEST, read, versioned
from vampnet_models.records.manifest import Delivered
from vampnet_models.records.results import Model, Profile, Results
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import CHAIN_ROLES, Role
from vampnet_models.text import end_of, megabytes, percent

_DEFAULT_ROUNDS = 5

_TAKING_ORT = tuple(target.name for target in TARGETS if target.takes_ort)


def _default_lines(targets: Sequence[Target]) -> str:
    """A line of the help for each target: recipes of the transformers and of the codec."""
    rows = [(t.name, ", ".join(t.default_recipes), t.runs_on) for t in targets]
    widths = [max(len(row[column]) for row in rows) + 2 for column in (0, 1)]
    return "\n".join(f"  {n:<{widths[0]}}{r:<{widths[1]}}{runs}" for n, r, runs in rows)


_DEFAULTS = f"""\b
Default recipes, without RUN_DIR (of the transformers, of the codec), and what runs them:
{_default_lines(TARGETS)}
"""


@click.command(epilog=_DEFAULTS)
@click.argument("run_dir", required=False, type=options.PATH)
@click.option(
    "--target",
    "target_name",
    type=click.Choice([target.name for target in TARGETS]),
    required=True,
    help="Where it will run; see below.",
)
@click.option(
    "--recipe",
    metavar="MODEL=RECIPE,...",
    help="Pack these in place of overview's choice; `codec` is encoder and decoder, and one recipe "
    "alone is for every model.",
)
@click.option(
    "--ort",
    "as_ort",
    is_flag=True,
    help="Ship ORT-format files, and the operator list of a reduced runtime "
    f"({', '.join(_TAKING_ORT)}).",
)
@options.output
@options.as_json
def bundle(
    run_dir: Path | None,
    target_name: str,
    recipe: str | None,
    as_ort: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Make the folder that ships: chosen models, promises, golden answers, a check of itself.

    RUN_DIR is what `vampbench run` or `tune` wrote. Of a run, the set is packed that `overview`
    chose: it keeps the tokens. --recipe packs another. On a machine with Python, onnxruntime and
    numpy, `python selfcheck.py` checks it.

    Without RUN_DIR the built-in models are built and measured in the target's default recipes;
    with INT8 that set is faster, and loses some tokens.

    \b
    Examples:
      vampbench bundle out/demo --target android -o out/android
      vampbench bundle out/demo --target android --ort -o out/android-ort
      vampbench bundle out/demo --target cpu --recipe coarse=int8-dynamic,codec=fp16 -o out/cpu
      python out/android/selfcheck.py
    """
    console = Console(as_json=as_json)
    target = find_target(target_name)
    if as_ort and not target.takes_ort:
        raise InputError(f"--ort: not for {target.name}; use it with {', '.join(_TAKING_ORT)}")
    check_free(out)
    with scratch_folder() as scratch:
        root = run_dir if run_dir is not None else _default_run(target, scratch, console)
        results = read_results(root)
        chosen = chosen_for(target, results, root, recipe, is_default=run_dir is None)
        folder_of = root if root.is_dir() else root.parent
        parts = _parts(results, folder_of, chosen, target, scratch, console)
        if as_ort:
            parts = [_in_ort_format(part, scratch, console) for part in parts]
        weights = {model.weights for model in results.models}
        manifest = write_bundle(
            parts,
            out,
            target=target,
            weights=weights.pop() if len(weights) == 1 else "mixed",
        )
    rows = [
        (
            m.name,
            m.recipe,
            Path(m.file).suffix.removeprefix("."),
            megabytes(m.bytes),
            _kept(m.promise, m.measure),
        )
        for m in manifest.models
    ]
    console.table(
        f"Bundle for {target.name}", ("model", "recipe", "format", "size", "promise"), rows
    )
    for m in manifest.models:
        if m.ort_reason is not None:
            console.warn(f"{m.name} ships as .onnx: {m.ort_reason}")
    console.say(f"{out}  {megabytes(sum(f.bytes for f in manifest.files))}")
    made_on, meant = manifest.provider, manifest.target_provider
    if meant != made_on:
        console.warn(f"golden answers and promises are of {made_on}: {meant} was not exercised")
    if target.stores:
        small = any(is_far_smaller(m.role, m.source_bytes) for m in results.models)
        console.say(_packaging(manifest.packaging, limits=not small))
    digest = sha256_of((out / selfcheck.MANIFEST,))
    console.say(f"  sha256     {digest} of the manifest; {selfcheck.UNSIGNED}")
    note = f"{TELEMETRY} says how to turn it off"
    console.say(f"  telemetry  ONNX Runtime's is on by default in an app: {note}")
    console.json(versioned(manifest, MANIFEST) | {"manifest_sha256": digest})


@click.command()
@click.argument("bundle_dir", type=options.PATH)
@click.option(
    "--manifest-sha256",
    metavar="HEX",
    help="What the maker says is the SHA-256 of manifest.json; `bundle` printed it.",
)
@options.as_json
def check(bundle_dir: Path, manifest_sha256: str | None, as_json: bool) -> int:
    """Verify a bundle again: hashes, then tokens and sound as its manifest promises.

    Nothing of the bundle is executed: this project's own self-check reads the folder as data.
    Exit code 1 when a byte was changed or a promise does not hold on this machine.

    The manifest is not signed: its hashes show damage and mix-ups, not who made the bundle. Who
    can change a file can change the manifest with it. To know that it is the maker's, get the
    manifest's own hash by another way (a message, a page) and give it as --manifest-sha256.

    \b
    Examples:
      vampbench check out/android
      vampbench check out/android --manifest-sha256 HEX
    """
    console = Console(as_json=as_json)
    if not (bundle_dir / selfcheck.MANIFEST).is_file():
        raise InputError(f"{bundle_dir}: is no bundle; give a folder that `vampbench bundle` made")
    if manifest_sha256 is not None and not re.fullmatch("[0-9A-Fa-f]{64}", manifest_sha256.strip()):
        raise InputError("--manifest-sha256: is no SHA-256; give its 64 hexadecimal digits")
    found = _selfchecked(bundle_dir, manifest_sha256)
    rows = [
        (
            row.name,
            "ok" if row.ok else "FAILED",
            _kept(row.to_reference, row.measure),
            _kept(row.promise, row.measure),
            f"{row.median_s * 1e3:.1f} ms"
            + (f" for {row.audio_s:.1f} s" if row.audio_s is not None else ""),
        )
        for row in found.models
    ]
    console.table("Self-check", ("model", "status", "agreement", "promised", "time"), rows)
    if found.not_exercised is not None:
        console.warn(f"checked on {found.provider}: {found.not_exercised} was not exercised")
    if found.manifest_sha256 is not None:
        compared = "as given" if manifest_sha256 is not None else selfcheck.UNSIGNED
        console.say(f"manifest sha256 {found.manifest_sha256} ({compared})")
    if found.problems:
        console.error(f"{bundle_dir}: {'; '.join(found.problems)}")
    console.json(asdict(found))
    return int(not found.ok)


def _selfchecked(folder: Path, manifest_sha256: str | None) -> selfcheck.Report:
    """What the packaged self-check says of a folder; its models run in a process of their own.

    Files and the models' headers are read before anything of the folder reaches the runtime.
    Raises PromiseMissed where the process ends without an answer, InputError as `load_model` does.
    """
    try:
        manifest, _ = selfcheck.read_manifest(folder, manifest_sha256)
        if not selfcheck.problems_of_files(folder, manifest):
            for entry in manifest.models:
                if not entry.file.endswith(".ort"):
                    load_model(folder / entry.file)
    except selfcheck.Refused:
        # The process below says it again, in the form of every other problem.
        pass
    command = [sys.executable, "-P", selfcheck.__file__, str(folder), "--json"]
    command += ["--manifest-sha256", manifest_sha256] if manifest_sha256 is not None else []
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    try:
        values = json.loads(done.stdout)
    except ValueError as error:
        reason = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise PromiseMissed(
            f"{folder}: the self-check did not run: {end_of(reason, 300)}"
        ) from error
    return read(selfcheck.Report, values, f"{folder}: the self-check", "check it again")


def _kept(value: float | None, measure: str) -> str:
    """A promise or what was reached, with its unit; None is a sound that is not finite."""
    if measure == "tokens":
        return f"{percent(value)} of tokens"
    return "not finite" if value is None else f"{value:.1f} dB SI-SDR"


def _in_ort_format(part: Part, scratch: Path, console: Console) -> Part:
    """The part with its ORT-format file, whose answers must keep what the .onnx file promises.

    Raises PromiseMissed where they do not.
    """
    with console.task(f"{part.name}: converting to ORT format"):
        shipped = in_ort_format(part.artifact, scratch)
    if shipped.path is None:
        return replace(part, shipped=shipped)
    answered = open_session(shipped.path).run(part.feeds, [part.output])[part.output]
    made = replace(part, variant=answered, shipped=shipped)
    if reached(made) < promise(part):
        raise PromiseMissed(
            f"{part.name}: its ORT-format file answers {reached(made):.4g} as FP32, the .onnx file "
            f"promised {promise(part):.4g}; bundle without --ort"
        )
    return made


def _packaging(packaging: Delivered, *, limits: bool) -> str:
    """Size as delivered, and the stores' limits where the models are as large as published ones."""
    about = "" if packaging.zipped_exact else "about "
    zipped = f"  zipped     {about}{megabytes(packaging.zipped_bytes)}"
    fits = [
        f"{'fits' if row.fits else 'too large for'} {row.store} {row.part} "
        f"({megabytes(row.limit_bytes)})"
        for row in packaging.stores
    ]
    return f"{zipped}; {', '.join(fits)}" if limits else zipped


def _default_run(target: Target, scratch: Path, console: Console) -> Path:
    """The built-in models in the target's default recipes, built, verified and measured."""
    models = builtin_models(scratch)
    job = Job(
        models=tuple(find_models(models)),
        out=scratch / "run",
        command=f"vampbench bundle --target {target.name}",
        recipes=tuple(find_recipe(name).name for name in reversed(target.default_recipes)),
        targets=(cpu(),),
        rounds=_DEFAULT_ROUNDS,
    )
    run_job(job, console)
    return job.out


def _parts(
    results: Results,
    root: Path,
    chosen: dict[str, str],
    target: Target,
    scratch: Path,
    console: Console,
) -> list[Part]:
    """What ships: VampNet's models of a run, or all of them where it has none of those."""
    chain = [role.value for role in CHAIN_ROLES]
    models = [m for m in results.models if m.role in chain and m.name in chosen]
    models = models or [m for m in results.models if m.name in chosen]
    goldens = _goldens(models, root, scratch, console)
    return [_part(m, goldens[m.name], chosen[m.name], root, target) for m in models]


def _goldens(models: list[Model], root: Path, scratch: Path, console: Console) -> dict[str, Golden]:
    """What each source answered: as the run kept it, else by running the sources now."""
    space = Workspace(root)
    kept = {m.name: kept_golden(space.golden(m.name), m.source_sha256 or "") for m in models}
    found = {name: golden for name, golden in kept.items() if golden is not None}
    missing = [m for m in models if m.name not in found]
    if missing:
        sources = {m.name: _source(root, m) for m in models}
        inputs = prepare_inputs(
            tuple(sources.values()), load_audio(None, console), scratch, 0, console
        )
        for name in (m.name for m in missing):
            evaluation = side_feeds(sources[name], inputs, EVALUATION, None, 0, console)
            golden = golden_of(sources[name], evaluation)
            if golden is None:
                raise InputError(f"{sources[name].path}: answers nothing that a bundle can promise")
            found[name] = golden
    return found


def _measured(profiles: dict[str, Profile], target: Target) -> Profile | None:
    """The measured profile of the target's own provider, else the CPU's; None without one.

    Where the time goes stands in the run's results and would only weigh here.
    """
    for name in (target.profiler.name, "cpu"):
        found = profiles.get(name)
        if found is not None and found.kind == "measurement":
            left = {k: v for k, v in found.more.items() if k not in ("operator_times", "peaks")}
            return replace(found, more=left)
    return None


def _source(root: Path, model: Model) -> Artifact:
    path = root / (model.path or "")
    if not path.is_file():
        raise InputError(
            f"{path}: the source model is not there, and the run kept no answer of it; put it "
            "there, or run again"
        )
    artifact = open_artifact(path)
    if artifact.sha256 != model.source_sha256:
        raise InputError(f"{artifact.path}: changed since the run; run again")
    return artifact


def _part(model: Model, golden: Golden, recipe: str, root: Path, target: Target) -> Part:
    variant = next(v for v in model.variants if v.recipe == recipe)
    artifact = open_artifact(root / (variant.path or ""))
    if variant.record is None or artifact.sha256 != variant.record.sha256:
        raise InputError(f"{artifact.path}: changed since the run; run again")
    reference, output = golden.reference, golden.output
    numbers = (Role.CODEC_DECODER.value, Role.GENERIC.value)
    if model.role not in numbers and not np.issubdtype(reference.dtype, np.integer):
        raise InputError(
            f"{artifact.path}: gives no tokens that a bundle could promise; import the original"
        )
    answers = open_session(artifact.path).run(golden.feeds)
    if output not in answers or answers[output].shape != reference.shape:
        raise InputError(f"{artifact.path}: answers {output} in another shape than its source")
    counted = np.ones((1,) * reference.ndim, bool)
    if "mask" in golden.feeds and output == "tokens":
        counted = golden.feeds["mask"][:, -reference.shape[1] :].astype(bool)
    return Part(
        name=model.name,
        artifact=artifact,
        recipe=recipe,
        source_sha256=golden.source_sha256,
        output=output,
        feeds=golden.feeds,
        reference=reference,
        variant=answers[output],
        counted=counted,
        accuracy=variant.accuracy,
        profile=_measured(variant.profiles, target),
        sounds=model.role != Role.GENERIC.value,
    )
