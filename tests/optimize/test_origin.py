"""What was converted before is refused with the name of what to convert."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from optimize.build import build_variant
from optimize.recipes import find_recipe
from tests.tiny_graphs import product
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import open_artifact


@pytest.mark.parametrize("recipe", ["fused", "fp16", "int8-dynamic", "int4-weights"])
def test_what_was_quantized_here_is_not_converted_again(tmp_path: Path, recipe: str) -> None:
    product(tmp_path / "m.onnx")
    source, made = open_artifact(tmp_path / "m.onnx"), tmp_path / "int8.onnx"
    build_variant(source, find_recipe("int8-weights"), made)
    out = tmp_path / "out.onnx"
    said = (
        "int8.onnx: is int8-weights of m.onnx already: what its rounding lost would be lost twice"
    )
    with pytest.raises(InputError, match=re.escape(said)) as told:
        build_variant(open_artifact(made), find_recipe(recipe), out)
    assert str(told.value).endswith("; convert m.onnx") and not out.exists()


def test_what_was_fused_here_is_converted(tmp_path: Path) -> None:
    product(tmp_path / "m.onnx")
    fused = tmp_path / "fused.onnx"
    build_variant(open_artifact(tmp_path / "m.onnx"), find_recipe("fused"), fused)
    made = build_variant(open_artifact(fused), find_recipe("int8-weights"), tmp_path / "out.onnx")
    assert made.path.is_file()


def test_what_others_quantized_is_no_matter_of_ours(tmp_path: Path) -> None:
    product(tmp_path / "m.onnx")
    made = tmp_path / "int8.onnx"
    build_variant(open_artifact(tmp_path / "m.onnx"), find_recipe("int8-weights"), made)
    other = tmp_path / "elsewhere" / "m.onnx"
    other.parent.mkdir()
    other.write_bytes(made.read_bytes())
    assert build_variant(open_artifact(other), find_recipe("fused"), tmp_path / "out.onnx").record
