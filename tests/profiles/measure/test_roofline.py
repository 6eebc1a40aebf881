import pytest

from profiles.count.cost import model_cost
from profiles.measure.roofline import Peaks, copy_rate, measure_peaks, roofline
from profiles.place import cpu
from tests.profiles import graphs
from vampnet_models.records.generic import as_json
from vampnet_models.shapes.tensor_shapes import infer_shapes

PEAKS = Peaks(threads=1, fp32_flops_per_s=1e9, int8_ops_per_s=4e9, copy_bytes_per_s=1e9)


def _cost(proto, **shapes):
    model = graphs.as_ir(proto)
    return model_cost(model, infer_shapes(model, shapes))


def test_a_large_product_is_bound_by_arithmetic():
    found = roofline(_cost(graphs.matmul(), x=(1000, 64)), PEAKS, measured_s=0.01)
    assert found.floor_s == pytest.approx(2 * 1000 * 64 * 32 / 1e9)
    assert found.per_node_s == found.floor_s
    assert found.memory_bound_share == 0
    assert found.efficiency == pytest.approx(0.4096)
    assert found.warnings == ()


def test_one_row_is_bound_by_its_weights():
    found = roofline(_cost(graphs.matmul(), x=(1, 64)), PEAKS, measured_s=1.0)
    assert found.floor_s == pytest.approx(64 * 32 * 4 / 1e9)
    assert found.memory_bound_share == 1


def test_integer_nodes_count_at_the_integer_peak():
    cost = _cost(graphs.qdq_conv(), x=(1, 8, 1000))
    conv = next(n for n in cost.nodes if n.op_type == "Conv")
    found = roofline(cost, PEAKS, measured_s=1.0)
    others = sum(n.flops for n in cost.nodes) - conv.flops
    assert found.floor_s == pytest.approx(conv.flops / 4e9 + others / 1e9)


def test_a_run_above_the_roof_tells_on_the_peaks():
    found = roofline(_cost(graphs.matmul(), x=(1000, 64)), PEAKS, measured_s=0.001)
    assert "busier machine" in found.warnings[0]


def test_peaks_are_measured():
    peaks = measure_peaks(cpu(1), runs=2)
    assert peaks.threads == 1
    assert peaks.fp32_flops_per_s > 0
    assert peaks.int8_ops_per_s > 0
    assert copy_rate(2, repeats=1) > 0
    assert set(as_json(peaks)) == {
        "threads",
        "fp32_flops_per_s",
        "int8_ops_per_s",
        "copy_bytes_per_s",
    }
