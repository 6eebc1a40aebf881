"""Check this bundle on the machine that it runs on: `python selfcheck.py [--json]`.

Needs onnxruntime and numpy alone. Hashes must be those of the manifest. Tokens need not be
bit-equal on another processor, but must agree with the FP32 reference as the manifest promises.
Exit code 0: everything holds; 1: something does not.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

HERE = Path(__file__).resolve().parent
RUNS = 5
PHONE_PROVIDERS = {"ios": "CoreMLExecutionProvider", "android-npu": "QNNExecutionProvider"}
"""What runs these bundles on the phone; the check itself runs on the manifest's provider."""


def sha256(path: Path) -> str:
    """Of the file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def si_sdr_db(reference: Any, estimate: Any) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019)."""
    reference, estimate = (x.astype(np.float64).ravel() for x in (reference, estimate))
    reference, estimate = reference - reference.mean(), estimate - estimate.mean()
    target = reference * (estimate @ reference) / (reference @ reference + 1e-20)
    noise = estimate - target
    return float(10 * np.log10((target @ target + 1e-20) / (noise @ noise + 1e-20)))


def score(entry: dict[str, Any], output: Any, expected: Any, counted: Any) -> float:
    """Share of equal tokens where they count, or SI-SDR in dB; not finite: the worst."""
    if entry["measure"] == "tokens":
        return float((output == expected)[counted.astype(bool)].mean())
    return si_sdr_db(expected, output) if np.isfinite(output).all() else float("-inf")


def problems_of_files(manifest: dict[str, Any]) -> list[str]:
    """Files that are missing or not as they were."""
    found = []
    for file in manifest["files"]:
        path = HERE / file["name"]
        if not path.is_file():
            found.append(f"{file['name']}: missing; copy the bundle again")
        elif sha256(path) != file["sha256"]:
            found.append(f"{file['name']}: changed since the bundle was made; copy it again")
    return found


def check_model(entry: dict[str, Any], golden: Any, provider: str) -> dict[str, Any]:
    """Run one model on its golden inputs: what it answers, and how fast."""
    name = entry["name"]
    prefix = f"{name}/in/"
    feeds = {k.removeprefix(prefix): golden[k] for k in golden.files if k.startswith(prefix)}
    session = ort.InferenceSession(str(HERE / entry["file"]), providers=[provider])
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


def pace(row: dict[str, Any]) -> str:
    """What the time means: a transformer's run is one of many sampling steps."""
    if row["role"] in ("coarse", "c2f"):
        return "per sampling step"
    return f"{row['audio_s'] / row['median_s']:.3g} x faster than it plays"


def not_exercised(target: Any, provider: str) -> str | None:
    """That the phone's own provider was not run, where that is so."""
    wanted = PHONE_PROVIDERS.get(target)
    if wanted in (None, provider):
        return None
    return f"{wanted} was not exercised: this ran on {provider}; on the device, --provider {wanted}"


def main() -> None:
    """Print what holds; exit with 1 where something does not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--provider", help="instead of the manifest's")
    options = parser.parse_args()
    try:
        manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"FAIL: manifest.json beside this script cannot be read: {error}")
    problems = problems_of_files(manifest)
    provider = options.provider or manifest["provider"]
    if provider not in ort.get_available_providers():
        problems.append(f"{provider}: not in this onnxruntime; install one that has it")
    rows = []
    if not problems:
        with np.load(HERE / "golden.npz", allow_pickle=False) as golden:
            rows = [check_model(entry, golden, provider) for entry in manifest["models"]]
        problems += [
            f"{row['name']}: {row['to_reference']:.4g} to the FP32 reference, "
            f"promised {row['promise']:.4g}"
            for row in rows
            if not row["ok"]
        ]
    note = not_exercised(manifest.get("target"), provider)
    if options.json:
        result = {"ok": not problems, "problems": problems, "models": rows, "note": note}
        print(json.dumps(result).replace("-Infinity", "null"))
    else:
        for row in rows:
            unit = "of tokens" if row["measure"] == "tokens" else "dB SI-SDR"
            print(
                f"{row['name']:15} {'ok  ' if row['ok'] else 'FAIL'} {row['to_reference']:.4g} "
                f"{unit} as FP32 (promised {row['promise']:.4g}), {row['to_maker']:.4g} as where "
                f"it was made; {1e3 * row['median_s']:.1f} ms for {row['audio_s']:.1f} s of sound, "
                f"{pace(row)}"
            )
        for problem in problems:
            print(f"FAIL: {problem}", file=sys.stderr)
        if note:
            print(f"note: {note}")
        print(f"{'FAILED' if problems else 'ok'} on {provider}, onnxruntime {ort.__version__}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
