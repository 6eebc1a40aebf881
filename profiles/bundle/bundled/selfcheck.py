"""Check a bundle on the machine that it runs on: `python selfcheck.py [FOLDER] [--json]`.

Needs onnxruntime and numpy alone. The files must be those of the manifest, no more and no fewer.
Tokens need not be bit-equal on another processor, but must agree with the FP32 reference as the
manifest promises. Exit code 0: everything holds; 1: something does not.

What this proves: that nothing was damaged, lost or mixed up since the manifest was written. It does
not prove who wrote it: the manifest is not signed, and who can change a file can change the
manifest too. Ask the maker for the manifest's own SHA-256 by another way (`vampbench bundle`
printed it), and give it as --manifest-sha256.

A model that needs the operator library is opened with the one of this kind of machine in `native`:
that is compiled code. Where there is none, or it does not load, the portable model is checked
alone; with --portable always.
"""

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    # The folder is data: no module of it is imported, whatever its name.
    del sys.path[0]

import argparse
import hashlib
import json
import math
import os
import platform
import re
import stat
import time
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

RUNS = 5
SCHEMA = 1
MANIFEST, GOLDEN = "manifest.json", "golden.npz"
MANIFEST_BYTES = 8_000_000
GOLDEN_BYTES = 1_000_000_000
"""The golden answers take no more than this in memory."""

LISTED = 10_000
"""Files and models that a manifest lists at most."""

SHOWN = 20
"""Problems of files that are told one by one."""

UNSIGNED = "the hashes detect damage, not tampering; to rule that out send this sha256 separately"

MARGIN = "promised: what was measured where it was made, less a margin for other hardware"


class Refused(Exception):
    """Why the bundle cannot be checked, in one line."""


@dataclass(frozen=True)
class File:
    """A file of the bundle, by its path in it."""

    name: str
    bytes: float
    sha256: str


@dataclass(frozen=True)
class Promised:
    """What an output must answer: a share of tokens (0 to 1) or dB, as `measure` says."""

    output: str
    measure: str
    promise: float


@dataclass(frozen=True)
class Entry:
    """What is read of a model: its file, and what its outputs must answer, the first one's first.

    audio_s: how much sound the golden inputs stand for; None where they stand for none.
    exact_products: its sums of 8-bit products must not be cut on x86 without VNNI.
    portable: what stands in for it where the operator library, which it needs, does not load.
    """

    name: str
    role: str
    file: str
    outputs: tuple[Promised, ...]
    audio_s: float | None
    exact_products: bool
    portable: "Entry | None" = None


@dataclass(frozen=True)
class Manifest:
    """What is read of the manifest; `target_provider` is what runs on the target, if known.

    libraries: the files of the operator library, by platform.
    """

    target: str
    provider: str
    target_provider: str | None
    files: tuple[File, ...]
    models: tuple[Entry, ...]
    libraries: dict[str, str]


@dataclass(frozen=True)
class Checked:
    """What an output of a model answered here, and how fast; None for numbers that are not finite.

    to_reference, to_maker: as near as it comes to the FP32 source and to the maker's own output.
    median_s, first_s: of the runs after the first, and of that.
    file: what was opened.
    """

    name: str
    role: str
    output: str
    ok: bool
    measure: str
    to_reference: float | None
    promise: float
    to_maker: float | None
    median_s: float
    first_s: float
    audio_s: float | None
    file: str


@dataclass(frozen=True)
class Report:
    """All of it. `problems` is empty where everything holds, and then it is ok.

    provider: what the models ran on; `not_exercised` is what they are meant to run on, if another.
    manifest_compared: whether its SHA-256 was given, and so is known to be the maker's.
    notes: what was not run, and why.
    """

    ok: bool
    problems: tuple[str, ...]
    provider: str | None
    manifest_compared: bool
    target: str | None = None
    not_exercised: str | None = None
    onnxruntime: str | None = None
    manifest_sha256: str | None = None
    models: tuple[Checked, ...] = ()
    notes: tuple[str, ...] = ()


def sha256(path: Path) -> str:
    """Of the file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def read_manifest(folder: Path, expected_sha256: str | None = None) -> tuple[Manifest, str]:
    """The manifest, every field of it that is used checked, and its SHA-256. Raises Refused."""
    path = folder / MANIFEST
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MANIFEST_BYTES:
            raise Refused(f"{MANIFEST}: is a link, no regular file, or over {MANIFEST_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise Refused(f"{MANIFEST} cannot be read: {error.strerror or error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if expected_sha256 is not None and digest != expected_sha256.strip().lower():
        raise Refused(f"{MANIFEST}: its SHA-256 is {digest}, not the one given: not that bundle")
    try:
        values = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{MANIFEST} is no JSON: {shown(str(error))}") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise Refused(f"{MANIFEST} here is none of schema {SCHEMA}; make the bundle again")
    return _manifest(values), digest


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _manifest(values: dict[str, Any]) -> Manifest:
    """The fields that this script reads. Raises Refused where one is of another kind."""
    files = tuple(_file(each, f"files[{i}]") for i, each in enumerate(_list(values, "files")))
    names = {file.name for file in files}
    if GOLDEN not in names or len(names) < len(files):
        raise Refused(f"{MANIFEST}: lists no {GOLDEN}, or a file twice; make the bundle again")
    models = tuple(
        _entry(each, f"models[{i}]", names) for i, each in enumerate(_list(values, "models"))
    )
    if len({model.name for model in models}) < len(models):
        raise Refused(f"{MANIFEST}: lists a model twice; make the bundle again")
    # Earlier ones named no provider of the target.
    keys = ("target", "provider", *(("target_provider",) if "target_provider" in values else ()))
    target, provider, *meant = (_text(values, key, "the bundle") for key in keys)
    built = _list(values, "libraries") if values.get("libraries") else []
    libraries = dict(_library(each, names) for each in built)
    return Manifest(target, provider, next(iter(meant), None), files, models, libraries)


def _library(values: Any, files: set[str]) -> tuple[str, str]:
    machine, file = (_text(values, key, "libraries") for key in ("platform", "file"))
    if file not in files:
        raise Refused(f"{MANIFEST}: {machine}: its library is not in the list of files")
    return machine, file


def _file(values: Any, where: str) -> File:
    name = _text(values, "name", where)
    if not inside(name) or name == MANIFEST:
        raise Refused(f"{MANIFEST}: {name}: leaves the folder, or is no path of a file in it")
    file = File(name, _number(values, "bytes", name), _text(values, "sha256", name))
    if not 0 <= file.bytes <= 2**63:
        raise Refused(f"{MANIFEST}: {name}: its bytes are no size")
    if not re.fullmatch("[0-9a-f]{64}", file.sha256):
        raise Refused(f"{MANIFEST}: {name}: its sha256 is no hash")
    return file


def _entry(values: Any, where: str, files: set[str]) -> Entry:
    name = _text(values, "name", where)
    role, file = (_text(values, key, name) for key in ("role", "file"))
    if file not in files:
        raise Refused(f"{MANIFEST}: {name}: its file is not in the list of files")
    # Earlier ones promised one output of a model.
    others = _list(values, "others") if values.get("others") else []
    outputs = tuple(_promised(each, name) for each in (values, *others))
    if len({each.output for each in outputs}) < len(outputs):
        raise Refused(f"{MANIFEST}: {name}: promises an output twice; make the bundle again")
    audio_s = None if values.get("audio_s") is None else _number(values, "audio_s", name)
    if audio_s is not None and audio_s <= 0:
        raise Refused(f"{MANIFEST}: {name}: stands for no sound")
    entry = Entry(name, role, file, outputs, audio_s, values.get("exact_products") is True)
    given = values.get("portable")
    return entry if given is None else replace(entry, portable=_portable(given, entry, files))


def _portable(values: Any, entry: Entry, files: set[str]) -> Entry:
    where = f"{entry.name}, portable"
    file = _text(values, "file", where)
    if file not in files:
        raise Refused(f"{MANIFEST}: {where}: its file is not in the list of files")
    outputs = tuple(_promised(each, where) for each in _list(values, "outputs"))
    if [each.output for each in outputs] != [each.output for each in entry.outputs]:
        raise Refused(f"{MANIFEST}: {where}: promises other outputs")
    exact = values.get("exact_products") is True
    return replace(entry, file=file, outputs=outputs, exact_products=exact)


def _promised(values: Any, name: str) -> Promised:
    output, measure = (_text(values, key, name) for key in ("output", "measure"))
    if measure != "tokens" and measure not in DECIBELS:
        raise Refused(f"{MANIFEST}: {name}: is measured neither as tokens nor as audio or sqnr")
    return Promised(output, measure, _number(values, "promise", name))


def _list(holder: dict[str, Any], key: str) -> list[Any]:
    found = holder.get(key)
    if not isinstance(found, list) or not 0 < len(found) <= LISTED:
        raise Refused(f"{MANIFEST}: {key} is no list of 1 to {LISTED}; make the bundle again")
    return found


def _text(holder: Any, key: str, where: str) -> str:
    found = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(found, str) or not found.isprintable() or not 0 < len(found) <= 1000:
        raise Refused(f"{MANIFEST}: {where}: {key} is no name")
    return found


def _number(holder: Any, key: str, where: str) -> float:
    found = holder.get(key) if isinstance(holder, dict) else None
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if found is not None and is_number and abs(found) < 2.0**64:  # NaN is not
        return float(found)
    raise Refused(f"{MANIFEST}: {where}: {key} is no number")


def inside(name: str) -> bool:
    """Whether it is a plain relative path that stays in its folder on any system."""
    parts = name.split("/")
    is_plain = "\\" not in name and not re.match("[A-Za-z]:", name) and name.isprintable()
    return is_plain and not any(part in ("", ".", "..") for part in parts)


def shown(text: str) -> str:
    """One line without control characters, of a length to be read."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)[:300]


def problems_of_files(folder: Path, manifest: Manifest) -> list[str]:
    """Files that are missing, added, links, or not as they were. No link is followed."""
    listed = {file.name: file for file in manifest.files}
    found, seen = [], set()
    for parent, folders, names in os.walk(folder):
        for each in [*folders, *names]:
            path = Path(parent, each)
            name = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode) or name == MANIFEST:
                continue
            if not stat.S_ISREG(mode):
                found.append(f"{shown(name)}: is a link or no regular file; copy the bundle again")
            elif name not in listed:
                found.append(f"{shown(name)}: is not of the bundle; remove it")
            elif path.lstat().st_size != listed[name].bytes or (
                sha256(path) != listed[name].sha256
            ):
                found.append(f"{name}: changed since the bundle was made; copy it again")
            seen.add(name)
    found += [f"{name}: missing; copy the bundle again" for name in listed if name not in seen]
    more = len(found) - SHOWN
    return found if more <= 0 else [*found[:SHOWN], f"{more} more files are not as listed"]


def si_sdr_db(reference: Any, estimate: Any) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019)."""
    reference, estimate = (x.astype("float64").ravel() for x in (reference, estimate))
    reference, estimate = reference - reference.mean(), estimate - estimate.mean()
    target = reference * (estimate @ reference) / (reference @ reference + 1e-20)
    noise = estimate - target
    return 10 * math.log10((target @ target + 1e-20) / (noise @ noise + 1e-20))


def sqnr_db(reference: Any, estimate: Any) -> float:
    """Signal to quantization noise ratio: unlike SI-SDR, scale and offset count."""
    reference, estimate = (x.astype("float64").ravel() for x in (reference, estimate))
    noise = estimate - reference
    return 10 * math.log10((reference @ reference + 1e-20) / (noise @ noise + 1e-20))


DECIBELS = {"audio": si_sdr_db, "sqnr": sqnr_db}
"""The measures in dB."""


def golden_key(model: str, output: str, *, is_first: bool) -> str:
    """Where the golden answers of an output lie: the first one's at the model itself."""
    return model if is_first else f"{model}/out/{output}"


def score(name: str, measure: str, output: Any, expected: Any, counted: Any) -> float | None:
    """Share of equal tokens where they count, or dB; None if not finite. Raises Refused."""
    import numpy as np

    if not output.shape == expected.shape == counted.shape or not counted.any():
        raise Refused(f"{name}: {GOLDEN} and its output {list(output.shape)} do not fit")
    if measure == "tokens":
        return float((output == expected)[counted.astype(bool)].mean())
    return DECIBELS[measure](expected, output) if np.isfinite(output).all() else None


def has_vnni() -> bool:
    """Whether 8-bit products are exact and fast here by themselves, as far as Linux tells."""
    try:
        return "_vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def check_model(
    folder: Path,
    entry: Entry,
    golden: Any,
    provider: str,
    library: Path | None = None,
    maker: str = "variant",
) -> list[Checked]:
    """Run one model on its golden inputs: every output's answer, and how fast. Raises Refused.

    `maker` is which of the maker's answers it is compared with; `library` has its operators.
    """
    import numpy as np
    import onnxruntime as ort

    name = entry.name
    prefix = f"{name}/in/"
    feeds = {k.removeprefix(prefix): golden[k] for k in golden.files if k.startswith(prefix)}
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if entry.exact_products and not has_vnni():
        options.add_session_config_entry("session.x64quantprecision", "1")
    if library is not None:
        options.register_custom_ops_library(str(library))
    session = ort.InferenceSession(str(folder / entry.file), options, providers=[provider])
    if session.get_providers()[0] != provider:
        raise Refused(f"{provider} fell back to {session.get_providers()[0]}; check its driver")
    times_s = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        answers = session.run([each.output for each in entry.outputs], feeds)
        times_s.append(time.perf_counter() - start)
    rows = []
    for each, answer in zip(entry.outputs, answers, strict=True):
        at = golden_key(name, each.output, is_first=each is entry.outputs[0])
        to_reference, to_maker = (
            score(at, each.measure, answer, golden[f"{at}/{side}"], golden[f"{at}/counted"])
            for side in ("reference", maker)
        )
        rows.append(
            Checked(
                name=name,
                role=entry.role,
                output=each.output,
                ok=bool(to_reference is not None and to_reference >= each.promise),
                measure=each.measure,
                to_reference=to_reference,
                promise=each.promise,
                to_maker=to_maker,
                median_s=float(np.median(times_s[1:])),
                first_s=times_s[0],
                audio_s=entry.audio_s,
                file=entry.file,
            )
        )
    return rows


def check_both(
    folder: Path, entry: Entry, portable: Entry, golden: Any, provider: str, library: Path | str
) -> tuple[list[Checked], str | None]:
    """The portable model's answers, then those of the one that needs `library`; a note without.

    `library` is a sentence where there is none. Raises Refused.
    """
    rows = check_model(folder, portable, golden, provider, maker="portable")
    if isinstance(library, str):
        return rows, f"{entry.name}: {library}: the portable model is the one to open here"
    try:
        return [*rows, *check_model(folder, entry, golden, provider, library)], None
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the loader or the runtime raises
        why = shown(f"{type(error).__name__}: {error}")
        return rows, f"{entry.name}: {library.name} does not load here ({why}): open the portable"


def library_for(folder: Path, manifest: Manifest) -> Path | str:
    """The operator library for this machine, or why there is none."""
    machine = f"{sys.platform}-{platform.machine()}"
    file = manifest.libraries.get(machine)
    return f"no operator library for {shown(machine)}" if file is None else folder / file


def check_models(
    folder: Path, manifest: Manifest, provider: str, library: Path | str
) -> tuple[list[Checked], list[str], list[str]]:
    """What the models answer, what is wrong with that, and what was not run."""
    import numpy as np
    import onnxruntime as ort

    if provider not in ort.get_available_providers():
        return [], [f"{shown(provider)}: not in this onnxruntime; install one that has it"], []
    rows: list[Checked] = []
    problems: list[str] = []
    notes: list[str] = []
    name = GOLDEN
    try:
        with zipfile.ZipFile(folder / GOLDEN) as archive:
            if sum(info.file_size for info in archive.infolist()) > GOLDEN_BYTES:
                raise Refused(f"{GOLDEN}: unpacks to over {GOLDEN_BYTES} bytes")
        with np.load(folder / GOLDEN, allow_pickle=False) as golden:
            for entry in manifest.models:
                name = entry.name
                if entry.portable is None:
                    rows += check_model(folder, entry, golden, provider)
                    continue
                both = (entry, entry.portable)
                found, note = check_both(folder, *both, golden, provider, library)
                rows += found
                notes += [] if note is None else [note]
    except Refused as error:
        problems.append(str(error))
    except Exception as error:  # noqa: BLE001 - whatever the runtime or a damaged array raises
        problems.append(f"{name}: cannot be run: {shown(f'{type(error).__name__}: {error}')}")
    problems += [
        f"{row.name}: {row.output}: {told(row.to_reference, row.measure)} to the FP32 reference, "
        f"promised {told(row.promise, row.measure)}"
        for row in rows
        if not row.ok
    ]
    return rows, problems, notes


def check(
    folder: Path, provider: str | None, manifest_sha256: str | None, portable: bool = False
) -> Report:
    """Read the manifest, look at the files, and run the models where those are as they were.

    `portable` leaves out those that need the operator library.
    """
    found = Report(False, (), provider, manifest_compared=manifest_sha256 is not None)
    try:
        manifest, digest = read_manifest(folder, manifest_sha256)
        found = replace(found, manifest_sha256=digest)
        problems = problems_of_files(folder, manifest)
    except (Refused, OSError) as error:
        return replace(found, problems=(shown(str(error)),))
    provider = provider or manifest.provider
    models: list[Checked] = []
    notes: list[str] = []
    version = None
    try:
        import numpy  # noqa: F401
        import onnxruntime
    except ImportError as error:
        problems = [*problems, f"{shown(str(error))}; pip install onnxruntime numpy"]
    else:
        version = onnxruntime.__version__
    if not problems:
        library = "left out, as asked" if portable else library_for(folder, manifest)
        models, problems, notes = check_models(folder, manifest, provider, library)
    return replace(
        found,
        ok=not problems,
        problems=tuple(problems),
        provider=provider,
        target=manifest.target,
        not_exercised=None if manifest.target_provider == provider else manifest.target_provider,
        onnxruntime=version,
        models=tuple(models),
        notes=tuple(notes),
    )


def pace(row: Checked, audio_s: float) -> str:
    """What the time means: a transformer's run is one of many sampling steps."""
    if row.role in ("coarse", "c2f"):
        return "per sampling step"
    if row.median_s > audio_s:
        return f"{row.median_s / audio_s:.3g} x slower than it plays"
    return f"{audio_s / row.median_s:.3g} x faster than it plays"


def took(row: Checked) -> str:
    """The time of a run, and what it means where the model makes sound."""
    time = f"{1e3 * row.median_s:.1f} ms"
    if row.audio_s is None:
        return time
    return f"{time} for {row.audio_s:.1f} s of sound, {pace(row, row.audio_s)}"


def told(value: float | None, measure: str) -> str:
    """A figure with its unit: token agreement, the sound's SI-SDR, or the numbers' SQNR."""
    if value is None:
        return "not finite"
    return f"{100 * value:.2f} % of tokens" if measure == "tokens" else f"{value:.1f} dB"


def show(found: Report) -> None:
    """Print the result for people."""
    for row in found.models:
        reached, promised, kept = (
            told(value, row.measure) for value in (row.to_reference, row.promise, row.to_maker)
        )
        name = f"{row.name}.native" if row.file.endswith(".native.onnx") else row.name
        print(
            f"{name:15} {row.output:10} {'ok  ' if row.ok else 'FAIL'} to FP32: {reached} "
            f"(promised {promised}); to the output on the build machine: {kept}; {took(row)}"
        )
    print(MARGIN)
    for note in found.notes:
        print(note)
    for problem in found.problems:
        print(f"FAIL: {problem}", file=sys.stderr)
    if found.manifest_sha256 is None:
        return
    verdict = "ok" if found.ok else "FAILED"
    print(f"{verdict} on {shown(str(found.provider))}, onnxruntime {found.onnxruntime}")
    compared = "as given" if found.manifest_compared else UNSIGNED
    print(f"manifest sha256 {found.manifest_sha256} ({compared})")
    meant = found.not_exercised
    if meant is not None:
        print(
            f"not exercised: {meant}, which {found.target} is meant to run on; where "
            f"onnxruntime has it: python selfcheck.py --provider {meant}"
        )


def main() -> None:
    """Print what holds; exit with 1 where something does not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = Path(__file__).resolve().parent
    parser.add_argument("folder", nargs="?", type=Path, default=here, help="instead of this one")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--provider", help="instead of the manifest's")
    parser.add_argument("--manifest-sha256", metavar="HEX", help="what the maker says it is")
    parser.add_argument("--portable", action="store_true", help="run nothing of `native`")
    options = parser.parse_args()
    # Off before the runtime is loaded, which reports its use to Microsoft otherwise.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    given = (options.provider, options.manifest_sha256, options.portable)
    found = check(options.folder, *given)
    if options.json:
        print(json.dumps(asdict(found), allow_nan=False))
    else:
        show(found)
    sys.exit(0 if found.ok else 1)


if __name__ == "__main__":
    main()
