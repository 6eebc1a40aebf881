"""Neural Compressor's quantization of one model: run by the interpreter of `make env-inc`.

python inc_script.py MODEL FEEDS.npz OUT.onnx METHOD [BITS] [BLOCK] [SCHEME]

METHOD is static, dynamic or smoothquant, or of the weights alone rtn, gptq or awq, which take BITS,
the values that share a scale (-1: a whole column) and SCHEME (sym or asym). The archive holds feeds
as `INPUT/0`, `INPUT/1`, ...; dynamic and rtn read none. A line of the output that starts with
`warning: ` is for the user.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the runtime is loaded

Feed = dict[str, np.ndarray]


class _Loader:
    """Feeds as Neural Compressor reads them: a batch of one, with a label that nothing reads."""

    batch_size = 1

    def __init__(self, feeds: list[Feed]) -> None:
        self._feeds = feeds

    def __iter__(self) -> Iterator[tuple[Feed, int]]:
        for feed in self._feeds:
            yield feed, 0

    def __len__(self) -> int:
        return len(self._feeds)


def read_feeds(path: Path) -> list[Feed]:
    """The numbered feeds of an archive, in their order."""
    feeds: dict[int, Feed] = {}
    with np.load(path) as archive:
        for key in (k for k in archive.files if "/" in k):
            name, _, number = key.rpartition("/")
            feeds.setdefault(int(number), {})[name] = archive[key]
    return [feeds[number] for number in sorted(feeds)]


def of_one_length(feeds: list[Feed]) -> list[Feed]:
    """The feeds of the length that most have, the longest of those."""
    lengths = [tuple(value.shape for value in feed.values()) for feed in feeds]
    most = max(lengths, key=lambda each: (lengths.count(each), each))
    return [feed for feed, length in zip(feeds, lengths, strict=True) if length == most]


_STACKING = {"smoothquant": "SmoothQuant", "awq": "AWQ"}
"""Methods that stack what they see of all feeds, with their names."""

_HEAVY = ["MatMul", "Gemm", "Conv"]
_IN_FLOAT = {"weight": {"dtype": ["fp32"]}, "activation": {"dtype": ["fp32"]}}


def settings(
    method: str, n_feeds: int = 0, bits: int = 4, block: int = 32, scheme: str = "sym"
) -> dict[str, Any]:
    """What PostTrainingQuantConfig is given; everything else is the tool's own default.

    INT8 as its examples for transformers have it: the products alone, static ones with float
    outputs.
    """
    if method in ("rtn", "gptq", "awq"):
        weight = {"bits": bits, "group_size": block, "scheme": scheme, "algorithm": method.upper()}
        return {
            "approach": "weight_only",
            "calibration_sampling_size": max(1, n_feeds),
            "op_type_dict": {".*": {"weight": weight}},
        }
    products = {"op_type_dict": {f"^((?!({'|'.join(_HEAVY)})).)*$": _IN_FLOAT}}
    if method == "dynamic":
        return {"approach": "dynamic", **products}
    recipes: dict[str, Any] = {"optypes_to_exclude_output_quant": _HEAVY}
    if method == "smoothquant":
        # Without an alpha of its own the tool measures the scales and then smooths nothing.
        recipes |= {"smooth_quant": True, "smooth_quant_args": {"alpha": 0.5}}
    return {
        "approach": "static",
        "quant_format": "QDQ",
        "calibration_sampling_size": n_feeds,
        "recipes": recipes,
        **products,
    }


def _main(arguments: list[str]) -> None:
    """Quantize and write the model; the tool's own files go to a folder that is removed."""
    model, archive, out = (Path(each).resolve() for each in arguments[:3])
    method = arguments[3]
    bits, block, scheme = arguments[4:] or ("4", "32", "sym")
    with tempfile.TemporaryDirectory(prefix="vampbench-inc-") as folder:
        # It leaves nc_workspace/ in the current folder, from the moment of its import.
        os.chdir(folder)
        from neural_compressor import PostTrainingQuantConfig, quantization

        feeds = read_feeds(archive) if archive.is_file() else []
        if method in _STACKING and feeds:
            n_given, feeds = len(feeds), of_one_length(feeds)
            if len(feeds) < n_given:
                sys.stdout.write(
                    f"warning: {_STACKING[method]} of Neural Compressor takes feeds of one length "
                    f"alone: {len(feeds)} of {n_given} were used\n"
                )
        given = settings(method, len(feeds), int(bits), int(block), scheme)
        config = PostTrainingQuantConfig(**given)
        loader = _Loader(feeds) if feeds else None
        made = quantization.fit(model=str(model), conf=config, calib_dataloader=loader)
        if made is None:
            raise SystemExit("neural-compressor gave no model")
        made.save(str(out))
        os.chdir(out.parent)


if __name__ == "__main__":
    _main(sys.argv[1:])
