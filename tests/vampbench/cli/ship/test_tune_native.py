"""`tune --target cpu-native`: models that need the operator library are candidates, and ship."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import vampbench as vb
from optimize.tuning import candidates
from optimize.variant import read_record as read_variant
from optimize.variant import record_path
from profiles.profile import REFERENCE
from tests.vampbench.cli.ship.test_tuned import search_of
from tests.vampbench.conftest import Finished
from vampnet_models.native.library import _CACHE_VARIABLE, compiler
from vampnet_models.onnxfile.artifact import find_models, open_artifact
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import TUNING
from vampnet_models.records.profiles import Measurement, Profiles
from vampnet_models.records.tuning import Tuning

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")


def timed(variants: Mapping[str, Path], *_: object, **__: object) -> Profiles:
    """What needs the library takes half of FP32's second."""
    found: Profiles = {}
    for name in variants:
        median_s = 0.5 if name.endswith("-native") else 1.0
        samples_s = tuple(median_s * (1 + i / 1000) for i in range(9))
        interval = None if name == REFERENCE else (median_s * 0.99, median_s * 1.01)
        found[name] = {
            "cpu": Measurement(
                target="cpu",
                median_s=median_s,
                samples_s=samples_s,
                ratio_to_reference=median_s,
                ratio_interval=interval,
            )
        }
    return found


@pytest.fixture
def tune(
    tmp_path: Path, vampbench: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Finished]:
    """The same search with other words."""
    monkeypatch.setattr(candidates, "profile_variants", timed)
    search = search_of(tmp_path, vampbench)
    return lambda *words: search("--min-agreement", "0.9", *words)


@needs_compiler
@pytest.mark.usefixtures("native_cache")
def test_what_needs_the_library_is_found_and_ships_with_it(
    tune: Callable[..., Finished], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = tune("--target", "cpu-native", "--prefer", "fastest")
    assert done.code == 0, done.stderr
    found = read_record(Tuning, TUNING, out / "tune.json")
    assert found.target == "cpu-native" and found.chosen is not None
    (part,) = found.chosen.parts
    assert part.recipe.endswith("-native") and part.time_ratio == 0.5
    assert [path.name for path in find_models(out)] == ["m.native.onnx", "m.onnx"]
    with pytest.raises(vb.InputError, match=r"nothing was decided for cpu: .* sets for cpu-native"):
        vb.bundle(out, "cpu", tmp_path / "portable")
    packed = vb.bundle(out, "cpu-native", tmp_path / "bundle")
    (model,) = packed.manifest.models
    assert (model.file, model.recipe) == ("models/m.native.onnx", part.recipe)
    assert model.portable is not None and packed.manifest.libraries
    assert model.portable.file == "models/m.onnx"
    assert model.portable.recipe == part.recipe.removesuffix("-native")
    for words, told in (([], "m.native"), (["--portable"], "m ")):
        checked = subprocess.run(
            [sys.executable, tmp_path / "bundle" / "selfcheck.py", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout
        assert told in checked.stdout
    # A search that finds a portable model leaves no native one beside it.
    assert tune("--prefer", "smallest").code == 0
    assert [path.name for path in find_models(out)] == ["m.onnx"]


@needs_compiler
@pytest.mark.usefixtures("native_cache")
def test_mixtures_have_both_forms(tune: Callable[..., Finished], tmp_path: Path) -> None:
    assert tune("--target", "cpu-native").code == 0
    made = tmp_path / "out" / "work" / "candidates"
    natives = {path.parent.name: path for path in made.glob("*/m.native.onnx")}
    assert {"int8-dynamic", "int8-static"} <= natives.keys()
    assert any(name.startswith("tuned-") for name in natives)
    for name, path in natives.items():
        same = open_artifact(made / name / "m.onnx").sha256 == open_artifact(path).sha256
        assert same == (not read_variant(record_path(path)).custom_operators)


def test_without_a_compiler_it_is_refused_in_a_line(
    tune: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", os.fspath(tmp_path / "no-compiler"))
    done = tune("--target", "cpu-native")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "no C++ compiler: install g++" in done.lines[0]
    assert not (tmp_path / "out").exists()
