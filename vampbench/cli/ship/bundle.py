"""`vampbench bundle` and `vampbench check`: the folder that ships, and whether it still holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from profiles.bundle.bundled import selfcheck
from profiles.bundle.make import TELEMETRY
from profiles.full_size import is_far_smaller
from profiles.targets.cpu import CPU
from profiles.targets.cpu_native import CPU_NATIVE
from profiles.targets.order import TARGETS, find_target
from vampbench.api.ship import bundle as packing
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.errors import InputError
from vampnet_models.records.generic import MANIFEST, versioned
from vampnet_models.records.manifest import BundledModel
from vampnet_models.records.profiles import Delivered
from vampnet_models.records.results import GradeName
from vampnet_models.text import megabytes, milliseconds, percent


@click.command()
@click.argument("run_dir", required=False, type=options.PATH)
@click.option(
    "--target",
    "target_name",
    type=click.Choice([target.name for target in TARGETS]),
    help="Where it will run; required, or --native.",
)
@click.option(
    "--native",
    is_flag=True,
    help="With the operator library: the same as --target cpu-native.",
)
@click.option(
    "--fastest",
    is_flag=True,
    help="Pack the fastest set in place of the smallest that is no slower than FP32.",
)
@options.decided_by
@click.option(
    "--recipe",
    metavar="MODEL=RECIPE,...",
    help="Pack these in place of what was decided; `codec` is encoder and decoder, `fp32` the "
    "source, and one recipe alone is for every model.",
)
@click.option(
    "--ort",
    "as_ort",
    is_flag=True,
    help="Ship ORT-format files, and the operator list of a reduced runtime "
    f"({', '.join(packing.TAKING_ORT)}).",
)
@options.output
@options.as_json
def bundle(
    run_dir: Path | None,
    target_name: str | None,
    native: bool,
    fastest: bool,
    grade: GradeName | None,
    min_agreement: float | None,
    min_sampled: float | None,
    max_cost: float | None,
    max_cost_db: float | None,
    recipe: str | None,
    as_ort: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Make the folder that ships: chosen models, promises, golden answers, a check of itself.

    RUN_DIR is what `vampbench run` or `tune` wrote. The set is packed that it decided on for the
    target, which `overview` shows: the smallest that is no slower than FP32. --fastest, a grade, a
    bound or --recipe packs another. On a machine with Python, onnxruntime and numpy,
    `python selfcheck.py` checks it.

    --native is for desktops and servers: it packs models for the operator library, that library
    and its sources, and beside each model the portable one for other machines. The run needs
    native recipes: `run --recipes fused,fused-native,int8-dynamic,int8-dynamic-native`.

    Without RUN_DIR the built-in models are built and measured in the set that was decided for them
    when this package was made.

    \b
    Examples:
      vampbench bundle out/demo --target android -o out/android
      vampbench bundle out/demo --target android --ort -o out/android-ort
      vampbench bundle out/demo --target cpu --recipe coarse=int8-dynamic,codec=fp16 -o out/cpu
      vampbench bundle out/run --native -o out/server
      python out/android/selfcheck.py
    """
    console = Console(as_json=as_json)
    if native and target_name not in (None, CPU.name, CPU_NATIVE.name):
        raise InputError(f"--native: not for {target_name}; leave one of them out")
    if native:
        target_name = CPU_NATIVE.name
    if target_name is None:
        raise InputError("no target; say where it will run: --target")
    found = packing.bundle(
        run_dir,
        target_name,
        out,
        recipe=recipe,
        fastest=fastest,
        grade=grade,
        min_agreement=min_agreement,
        min_sampled=min_sampled,
        max_cost=max_cost,
        max_cost_db=max_cost_db,
        ort=as_ort,
        progress=console,
    )
    manifest, target = found.manifest, find_target(target_name)
    rows = [
        (
            m.name,
            m.recipe,
            Path(m.file).suffix.removeprefix("."),
            megabytes(m.bytes),
            _promises(m),
        )
        for m in manifest.models
    ]
    console.table(
        f"Bundle for {target.name}", ("model", "recipe", "format", "size", "promise"), rows
    )
    console.say(f"{out}  {megabytes(sum(f.bytes for f in manifest.files))}")
    console.say(f"  chosen     {found.chosen_by}")
    if target.stores:
        small = any(is_far_smaller(m.role, m.source_bytes, m.family) for m in found.results.models)
        console.say(_packaging(manifest.packaging, limits=not small))
    console.say(f"  sha256     {found.manifest_sha256} of the manifest; {selfcheck.UNSIGNED}")
    note = f"{TELEMETRY} says how to turn it off"
    console.say(f"  telemetry  ONNX Runtime's is on by default in an app: {note}")
    console.json(versioned(manifest, MANIFEST) | {"manifest_sha256": found.manifest_sha256})


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
    found = packing.check(bundle_dir, manifest_sha256=manifest_sha256)
    rows = [
        (
            row.name,
            row.output,
            "ok" if row.ok else "FAILED",
            _kept(row.to_reference, row.measure),
            _kept(row.promise, row.measure),
            milliseconds(row.median_s)
            + (f" for {row.audio_s:.1f} s" if row.audio_s is not None else ""),
        )
        for row in found.models
    ]
    if rows:
        headings = ("model", "output", "status", "agreement", "promised", "time")
        console.table("Self-check", headings, rows)
    if found.not_exercised is not None:
        console.warn(f"checked on {found.provider}: {found.not_exercised} was not exercised")
    if found.manifest_sha256 is not None:
        compared = "as given" if manifest_sha256 is not None else selfcheck.UNSIGNED
        console.say(f"manifest sha256 {found.manifest_sha256} ({compared})")
    if found.problems:
        console.error(f"{bundle_dir}: {'; '.join(found.problems)}")
    console.json(asdict(found))
    return int(not found.ok)


def _promises(model: BundledModel) -> str:
    """What a model promises; by name where it promises several outputs."""
    first = _kept(model.promise, model.measure)
    if not model.others:
        return first
    others = (f"{each.output} {_kept(each.promise, each.measure)}" for each in model.others)
    return "; ".join((f"{model.output} {first}", *others))


def _kept(value: float | None, measure: str) -> str:
    """A promise or what was reached, with its unit; None are numbers that are not finite."""
    if measure == "tokens":
        return f"{percent(value)} of tokens"
    unit = "SQNR" if measure == "sqnr" else "SI-SDR"
    return "not finite" if value is None else f"{value:.1f} dB {unit}"


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
