"""Fixtures that several rooms share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.dac import import_codec
from vampnet_models.architectures.synth import synth
from vampnet_models.importing.importer import ImportResult
from vampnet_models.onnxfile.native import _CACHE_VARIABLE

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
