"""Fixtures that several rooms share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.dac import import_codec
from tests.tiny_graphs import tensor, write
from vampnet_models.architectures.synth import synth
from vampnet_models.importing.importer import ImportResult
from vampnet_models.native.library import _CACHE_VARIABLE
from vampnet_models.onnxfile.session import open_session

EXACT_PRODUCTS = "exact_products"
"""Marks tests of what INT8 keeps: on x86 without VNNI the runtime's 8-bit products saturate."""

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden checkpoints and recordings beside the checkout."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("no ../shared folder: golden checkpoints and recordings are not here")
    return folder


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four models of the `small` preset."""
    folder = tmp_path_factory.mktemp("small")
    synth("small", folder)
    return folder


@pytest.fixture(scope="session")
def dac_codec(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], ImportResult]:
    """What the import of the golden DAC of a rate answered; its models lie beside the record."""
    return cache(lambda rate: import_codec(rate, tmp_path_factory.mktemp("dac")))


@pytest.fixture(scope="session")
def _native_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("native")


@pytest.fixture
def native_cache(_native_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator library is built in a folder of the tests, once for all of them."""
    monkeypatch.setenv(_CACHE_VARIABLE, str(_native_folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this processor's integer kernels get wrong."""
    marked = [item for item in items if item.get_closest_marker(EXACT_PRODUCTS)]
    if marked and _saturates():
        reason = "8-bit products saturate on this processor: it has no VNNI"
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


def _saturates() -> bool:
    """Whether a pair of products of 8 bits, 255 * 127 each, is cut to 16 bits."""
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    x, y = tensor("x", [8, 64], TensorProto.UINT8), tensor("y", [8, 16], TensorProto.INT32)
    with TemporaryDirectory() as folder:
        weights = {"w": np.full((64, 16), 127, np.int8)}
        path = write(Path(folder) / "m.onnx", [node], [x], [y], weights)
        found = open_session(path).run({"x": np.full((8, 64), 255, np.uint8)})["y"]
    return bool((found != 255 * 127 * 64).any())
