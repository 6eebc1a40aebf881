"""The built-in models on Qualcomm's NPU: compiled by its compiler, emulated on x86.

    python -m bench.machines.qnn [MODEL ...] [--work FOLDER] [--out FILE]

Needs the extra `qnn`. Short inputs: the codec is emulated at about 0.1 GFLOP/s. Results are written
after each variant; what is there already for the same file is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from bench.machines.small_variants import small_variants
from optimize.recipes import NPU_RECIPES
from profiles.host import describe_host
from profiles.targets.qnn import PACKAGE, SOCS, compile_variant, unavailable
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.records.evidence import Compiled, CompiledFile, NotRun
from vampnet_models.records.files import read_record, write_record
from vampnet_models.records.generic import COMPILED, as_json

_RESULTS = Path(__file__).resolve().parents[1] / "results" / "qnn.json"
_SIZES = {"coarse": (64, 8), "c2f": (64, 8), "codec_encoder": (16, 1), "codec_decoder": (8, 2)}
"""Frames and states: a transformer's second of emulation is the encoder's minute and the quantized
decoder's six."""

_TIMEOUT_S = 3600


def main() -> int:
    """Compile and emulate each, and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.machines.qnn")
    parser.add_argument("models", nargs="*", default=list(_SIZES), metavar="MODEL")
    parser.add_argument("--work", type=Path, default=Path("out/qnn"))
    parser.add_argument("--out", type=Path, default=_RESULTS)
    parser.add_argument("--again", action="store_true", help="also what is there already")
    options = parser.parse_args()
    missing = unavailable()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 2
    sizes = {name: size for name, size in _SIZES.items() if name in options.models}
    records: dict[str, Compiled | NotRun] = {}
    if options.out.is_file():
        records = dict(read_record(CompiledFile, COMPILED, options.out).variants)
    for small in small_variants(options.work, NPU_RECIPES, sizes):
        for recipe, path in {"source": small.source.path, **small.variants}.items():
            name = f"{small.source.name}/{recipe}"
            sha256 = open_artifact(path).sha256
            kept = records.get(name)
            if not options.again and isinstance(kept, Compiled) and kept.sha256 == sha256:
                continue
            found: Compiled | NotRun
            try:
                found = compile_variant(
                    path, small.source.path, small.states, soc=SOCS[0], timeout_s=_TIMEOUT_S
                )
            except InputError as error:
                found = NotRun(str(error).replace(str(path), path.name))
            records[name] = replace(found, model=small.source.name, recipe=recipe, sha256=sha256)
            said = found.reason if isinstance(found, NotRun) else found.emulated
            print(name, json.dumps(as_json(said)), flush=True)
            _write(options.out, records)
    return 0


def _write(out: Path, records: dict[str, Compiled | NotRun]) -> None:
    packages = (PACKAGE, "onnxruntime", "onnx", "numpy")
    content = CompiledFile(
        command="python -m bench.machines.qnn",
        host=describe_host(),
        variants=dict(sorted(records.items())),
        compiler=f"{PACKAGE} {version(PACKAGE)}",
        weights="trained",
        versions={name: version(name) for name in packages},
    )
    write_record(content, COMPILED, out)


if __name__ == "__main__":
    sys.exit(main())
