"""`swap` on the smallest chain: an exchange by itself costs nothing, one by another model does."""

from __future__ import annotations

import shutil

import pytest


@pytest.mark.long
def test_the_stage_that_differs_is_to_blame(vampbench, tiny, recordings, tmp_path):
    others = tmp_path / "others"
    shutil.copytree(tiny, others)
    made = vampbench("weights", tiny / "coarse.onnx", "--bits", "4", "-o", others / "coarse.onnx")
    assert made.code == 0
    asked = ("--audio", recordings, "--clips", "1", "--steps", "1")
    done = vampbench("swap", tiny, others, *asked, "--json")
    assert done.code == 0
    tokens = {row["name"]: row["tokens"]["value"] for row in done.result["swap"]}
    with_it = {"coarse alone", "all but encoder", "all but c2f", "all but decoder", "all"}
    assert {name for name, share in tokens.items() if share < 1} == with_it
    assert set(tokens) == with_it | {
        *("floor", "encoder alone", "c2f alone", "decoder alone", "all but coarse"),
    }
    runs = done.result["free_running"]
    assert runs["coarse"]["variant"]["kept"] < runs["coarse"]["floor"]["kept"] == 1
    assert runs["c2f"]["variant"]["kept"] == 1
    assert "cannot tell: 1 recording and 1 clip" in done.stderr
    # One clip has no interval.
    assert "(95 % intervals)" not in done.stderr and "% (" not in done.stderr
    assert "coarse alone" in done.stderr and "Free-running" in done.stderr
