import json
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from profiles.count import packaging
from profiles.count.examine import examine
from profiles.targets import mobile
from profiles.targets.ios import IOS
from profiles.targets.order import sharing, store_limits
from tests.profiles import graphs
from vampnet_models.records.generic import as_json

ROOT = Path(__file__).parents[3]


def test_every_device_has_its_source_and_confidence():
    assert len(mobile._devices()) >= 6
    for device in mobile._devices():
        assert device.confidence in ("high", "medium", "low")
        assert device.source
        assert device.peak_ops_per_s("int8") == 4 * device.peak_ops_per_s("float32")


def test_peak_of_a_known_device():
    pi = next(d for d in mobile._devices() if d.name == "Raspberry Pi 5")
    assert pi.peak_ops_per_s("float32") == pytest.approx(4 * 2.4e9 * 2 * 8)


def test_a_device_without_a_figure_is_refused():
    with pytest.raises(TypeError, match="memory_gb"):
        mobile._parse_devices("[[device]]\nname = 'x'\nclusters = []")


def test_small_files_are_deflated_exactly(tmp_path):
    path = tmp_path / "zeros"
    path.write_bytes(bytes(1_000_000))
    zipped = packaging.zipped_size((path,))
    assert zipped.exact
    assert zipped.bytes < 5000


def test_large_files_are_judged_by_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(packaging, "_EXACT_UP_TO_BYTES", 1 << 20)
    monkeypatch.setattr(packaging, "_BLOCK_BYTES", 1 << 16)
    path = tmp_path / "noise"
    path.write_bytes(np.random.default_rng(0).bytes(3 << 20))
    zipped = packaging.zipped_size((path,))
    assert not zipped.exact
    assert zipped.bytes == pytest.approx(3 << 20, rel=0.01)


def test_ort_format_gives_size_and_operators(tmp_path):
    path = graphs.save(graphs.qdq_conv(), tmp_path / "modèle deux.onnx")
    found = packaging.to_ort((path,), path.stat().st_size)
    assert found.reason is None
    assert found.bytes > 1000
    assert "QLinearConv" in found.operators["com.microsoft;1"]
    assert [p.name for p in tmp_path.iterdir()] == ["modèle deux.onnx"]


def test_a_failed_conversion_says_why(tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_text("nothing")
    found = packaging.to_ort((path,), 7)
    assert found.bytes is None
    assert "conversion failed" in found.reason


def test_short_memory_skips_the_conversion_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(packaging.host, "memory_bytes", lambda: (10, 10))
    assert "memory" in packaging.to_ort((tmp_path / "any.onnx",), 1000).reason


def test_required_operators_are_parsed():
    text = "# Generated\nai.onnx;21;Conv,Mul\ncom.microsoft;1;QLinearConv\nnonsense\n"
    assert packaging.parse_operators(text) == {
        "ai.onnx;21": ("Conv", "Mul"),
        "com.microsoft;1": ("QLinearConv",),
    }


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        (200_000_000, [True, True, True]),
        (200_000_001, [False, True, True]),
        (1_500_000_001, [False, False, True]),
        (4_000_000_001, [False, False, False]),
    ],
)
def test_store_limits(size, fits):
    assert [row.fits for row in packaging.store_fit(size, store_limits())] == fits


def test_the_estimate_is_a_range_by_the_roofline(tmp_path):
    path = graphs.save(graphs.matmul(inner=512, columns=512), tmp_path / "m.onnx")
    examined = examine(path, {"x": (512, 512)})
    pi = mobile._devices()[0]
    found = mobile._estimate(examined, pi)
    bound = 2 * 512**3 / pi.peak_ops_per_s("float32")
    assert found.low_s == pytest.approx(bound / mobile._EFFICIENCY[1])
    assert found.high_s == pytest.approx(bound / mobile._EFFICIENCY[0])
    assert found.memory_share == 0
    assert found.needs_bytes == examined.bytes + 2 * 512 * 512 * 4
    assert found.fits_memory
    assert not mobile._estimate(examined, replace(pi, memory_gb=0.005)).fits_memory
    thin = mobile._estimate(examine(path, {"x": (1, 512)}), pi)
    assert thin.memory_share == 1


def test_the_efficiency_holds_what_was_measured():
    measured = json.loads((ROOT / "bench" / "results" / "efficiency.json").read_text())
    shares = [row["share"] for row in measured["rows"]]
    assert not any(row["noisy"] for row in measured["rows"])
    assert (measured["low"], measured["high"]) == (round(min(shares), 2), round(max(shares), 2))
    assert mobile._EFFICIENCY[0] <= measured["low"]
    assert mobile._EFFICIENCY[1] == pytest.approx(measured["high"], abs=0.02)
    stated = next(line for line in mobile._ASSUMPTIONS if "of that bound" in line)
    assert f"{measured['low']:.0%}".replace("%", " %") in stated
    assert f"{measured['high']:.0%}".replace("%", " %") in stated


def test_the_profile_is_labelled_an_estimate_with_its_assumptions(tmp_path):
    path = graphs.save(graphs.qdq_conv(), tmp_path / "m.onnx")
    record = as_json(
        mobile._profile_mobile(examine(path, {"x": (1, 8, 200)}), sharing(mobile.MOBILE))
    )
    record = json.loads(json.dumps(record))
    assert record["kind"] == "estimate"
    assert 0 < record["low_s"] < record["high_s"]
    assert record["assumptions"]
    assert record["bytes"] == path.stat().st_size
    assert record["ort_bytes"] > 0
    assert set(record["coverage"]) >= {"cpu", "nnapi", "xnnpack", "coreml-mlprogram"}
    told = [p["platform"] for p in record["platforms"]]
    assert told == [t.name for t in sharing(mobile.MOBILE) if t.runtimes]
    # What Qualcomm's compiler takes, no table tells: `qnn` asks it.
    assert told == ["android", "ios"]
    assert any("fixed shapes" in note for note in record["notes"])
    assert any("CoreML has no path for INT8" in note for note in record["notes"])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have FP16 kernels")
def test_an_ort_file_that_unfolds_float16_is_pointed_out(tmp_path):
    half = TensorProto.FLOAT16
    proto = graphs.model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", half, ["rows", 256])],
        [("y", half, ["rows", 256])],
        {"w": np.ones((256, 256), np.float16)},
    )
    path = graphs.save(proto, tmp_path / "m.onnx")
    record = as_json(mobile._profile_mobile(examine(path, {"x": (4, 256)}), sharing(mobile.MOBILE)))
    assert record["ort_bytes"] > 1.5 * record["bytes"]
    assert any("unfolds them to FP32" in note for note in record["notes"])


def test_a_target_without_a_table_of_operators_is_estimated_without_it(tmp_path):
    path = graphs.save(graphs.matmul(), tmp_path / "m.onnx")
    members = (IOS, replace(IOS, name="web", runtimes=()))
    found = mobile._profile_mobile(examine(path, {"x": (2, 64)}), members)
    assert [each.platform for each in found.platforms] == ["ios"]
    assert found.low_s > 0
