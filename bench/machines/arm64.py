"""Do the variants of the built-in models choose the same tokens on ARM64 as on x86?

    python -m bench.machines.arm64 [MODEL ...] [--machine FOLDER] [--work FOLDER] [--out FILE]

ONNX Runtime's ARM64 kernels run under qemu-user (see `arm64_machine`): this is about tokens and
says nothing about speed. Exit code 1 where a variant does not run or keeps too few tokens, 2 where
there is no qemu 10.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bench.machines.arm64_machine import Machine, NoMachine, machine
from bench.machines.small_variants import Small, small_variants
from optimize.recipes import RECIPES
from profiles.host import describe_host
from profiles.targets.qnn import si_sdr_db
from vampnet_models.onnxfile.artifact import open_artifact, write_text
from vampnet_models.onnxfile.session import open_session

_RESULTS = Path(__file__).resolve().parents[1] / "results" / "arm64.json"
_SIZES = {"coarse": (48, 4), "c2f": (48, 4), "codec_encoder": (24, 1), "codec_decoder": (24, 1)}
"""Frames and states; about 0.45 GFLOP a second are emulated."""

_LEAST_SHARE = 0.9
"""Below this share of x86's tokens a kernel is wrong, not rounded otherwise."""

_LEAST_SI_SDR_DB = 20.0


def main() -> int:
    """Run all, compare, write after each model."""
    parser = argparse.ArgumentParser(prog="python -m bench.machines.arm64")
    parser.add_argument("models", nargs="*", default=list(_SIZES), metavar="MODEL")
    parser.add_argument("--machine", type=Path, default=Path("out/arm64/machine"))
    parser.add_argument("--work", type=Path, default=Path("out/arm64/work"))
    parser.add_argument("--out", type=Path, default=_RESULTS)
    options = parser.parse_args()
    try:
        arm = machine(options.machine)
    except NoMachine as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sizes = {name: size for name, size in _SIZES.items() if name in options.models}
    records: dict[str, Any] = {}
    if options.out.is_file():
        records = json.loads(options.out.read_text())["records"]
    failed = False
    for small in small_variants(options.work, RECIPES, sizes):
        for name, record in _compare(small, arm, options.work).items():
            records[name] = record
            failed |= is_failed(record)
            print(_line_of(name, record), flush=True)
        _write(options.out, arm, records)
    return 1 if failed else 0


def is_failed(record: dict[str, Any]) -> bool:
    """Whether a variant did not run, or answers so differently that a kernel must be wrong."""
    if record["kind"] == "failed":
        return True
    least = _LEAST_SHARE if record["measure"] == "tokens" else _LEAST_SI_SDR_DB
    return bool(record["arm_to_x86"] < least)


def _line_of(name: str, record: dict[str, Any]) -> str:
    """One row of the agreement table."""
    if record["kind"] == "failed":
        return f"{name:<28} FAILED: {record['reason']}"
    if record["bit_equal"]:
        return f"{name:<28} equal, bit for bit"
    if record["measure"] == "tokens":
        share = f"{record['arm_to_x86']:.2%} of {record['n_positions']} tokens as on x86"
        return f"{name:<28} {share}; as FP32: {record['arm_to_reference']:.2%}"
    return f"{name:<28} SI-SDR {record['arm_to_x86']:.1f} dB to x86"


def _compare(small: Small, arm: Machine, work: Path) -> dict[str, dict[str, Any]]:
    files = {"source": small.source.path, **small.variants}
    feeds = work / f"{small.source.name}.feeds.npz"
    arrays = {f"{i}/{k}": x for i, each in enumerate(small.states) for k, x in each.items()}
    np.savez(feeds, allow_pickle=False, **arrays)
    jobs = [
        {
            "name": recipe,
            "model": str(path.resolve()),
            "feeds": str(feeds.resolve()),
            "outputs": str((work / f"{small.source.name}.{recipe}.npz").resolve()),
        }
        for recipe, path in files.items()
    ]
    listed = work / f"{small.source.name}.jobs.json"
    listed.write_text(json.dumps(jobs))
    child = Path(__file__).with_name("arm64_child.py")
    done = subprocess.run(
        [*arm.command, str(child), str(listed)], capture_output=True, text=True, check=False
    )
    said = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    reference = [open_session(small.source.path).run(feeds) for feeds in small.states]
    records = {}
    for job in jobs:
        recipe, answer = job["name"], said.get(job["name"])
        name = f"{small.source.name}/{recipe}"
        base = {
            "model": small.source.name,
            "recipe": recipe,
            "sha256": open_artifact(files[recipe]).sha256,
        }
        if answer is None or "error" in answer:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            why = last if answer is None else answer["error"]
            records[name] = {"kind": "failed", **base, "reason": why}
            continue
        records[name] = {
            "kind": "emulated",
            "evidence": "emulated",
            **base,
            **_agreement(small, files[recipe], Path(job["outputs"]), reference),
            "emulation_s": answer["seconds"],
        }
    return records


def _agreement(
    small: Small, path: Path, outputs: Path, reference: list[dict[str, Any]]
) -> dict[str, Any]:
    session = open_session(path, threads=1)
    output = next((n for n in ("tokens", "codes") if n in session.output_names), None)
    measured = output or session.output_names[0]
    pairs: list[tuple[Any, Any, Any]] = []
    bit_equal = True
    with np.load(outputs) as archive:
        for index, feeds in enumerate(small.states):
            x86 = session.run(feeds)
            bit_equal &= all(np.array_equal(x86[n], archive[f"{index}/{n}"]) for n in x86)
            counted = np.ones(x86[measured].shape, bool)
            if "mask" in feeds:
                counted = feeds["mask"][:, -x86[measured].shape[1] :].astype(bool)
            found = (reference[index][measured], x86[measured], archive[f"{index}/{measured}"])
            pairs.append(tuple(values[counted] for values in found))  # type: ignore[arg-type]
    truth, x86_all, arm_all = (np.concatenate(part) for part in zip(*pairs, strict=True))
    score = si_sdr_db if output is None else lambda a, b: float((a == b).mean())
    return {
        "measure": "si_sdr_db" if output is None else "tokens",
        "bit_equal": bit_equal,
        "arm_to_x86": score(x86_all, arm_all),
        "arm_to_reference": score(truth, arm_all),
        "x86_to_reference": score(truth, x86_all),
        "n_positions": int(truth.size),
        "frames": int(_SIZES[small.source.name][0]),
        "states": len(small.states),
    }


def _write(out: Path, arm: Machine, records: dict[str, Any]) -> None:
    content = {
        "command": "python -m bench.machines.arm64",
        "weights": "trained",
        "qemu": arm.qemu,
        "emulated_cpu": arm.cpu,
        "versions": {name: version(name) for name in ("onnxruntime", "numpy")},
        "host": describe_host().as_json(),
        "records": dict(sorted(records.items())),
    }
    write_text(out, json.dumps(content, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
