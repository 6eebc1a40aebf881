"""A target that exists here alone: its one record is all that the others need to know of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from optimize.decide import decide
from profiles.bundle.make import write_bundle
from profiles.count.packaging import StoreLimit
from profiles.profile import profile_variants
from profiles.report.render import render_report
from profiles.targets import order
from profiles.targets.contract import Profiler, Request, Target
from tests.profiles import graphs
from tests.profiles.bundle.test_make import part, selfcheck
from tests.profiles.report.example import example_results, results_of
from vampnet_models.errors import InputError
from vampnet_models.records.manifest import TelemetrySwitch
from vampnet_models.records.profiles import Estimate, Profile


def _profile(request: Request) -> dict[str, Profile]:
    assumed = f"a toy on {request.place.threads} threads is as slow as it was wound up"
    found = Estimate(low_s=0.25, high_s=0.5, assumptions=(assumed,))
    return dict.fromkeys(request.variants, found)


TOY = Target(
    name="toy",
    provider="ToyExecutionProvider",
    telemetry=TelemetrySwitch("winding", "the first turn", "take the key out"),
    profiler=Profiler(
        name="toy", title="Toy box", profile=_profile, remedy="wind it up", takes_threads=True
    ),
    why="what the box holds",
    recipes=("int4-weights", "fused"),
    stores=(StoreLimit("Toy shop", "box", 10),),
)


@pytest.fixture(autouse=True)
def _listed(monkeypatch):
    monkeypatch.setattr(order, "TARGETS", (*order.TARGETS, TOY))


def test_profile_takes_it(tmp_path):
    feeds = graphs.save_feeds(tmp_path / "feeds.npz", x=np.ones((16, 64), np.float32))
    path = graphs.save(graphs.slow_matmul(2), tmp_path / "a.onnx")
    records = profile_variants({"fused": path}, feeds, order.parse_targets("toy:1"))
    assert records["fused"]["toy"].low_s == 0.25
    assert "on 1 threads" in records["fused"]["toy"].assumptions[0]
    with pytest.raises(InputError, match=r"toy or toy:THREADS"):
        order.parse_targets("toys")


def test_what_is_decided_for_it_is_what_it_takes():
    variants = [
        {
            "recipe": recipe,
            "bytes": size,
            "status": "ok",
            "accuracy": {"token_agreement": 1.0},
            "profiles": {},
        }
        for recipe, size in (("fused", 9), ("int4-weights", 3), ("int8-dynamic", 1))
    ]
    model = {"name": "m", "role": "generic", "source_bytes": 10, "variants": variants}
    found = decide(results_of(example_results() | {"models": [model]}))
    toy, android = found["toy"].smallest, found["android"].smallest
    assert (toy.parts, toy.bytes) == ({"m": "int4-weights"}, 3)
    assert found["toy"].reasons[0] == "what the box holds"
    assert android.parts == {"m": "int8-dynamic"}


def test_a_report_has_its_figures_or_how_to_get_them(tmp_path):
    results = example_results()
    assert "wind it up" in render_report(results_of(results), tmp_path)
    for model in results["models"]:
        for variant in model["variants"]:
            variant["profiles"] = {
                "toy": {"kind": "estimate", "low_s": 0.25, "high_s": 0.5, "assumptions": ["wound"]}
            }
    html = render_report(results_of(results), tmp_path)
    assert "Toy box" in html and "wind it up" not in html
    assert "0.25" in html or "250" in html


def test_a_bundle_for_it_says_what_it_needs_to_know(tmp_path):
    out = tmp_path / "bundle"
    manifest = write_bundle([part(tmp_path)], out, target=order.find_target("toy"), weights="x")
    assert (manifest.target, manifest.target_provider) == ("toy", "ToyExecutionProvider")
    assert manifest.telemetry.set_with == "winding"
    assert "take the key out" in (out / "TELEMETRY-NOTE.txt").read_text(encoding="utf-8")
    (store,) = manifest.packaging.stores
    assert (store.store, store.fits) == ("Toy shop", False)
    code, found = selfcheck(out)
    assert code == 0, json.dumps(found)
    assert "ToyExecutionProvider" in found["not_exercised"]
