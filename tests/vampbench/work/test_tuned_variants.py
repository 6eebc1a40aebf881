"""Mixtures that a run searches beside its recipes: a model of one product, on given times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import vampbench as vb
from optimize.options import TUNED, TUNED_SMALL
from optimize.tuning import candidates
from profiles.profile import REFERENCE
from tests.heard import Heard
from tests.tiny_graphs import product
from vampnet_models.records.profiles import Measurement, Profiles
from vampnet_models.records.results import Variant


def timed(variants: Mapping[str, Path], *_: object, **__: object) -> Profiles:
    """All take FP32's second, but what has fewer bits than 16 takes half of one more."""
    half = 0.5 * variants[REFERENCE].stat().st_size
    found: Profiles = {}
    for name, path in variants.items():
        median_s = 1.5 if path.stat().st_size < half else 1.0
        found[name] = {
            "cpu": Measurement(target="cpu", median_s=median_s, ratio_to_reference=median_s)
        }
    return found


@pytest.fixture
def feeds() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"x": rng.standard_normal((4, 64), np.float32)} for _ in range(8)]


def tuned(found: vb.RunResult) -> dict[str, Variant]:
    (model,) = found.results.models
    return {v.recipe: v for v in model.variants if v.recipe.startswith("tuned")}


def test_a_run_has_the_smallest_mixture_and_one_that_is_no_slower(
    tmp_path: Path, feeds: list[dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "profile_variants", timed)
    model, out = product(tmp_path / "m.onnx"), tmp_path / "out"
    chosen = {"data": feeds, "recipes": "fp16", "targets": "mobile"}
    plain = vb.run(model, out, **chosen)
    assert tuned(plain) == {}
    found = vb.run(model, out, **chosen, tune=True)
    assert found.ok, found.missed
    both = tuned(found)
    assert list(both) == [TUNED, TUNED_SMALL]
    small, fast = both[TUNED_SMALL], both[TUNED]
    assert (small.bytes or 0) < (fast.bytes or 0)
    for name, each in both.items():
        assert each.status == "ok" and each.path == f"variants/{name}/m.onnx"
        assert (out / each.path).stat().st_size == each.bytes
        assert each.accuracy is not None and (each.accuracy.snr_db or 0) >= 30
    decided = found.results.decision["android"].smallest
    assert decided is not None and decided.parts == {"m": TUNED_SMALL}
    packed = vb.bundle(out, "android", tmp_path / "bundle")
    assert [m.recipe for m in packed.manifest.models] == [TUNED_SMALL]


def test_a_search_that_finds_nothing_fails_no_run(
    tmp_path: Path, feeds: list[dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "profile_variants", lambda *_, **__: pytest.fail("was timed"))
    monkeypatch.setattr(
        "vampbench.work.tuned_variants.candidates_of",
        lambda *_, **__: (_ for _ in ()).throw(vb.PromiseMissed("m: cannot tell: 1 recording")),
    )
    heard: list[str] = Heard().warnings
    found = vb.run(
        product(tmp_path / "m.onnx"),
        tmp_path / "out",
        data=feeds,
        recipes="fp16",
        targets="mobile",
        tune=True,
        progress=lambda text, *_: heard.append(text),
    )
    assert found.ok
    (only,) = tuned(found).values()
    assert (only.status, only.reason) == ("not-applicable", "m: cannot tell: 1 recording")
    with pytest.raises(vb.InputError, match="tune: not with a scheduler"):
        vb.run(None, tmp_path / "out", tune=True, scheduler="dask://here:1")
