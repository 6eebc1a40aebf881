"""Check a bundle on the machine that it runs on: `python selfcheck.py [FOLDER] [--json]`.

Needs onnxruntime and numpy alone. The files must be those of the manifest, no more and no fewer.
Tokens need not be bit-equal on another processor, but must agree with the FP32 reference as the
manifest promises. Exit code 0: everything holds; 1: something does not.

What this proves: that nothing was damaged, lost or mixed up since the manifest was written. It does
not prove who wrote it: the manifest is not signed, and who can change a file can change the
manifest too. Ask the maker for the manifest's own SHA-256 by another way (`vampbench bundle`
printed it), and give it as --manifest-sha256.
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
import re
import stat
import time
import zipfile
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

Json = dict[str, Any]


class Refused(Exception):
    """Why the bundle cannot be checked, in one line."""


def sha256(path: Path) -> str:
    """Of the file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def read_manifest(folder: Path, expected_sha256: str | None = None) -> tuple[Json, str]:
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
        manifest = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{MANIFEST} is no JSON: {shown(str(error))}") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise Refused(f"{MANIFEST} here is none of schema {SCHEMA}; make the bundle again")
    _check(manifest)
    return manifest, digest


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _check(manifest: Json) -> None:
    """Raise Refused unless the manifest's fields are of the kinds that this script reads."""
    files, models = _list(manifest, "files"), _list(manifest, "models")
    names = [_text(file, "name", f"files[{i}]") for i, file in enumerate(files)]
    for file, name in zip(files, names, strict=True):
        if not inside(name) or name == MANIFEST:
            raise Refused(f"{MANIFEST}: {name}: leaves the folder, or is no path of a file in it")
        if not 0 <= _number(file, "bytes", name) <= 2**63:
            raise Refused(f"{MANIFEST}: {name}: its bytes are no size")
        if not re.fullmatch("[0-9a-f]{64}", _text(file, "sha256", name)):
            raise Refused(f"{MANIFEST}: {name}: its sha256 is no hash")
    if GOLDEN not in names or len(set(names)) < len(names):
        raise Refused(f"{MANIFEST}: lists no {GOLDEN}, or a file twice; make the bundle again")
    for i, model in enumerate(models):
        name = _text(model, "name", f"models[{i}]")
        for key in ("role", "output"):
            _text(model, key, name)
        if _text(model, "file", name) not in names:
            raise Refused(f"{MANIFEST}: {name}: its file is not in the list of files")
        if _text(model, "measure", name) not in ("tokens", "audio"):
            raise Refused(f"{MANIFEST}: {name}: is measured neither as tokens nor as audio")
        _number(model, "promise", name)
        if model.get("audio_s") is not None and _number(model, "audio_s", name) <= 0:
            raise Refused(f"{MANIFEST}: {name}: stands for no sound")
    if len({model["name"] for model in models}) < len(models):
        raise Refused(f"{MANIFEST}: lists a model twice; make the bundle again")
    for key in ("target", "provider", *(["target_provider"] * ("target_provider" in manifest))):
        _text(manifest, key, "the bundle")


def _list(holder: Json, key: str) -> list[Any]:
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


def problems_of_files(folder: Path, manifest: Json) -> list[str]:
    """Files that are missing, added, links, or not as they were. No link is followed."""
    listed = {file["name"]: file for file in manifest["files"]}
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
            elif path.lstat().st_size != listed[name]["bytes"] or (
                sha256(path) != listed[name]["sha256"]
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


def score(entry: Json, output: Any, expected: Any, counted: Any) -> float:
    """Share of equal tokens where they count, or SI-SDR in dB; not finite: the worst."""
    import numpy as np

    if not output.shape == expected.shape == counted.shape or not counted.any():
        raise Refused(f"{entry['name']}: {GOLDEN} and its output {list(output.shape)} do not fit")
    if entry["measure"] == "tokens":
        return float((output == expected)[counted.astype(bool)].mean())
    return si_sdr_db(expected, output) if np.isfinite(output).all() else float("-inf")


def check_model(folder: Path, entry: Json, golden: Any, provider: str) -> Json:
    """Run one model on its golden inputs: what it answers, and how fast. Raises Refused."""
    import numpy as np
    import onnxruntime as ort

    name = entry["name"]
    prefix = f"{name}/in/"
    feeds = {k.removeprefix(prefix): golden[k] for k in golden.files if k.startswith(prefix)}
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(folder / entry["file"]), options, providers=[provider])
    if session.get_providers()[0] != provider:
        raise Refused(f"{provider} fell back to {session.get_providers()[0]}; check its driver")
    times_s = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        (output,) = session.run([entry["output"]], feeds)
        times_s.append(time.perf_counter() - start)
    counted = golden[f"{name}/counted"]
    to_reference = score(entry, output, golden[f"{name}/reference"], counted)
    return {
        "name": name,
        "ok": bool(to_reference >= entry["promise"]),
        "to_reference": to_reference,
        "promise": entry["promise"],
        "to_maker": score(entry, output, golden[f"{name}/variant"], counted),
        "measure": entry["measure"],
        "median_s": float(np.median(times_s[1:])),
        "first_s": times_s[0],
        "audio_s": entry["audio_s"],
        "role": entry["role"],
    }


def check_models(folder: Path, manifest: Json, provider: str) -> tuple[list[Json], list[str]]:
    """What the models answer, and what is wrong with that."""
    import numpy as np
    import onnxruntime as ort

    if provider not in ort.get_available_providers():
        return [], [f"{shown(provider)}: not in this onnxruntime; install one that has it"]
    rows, problems = [], []
    name = GOLDEN
    try:
        with zipfile.ZipFile(folder / GOLDEN) as archive:
            if sum(info.file_size for info in archive.infolist()) > GOLDEN_BYTES:
                raise Refused(f"{GOLDEN}: unpacks to over {GOLDEN_BYTES} bytes")
        with np.load(folder / GOLDEN, allow_pickle=False) as golden:
            for entry in manifest["models"]:
                name = entry["name"]
                rows.append(check_model(folder, entry, golden, provider))
    except Refused as error:
        problems.append(str(error))
    except Exception as error:  # noqa: BLE001 - whatever the runtime or a damaged array raises
        problems.append(f"{name}: cannot be run: {shown(f'{type(error).__name__}: {error}')}")
    problems += [
        f"{row['name']}: {row['to_reference']:.4g} to the FP32 reference, "
        f"promised {row['promise']:.4g}"
        for row in rows
        if not row["ok"]
    ]
    return rows, problems


def check(folder: Path, provider: str | None, manifest_sha256: str | None) -> Json:
    """All of it. `problems` is empty where everything holds."""
    result: Json = {
        "ok": False,
        "problems": [],
        "provider": provider,
        "not_exercised": None,
        "onnxruntime": None,
        "manifest_sha256": None,
        "manifest_compared": manifest_sha256 is not None,
        "models": [],
    }
    try:
        manifest, result["manifest_sha256"] = read_manifest(folder, manifest_sha256)
        problems = problems_of_files(folder, manifest)
    except (Refused, OSError) as error:
        result["problems"] = [shown(str(error))]
        return result
    result["provider"] = provider = provider or manifest["provider"]
    meant = manifest.get("target_provider", provider)
    result["not_exercised"] = None if meant == provider else meant
    result["target"] = manifest["target"]
    try:
        import numpy  # noqa: F401
        import onnxruntime
    except ImportError as error:
        problems = [*problems, f"{shown(str(error))}; pip install onnxruntime numpy"]
    else:
        result["onnxruntime"] = onnxruntime.__version__
    if not problems:
        result["models"], problems = check_models(folder, manifest, provider)
    return result | {"ok": not problems, "problems": problems}


def _plain(value: Any) -> Any:
    """What JSON holds; a figure that is not finite is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def pace(row: Json) -> str:
    """What the time means: a transformer's run is one of many sampling steps."""
    if row["role"] in ("coarse", "c2f"):
        return "per sampling step"
    return f"{row['audio_s'] / row['median_s']:.3g} x faster than it plays"


def took(row: Json) -> str:
    """The time of a run, and what it means where the model makes sound."""
    time = f"{1e3 * row['median_s']:.1f} ms"
    return (
        f"{time} for {row['audio_s']:.1f} s of sound, {pace(row)}"
        if row["audio_s"] is not None
        else time
    )


def told(row: Json, key: str) -> str:
    """A figure with its unit: token agreement, or the sound's SI-SDR."""
    if row["measure"] == "tokens":
        return f"{100 * row[key]:.2f} % of tokens"
    return f"{row[key]:.1f} dB"


def show(found: Json) -> None:
    """Print the result for people."""
    for row in found["models"]:
        print(
            f"{row['name']:15} {'ok  ' if row['ok'] else 'FAIL'} to FP32: "
            f"{told(row, 'to_reference')} (promised {told(row, 'promise')}); to the output on the "
            f"build machine: {told(row, 'to_maker')}; {took(row)}"
        )
    print(MARGIN)
    for problem in found["problems"]:
        print(f"FAIL: {problem}", file=sys.stderr)
    if found["manifest_sha256"] is None:
        return
    verdict = "ok" if found["ok"] else "FAILED"
    print(f"{verdict} on {shown(found['provider'])}, onnxruntime {found['onnxruntime']}")
    compared = "as given" if found["manifest_compared"] else UNSIGNED
    print(f"manifest sha256 {found['manifest_sha256']} ({compared})")
    meant = found["not_exercised"]
    if meant is not None:
        print(
            f"not exercised: {meant}, which {found['target']} is meant to run on; where "
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
    options = parser.parse_args()
    # Off before the runtime is loaded, which reports its use to Microsoft otherwise.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    found = check(options.folder, options.provider, options.manifest_sha256)
    if options.json:
        rows = [{k: _plain(v) for k, v in row.items()} for row in found["models"]]
        print(json.dumps(found | {"models": rows}, allow_nan=False))
    else:
        show(found)
    sys.exit(0 if found["ok"] else 1)


if __name__ == "__main__":
    main()
