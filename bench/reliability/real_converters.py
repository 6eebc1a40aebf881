"""Our recipes and the peers' converters, each a function from a model and feeds to a new file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.convert import matmul_nbits
from calibration.feeds.feedset import FeedLabel, FeedSet
from optimize.build import build_variant
from optimize.recipes import RECIPES, find_recipe
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import Feeds

_PER_CHANNEL_OPSET = 13
"""The first in which DequantizeLinear has an axis."""

_Converter = Callable[[Path, Path, Sequence[Feeds]], None]


def _ours(recipe_name: str, source: Path, out: Path, feeds: Sequence[Feeds]) -> None:
    """Our recipe. Raises NotApplicable or a WorkbenchError where it refuses."""
    artifact, recipe = open_artifact(source), find_recipe(recipe_name)
    labels = tuple(FeedLabel(f"recorded[{i}]") for i in range(len(feeds)))
    given = FeedSet(artifact.spec.role, tuple(feeds), labels, "recordings", "the task")
    build_variant(artifact, recipe, out, calibration=given if recipe.needs_calibration else None)


def _quantize_dynamic(source: Path, out: Path, _feeds: Sequence[Feeds]) -> None:
    """onnxruntime's dynamic INT8, as its documentation shows it."""
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(source, out)


def _quantize_static(source: Path, out: Path, feeds: Sequence[Feeds]) -> None:
    """onnxruntime's static INT8: its preparation, QDQ, weights per channel where the opset can."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Gives the feeds one by one."""

        def __init__(self) -> None:
            self.left = iter(feeds)

        def get_next(self) -> Feeds | None:
            """The next feed, None at the end."""
            return next(self.left, None)

    prepared = out.with_name("prepared.onnx")
    # Its symbolic shape inference gives up on some of these models; the plain one does not.
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    opset = max(each.version for each in onnx.load(source).opset_import if each.domain == "")
    per_channel = opset >= _PER_CHANNEL_OPSET
    quantize_static(prepared, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=per_channel)
    prepared.unlink()


def _float16(source: Path, out: Path, _feeds: Sequence[Feeds]) -> None:
    """onnxconverter-common's FP16 with inputs and outputs as they are."""
    import onnx
    from onnxconverter_common.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), out)


def _nbits(bits: int, source: Path, out: Path, _feeds: Sequence[Feeds]) -> None:
    """onnxruntime's weight-only quantization of products."""
    matmul_nbits(bits)(source, out)


OURS = tuple(recipe.name for recipe in RECIPES)

_PEERS: dict[str, _Converter] = {
    "onnxconverter-common float16": _float16,
    "onnxruntime quantize_static": _quantize_static,
    "onnxruntime quantize_dynamic": _quantize_dynamic,
    "onnxruntime MatMulNBits 8 bits": partial(_nbits, 8),
    "onnxruntime MatMulNBits 4 bits": partial(_nbits, 4),
}

CONVERTERS: dict[str, _Converter] = {
    **{name: partial(_ours, name) for name in OURS},
    **_PEERS,
}
