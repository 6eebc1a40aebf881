"""Models by name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import vampbench as vb
from vampnet_models.chain.builtin import builtin_models


def test_models_have_names_in_the_order_of_the_chain(tmp_path: Path) -> None:
    folder = builtin_models(tmp_path)
    models = vb.open_models(folder)
    assert list(models) == ["codec_encoder", "coarse", "c2f", "codec_decoder"]
    one = vb.open_models(str(folder / "coarse.onnx"))
    assert one["coarse"] == models["coarse"]


def test_a_file_that_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    folder = builtin_models(tmp_path)
    (folder / "wrong.onnx").write_bytes(b"no model")
    with pytest.raises(vb.InputError, match=r"wrong\.onnx"):
        vb.open_models(folder)


def test_what_the_package_offers_is_listed() -> None:
    assert set(vb.__all__) == set(dir(vb))
    assert len(vb.__all__) <= 19
    # Type checkers read the imports, Python finds the places: both must say the same.
    tree = ast.parse(Path(vb.__file__).read_text(encoding="utf-8"))
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {name.name: each.module for each in typed.body for name in each.names}
    assert imported == vb._PLACES and set(imported) == set(vb.__all__)
    assert all(callable(getattr(vb, name)) for name in vb.__all__)
    with pytest.raises(AttributeError, match="no attribute 'opne_models'"):
        vb.opne_models  # noqa: B018
