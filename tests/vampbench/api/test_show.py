"""What a notebook shows of a variant, a verification and a profile."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import vampbench as vb
from optimize.variant import read_record, record_path
from profiles.host import describe_host
from profiles.targets.order import parse_targets
from tests.profiles.report.page import parse_page
from tests.tiny_graphs import product
from vampbench.api.profile import Profiled
from vampbench.api.variant import Variant
from vampbench.api.verify import Verification
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.records.accuracy import AccuracyReport, CodebookShare
from vampnet_models.records.profiles import Measurement
from vampnet_models.records.results import Results
from vampnet_models.records.tuning import Candidate
from vampnet_models.records.variant import FloatNode, MixedNode


@pytest.fixture
def source(tmp_path: Path) -> Artifact:
    return open_artifact(product(tmp_path / "a<b>.onnx"))


def _made(source: Artifact) -> Variant:
    return vb.build(source, "int8-dynamic", output=source.path.with_name("made.onnx"))


def test_a_variant_shows_its_size_and_what_it_holds(source: Artifact) -> None:
    made = _made(source)
    html = made._repr_html_()
    page = parse_page(html)
    assert "a<b>.onnx: int8-dynamic" in page.text and str(made.path) in page.text
    assert "Of source" in page.text and "int8 1" in page.text
    assert "Token agreement" not in page.text and "CPU median" not in page.text
    assert not re.search(r"https?://(?!www\.w3\.org)|<script|url\(", html)
    # Whatever page it stands in, the style holds below its own class alone.
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style.startswith(".vampbench {") and ":root" not in style


def test_a_verification_shows_its_figures_and_what_was_missed(source: Artifact) -> None:
    made = _made(source)
    books = tuple(CodebookShare(i, 0.9, 1.0, None, 50) for i in range(2))
    accuracy = AccuracyReport(0.9, 1.0, (0.85, 0.95), 100, per_codebook=books)
    found = Verification(
        source,
        made.open(),
        "missed",
        "token agreement 0.9000 is below the 0.95 asked for",
        accuracy,
        record=read_record(record_path(made.path)),
        warnings=("a <warning>",),
    )
    page = parse_page(found._repr_html_())
    assert "made.onnx against a<b>.onnx: missed" in page.text
    assert "is below the 0.95 asked for" in page.text and "90 %" in page.text
    assert "a <warning>" in page.text
    assert len(page.all("svg", "chart")) == 1


def test_a_profile_shows_times_against_the_first(source: Artifact) -> None:
    times = (0.01, 0.011, 0.012)
    record = Measurement(target="cpu", median_s=0.011, samples_s=times)
    fast = replace(record, median_s=0.0055, samples_s=tuple(t / 2 for t in times))
    found = Profiled(
        {"float32": source, "made": source},
        parse_targets("cpu:1"),
        {"float32": {"cpu": record}, "made": {"cpu": fast}},
        describe_host(),
    )
    page = parse_page(found._repr_html_())
    assert "float32 and its variants" in page.text
    assert "11.0 ms" in page.text and "5.50 ms" in page.text and "0.50×" in page.text
    assert "Positions" not in page.text and "Weights by precision" not in page.text
    assert len(page.all("svg", "chart")) == 1


def test_what_became_of_nodes_is_told_apart_and_of_whose(source: Artifact) -> None:
    made = _made(source)
    record = replace(
        made.record,
        float_nodes=(FloatNode("a", "Add", "no weights"),),
        mixed_nodes=(MixedNode("b", "MatMul", "int8", "4 bits cost"),),
    )
    page = parse_page(replace(made, record=record)._repr_html_())
    assert "a<b> · int8-dynamic: left in float" in page.text.replace("a<b>.onnx", "a<b>")
    assert "int8-dynamic: in another precision" in page.text


def test_a_bundle_and_a_search_are_shown_and_short(tmp_path: Path) -> None:
    shipped = SimpleNamespace(file="m.onnx", recipe="fp16", bytes=2_000_000)
    manifest = SimpleNamespace(target="android", models=(shipped,))
    packed = vb.Bundle(tmp_path, manifest, "ab12", Results(), ("a <warning>",))
    page = parse_page(packed._repr_html_())
    assert "m.onnx: fp16, 2.00 MB" in page.text and "ab12" in page.text
    assert "a <warning>" in page.text
    assert "models=" not in repr(packed)

    part = Candidate("m", "int8-static", 1_000_000, 0.0, 0.99, None, 0.5, 0.1, True)
    near = SimpleNamespace(parts=(part,))
    missed = SimpleNamespace(chosen=None, met=False, nearest=(near,))
    page = parse_page(vb.TuneResult(tmp_path, missed)._repr_html_())
    assert "nothing meets the budget" in page.text and "m: int8-static, 1.00 MB" in page.text
    met = SimpleNamespace(chosen=near, met=True, verdict=SimpleNamespace(text="It is smaller."))
    page = parse_page(vb.TuneResult(tmp_path, met)._repr_html_())
    assert "It is smaller." in page.text and "report.html" in page.text
