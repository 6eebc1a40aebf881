import json

import numpy as np
import pytest

from profiles.measure.operators import block_of, profile_operators, summarise_events
from profiles.place import cpu
from tests.profiles import graphs
from vampnet_models.errors import InputError
from vampnet_models.records.generic import as_json


def test_a_model_is_split_by_operator_and_block(tmp_path):
    path = graphs.save(graphs.slow_matmul(3, inner=128), tmp_path / "m.onnx")
    feeds = graphs.save_feeds(tmp_path / "f.npz", x=np.ones((64, 128), np.float32))
    found = profile_operators(path, feeds, cpu(1), warmups=1, runs=3)
    assert found.runs == 3
    (only,) = found.by_operator
    assert (only.name, only.calls, only.flops) == ("MatMul", 3, 3 * 2 * 64 * 128 * 128)
    assert only.share == 1
    assert {row.name for row in found.by_block} == {"block.0", "block.1", "block.2"}
    assert sum(row.share for row in found.by_block) == pytest.approx(1)
    assert sorted(row.name.split()[0] for row in found.by_node) == ["MatMul"] * 3
    assert {(row.flops, row.integer_flops) for row in found.by_node} == {(2 * 64 * 128 * 128, 0)}
    assert json.loads(json.dumps(as_json(found)))["by_operator"][0]["flops_per_s"] > 0
    assert not [p for p in tmp_path.iterdir() if "profile" in p.name]


def test_a_model_that_does_not_run_is_an_input_error(tmp_path):
    path = graphs.save(graphs.matmul(), tmp_path / "m.onnx")
    feeds = graphs.save_feeds(tmp_path / "f.npz", x=np.ones((2, 65), np.float32))
    with pytest.raises(InputError, match=r"m\.onnx"):
        profile_operators(path, feeds, cpu(1))


def _events():
    def node(ts, dur, name="layer.0/A", op="Add"):
        shapes = [{"float": [2, 3]}]
        args = {"op_name": op, "provider": "CPUExecutionProvider"}
        args |= {"input_type_shape": shapes, "output_type_shape": shapes}
        return {"cat": "Node", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": args}

    def run(ts, dur):
        return {"cat": "Session", "name": "model_run", "ts": ts, "dur": dur}

    return [
        node(10, 500), run(0, 1000),
        node(1010, 100), node(1200, 300, "layer.1/B", "Mul"), run(1000, 1000),
        node(2010, 200), node(2300, 300, "layer.1/B", "Mul"), run(2000, 1000),
    ]  # fmt: skip


def test_warm_up_runs_are_left_out_and_rows_are_medians():
    found = summarise_events(_events(), warmups=1)
    assert found.runs == 2
    assert [(r.name, r.seconds) for r in found.by_operator] == [
        ("Mul", pytest.approx(300e-6)),
        ("Add", pytest.approx(150e-6)),
    ]
    assert found.kernels_s == pytest.approx(450e-6)
    assert found.outside_s == pytest.approx(550e-6)
    assert found.by_operator[0].bytes == 48
    with pytest.raises(ValueError, match="no run"):
        summarise_events(_events(), warmups=3)


@pytest.mark.parametrize(
    ("node", "block"),
    [
        ("encoder.block.2.block.0/Conv", "encoder.block.2"),
        ("/transformer/layers.3/attn/MatMul", "transformer.layers.3"),
        ("embedding/Gather_7", "embedding"),
        ("Transpose_token_3", "(runtime)"),
    ],
)
def test_blocks_from_names(node, block):
    assert block_of(node) == block
