"""The operator library as a package brings it: found by its hash, else a sentence says why not."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.vampnet_models.native.test_library import TRUTH, fused, output
from vampnet_models.native import library, packaged
from vampnet_models.native.library import _CACHE_VARIABLE, build_library, compiler
from vampnet_models.onnxfile.artifact import save_model

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of this version without a library, and nothing that was built here."""
    folder = tmp_path / "site" / packaged.PACKAGE
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('it is not to be imported')\n")
    (folder / packaged.HASH_FILE).write_text(f"{library.sources_sha256()}\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path / "empty"))
    return folder


@needs_compiler
def test_its_library_needs_no_compiler(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv(_CACHE_VARIABLE, str(tmp_path / "built"))
        shutil.copyfile(build_library(), package / packaged.library_name())
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert build_library() == library.built_library() == package / packaged.library_name()
    save_model(fused(), tmp_path / "m.onnx")
    assert np.abs(output(tmp_path / "m.onnx") - TRUTH).max() < 3e-6


def test_one_of_other_sources_is_not_loaded(package: Path) -> None:
    (package / packaged.library_name()).write_bytes(b"of other sources")
    (package / packaged.HASH_FILE).write_text("0" * 64)
    assert library.built_library() is None
    assert "is of another version: pip install -U vampnet-workbench-ops" in library.how()


def test_one_for_other_machines_is_told(package: Path) -> None:
    assert library.built_library() is None
    assert "vampnet-workbench-ops has no library for" in library.how()
