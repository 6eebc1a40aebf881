"""Build, verify and profile from Python: values in, values out, nothing printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vampbench as vb
from optimize.recipe_settings import StaticSettings, static_recipe
from tests.tiny_graphs import product


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Six feeds of `product`."""
    rng = np.random.default_rng(0)
    path = tmp_path / "feeds.npz"
    np.savez(path, **{f"x/{i}": rng.standard_normal((4, 64), np.float32) for i in range(6)})
    return path


def test_a_variant_is_made_and_judged(
    tmp_path: Path, given: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = vb.open_models(product(tmp_path / "m.onnx"))["m"]
    heard: list[str] = []
    made = vb.build(
        model, "int8-static", calibration=given, progress=lambda text, _n, _of: heard.append(text)
    )
    assert made.path == Path("variants/int8-static/m.onnx")
    assert made.source == model and made.bytes < model.bytes
    assert made.record.precision == {"int8": 1}
    assert made.open().spec == model.spec
    assert heard[0] == "m: int8-static" and set(heard) == {"m: int8-static"}
    assert vb.build(model, "int8-static", calibration=given).reused

    found = vb.verify(model, made, given, min_agreement=0.5)
    assert found.ok and found.check() is found
    assert found.accuracy.token_agreement is None and found.accuracy.snr_db > 30
    assert found.runtime is not None and found.runtime.integer_share == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.long
def test_variants_are_timed_against_the_first(
    tmp_path: Path, given: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = product(tmp_path / "m.onnx")
    made = vb.build(model, "int8-dynamic", output=tmp_path / "made.onnx")
    timed = vb.profile({"float32": model, "int8": made}, data=given, rounds=3)
    assert list(timed.models) == ["float32", "int8"] and not timed.failed
    assert timed["int8"]["cpu"].median_s > 0 and len(timed["int8"]["cpu"].samples_s) == 3
    assert capfd.readouterr() == ("", "")


def test_settings_of_a_recipe_are_given_as_a_recipe(tmp_path: Path, given: Path) -> None:
    recipe = static_recipe(StaticSettings(observer="mse"))
    made = vb.build(
        product(tmp_path / "m.onnx"), recipe, calibration=given, output=tmp_path / "made.onnx"
    )
    assert made.record.recipe == "int8-static-mse" and made.record.calibration.observer == "mse"
    assert made.path == tmp_path / "made.onnx"


def test_a_missed_threshold_is_a_status_that_check_raises(tmp_path: Path, given: Path) -> None:
    model = product(tmp_path / "m.onnx")
    other = product(tmp_path / "other.onnx", seed=1)
    found = vb.verify(model, other, given, min_agreement=0.9)
    assert found.status == "missed" and not found.ok
    with pytest.raises(vb.PromiseMissed, match=r"other\.onnx: missed: y is lost: an SQNR of -\d"):
        found.check()


def test_what_cannot_be_used_is_told_as_on_the_command_line(tmp_path: Path, given: Path) -> None:
    model = product(tmp_path / "m.onnx")
    with pytest.raises(vb.InputError, match="int7: no such recipe; choose one of fused, fp16"):
        vb.build(model, "int7")
    with pytest.raises(vb.InputError, match="is the input itself; choose another output"):
        vb.build(model, "fp16", output=model)
    with pytest.raises(vb.InputError, match="no such recipe"):
        vb.build(model, "fp16", output=tmp_path / "o.onnx", native=True)
    assert not (tmp_path / "o.onnx").exists()
    with pytest.raises(vb.InputError, match="recipe: is a NoneType; give a name, or a Recipe"):
        vb.build(model, None)
    with pytest.raises(vb.InputError, match="model: is an int; give one of `open_models`"):
        vb.build(5, "fp16")
    with pytest.raises(vb.InputError, match="gone: no such folder"):
        vb.build(model, "int8-static", calibration=tmp_path / "gone")
    with pytest.raises(vb.InputError, match=r"gone\.onnx: no such file; give the path"):
        vb.open_models(tmp_path / "gone.onnx")
    with pytest.raises(vb.InputError, match=r"gone\.onnx: no such file"):
        vb.profile(tmp_path / "gone.onnx")
    with pytest.raises(vb.InputError, match=r"gone\.onnx: no such file"):
        vb.build(tmp_path / "gone.onnx", "fp16")
    with pytest.raises(vb.InputError, match=r"min_agreement: 3\.5 is not in the range 0<=x<=1"):
        vb.verify(model, model, given, min_agreement=3.5)
    with pytest.raises(vb.InputError, match=r"threads: .* cores are there"):
        vb.verify(model, model, given, threads=-1)
    with pytest.raises(vb.InputError, match="not a variant of"):
        vb.verify(model, product(tmp_path / "w.onnx", width=32), given)
    with pytest.raises(vb.InputError, match="max_memory_bytes: 0 is not in"):
        vb.build(model, "fp16", max_memory_bytes=0)
    with pytest.raises(vb.InputError, match="given twice"):
        vb.profile([model, model], data=given)
    with pytest.raises(vb.InputError, match="no model was given"):
        vb.profile([])
    with pytest.raises(vb.InputError, match="rounds: 2 is not in"):
        vb.profile([model], rounds=2)
    with pytest.raises(vb.InputError, match="target 'toaster': unknown"):
        vb.profile([model], targets="toaster")


def test_a_recipe_with_nothing_to_do_is_not_applicable(tmp_path: Path, given: Path) -> None:
    made = vb.build(product(tmp_path / "m.onnx"), "fp16", output=tmp_path / "half.onnx")
    assert made.warnings == made.record.warnings
    with pytest.raises((vb.NotApplicable, vb.InputError)):
        vb.build(made, "fp16", output=tmp_path / "again.onnx")


def test_feeds_of_ones_own_are_dicts_of_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.standard_normal((4, 64), np.float32)} for _ in range(5)]
    model, out = product(tmp_path / "m.onnx"), tmp_path / "made.onnx"
    made = vb.build(model, "int8-static", calibration=iter(feeds[:3]), output=out)
    assert made.record.calibration.n_feeds == 3
    found = vb.verify(model, made, feeds[3:])
    assert found.ok and found.accuracy.per_output[0].worst_sample in (0, 1)
    # Processors without VNNI get a warning of their own.
    assert [each for each in found.warnings if "VNNI" not in each] == []
    for judging, which in ((feeds[:3], "all of it"), (feeds, "3 of 5 samples")):
        told = vb.verify(model, made, judging).warnings
        (warning,) = (each for each in told if "VNNI" not in each)
        assert warning == f"feeds: calibrated made.onnx too, {which}; others judge it better"
    assert vb.verify(model, made, feeds[0]).accuracy.per_output[0].worst_sample == 0
    with pytest.raises(vb.InputError, match="holds z, which no model takes: m takes x"):
        vb.build(model, "int8-static", calibration={"z": feeds[0]["x"]}, output=out)
    with pytest.raises(vb.InputError, match="sample 0 is a ndarray; give a dict of numpy arrays"):
        vb.verify(model, made, [feeds[0]["x"]])
