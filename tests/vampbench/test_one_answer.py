"""One run, one set: all places that say what to ship say the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vampbench as vb
from tests.tiny_graphs import product
from tests.vampbench.conftest import Finished
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import RESULTS
from vampnet_models.records.results import Results

Command = Callable[..., Finished]
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("recipes", ["fused,int8-weights", "fused,int4-weights"])
def test_run_overview_report_and_bundle_name_one_set(
    tmp_path: Path, vampbench: Command, recipes: str
) -> None:
    model, out, feeds = tmp_path / "m.onnx", tmp_path / "out", tmp_path / "feeds"
    product(model)
    feeds.mkdir()
    for number in range(4):
        np.savez(feeds / f"{number}.npz", x=RNG.standard_normal((4, 64), np.float32))
    ran = vampbench(
        *("run", model, "--feeds", feeds, "--recipes", recipes, "--target", "cpu,mobile"),
        *("--rounds", 5, "-o", out),
    )
    assert ran.code == 0, ran.stderr
    written = read_record(Results, RESULTS, out / "results.json").decision
    assert vb.decide(out) == written
    last = ran.stdout[ran.stdout.index("What to ship") :]
    # Only what was asked for is answered here; the rest is told where it stands.
    assert last.rstrip().endswith(f"why, and what to ship on cuda: vampbench overview {out}")
    said = vampbench("overview", out).stdout
    answered = [{line.split()[0] for line in t.splitlines() if line} for t in (last, said)]
    assert ["cuda" in each for each in answered] == [False, True]
    html = (out / "report.html").read_text(encoding="utf-8")
    screen = re.sub(r"<[^>]+>", " ", html[html.index('id="verdict"') : html.index('id="totals"')])
    for target in ("cpu", "android"):
        smallest = written[target].smallest
        assert smallest is not None
        recipe = smallest.parts["m"]
        for text in (last, said):
            (row,) = [line.split() for line in text.splitlines() if line.startswith(f"{target} ")][
                -1:
            ]
            assert row[1] == recipe, text
        assert f"m {recipe}" in screen
        packed = vb.bundle(out, target, tmp_path / target)
        assert [each.recipe for each in packed.manifest.models] == [recipe]
