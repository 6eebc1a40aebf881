import numpy as np
import pytest
from onnx import helper

from profiles.targets import qnn
from tests.profiles import graphs
from vampnet_models.errors import InputError

needs_compiler = pytest.mark.skipif(
    qnn.unavailable() is not None, reason="the extra qnn is not installed"
)


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(qnn, "PACKAGE", "no-such-package")
    path = graphs.save(graphs.matmul(), tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r'not measured: pip install "vampnet-workbench\[qnn\]"'):
        qnn.compile_variant(path, path, [{"x": np.zeros((4, 64), np.float32)}])


def test_equal_reasons_count_together_and_by_flops():
    said = (
        "Operators of type `Erf` are not supported by QNN EP.Erf node `{0}` will not be assigned."
    )
    trace = {
        "unsupported_nodes": [
            {"node_name": n, "op_type": "Erf", "reason": said.format(n)} for n in ("a", "b", "new")
        ]
    }
    (refusal,), unnamed = qnn._refusals(trace, {"a": 10, "b": 20})
    assert (refusal.nodes, refusal.flops, unnamed) == (3, 30, 1)
    assert refusal.reason == "Operators of type Erf are not supported by QNN EP"


def test_only_masked_positions_count():
    mask = np.array([[[0, 0], [1, 0]]])
    values = np.zeros((1, 1, 2), np.int64)
    assert qnn._counted({"mask": mask}, values).tolist() == [[[True, False]]]
    assert qnn._counted({"codes": mask}, values).all()


@needs_compiler
def test_a_product_compiles_and_is_emulated(tmp_path):
    path = graphs.save(graphs.matmul(), tmp_path / "m.onnx")
    feeds = {"x": np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32)}
    made = qnn.compile_variant(path, path, [feeds])
    assert (made.supported, made.nodes, made.partitions) == (1, 1, 1)
    assert made.flops_share == 1
    assert made.context_bytes > 1000
    assert made.emulated.measure == "si_sdr_db"
    assert 40 < made.emulated.to_reference < 120
    record = made.as_json()
    assert (record["evidence"], record["emulated"]["evidence"]) == ("compiled", "emulated")


@needs_compiler
def test_a_refused_node_is_named_with_its_reason(tmp_path):
    proto = graphs.model(
        [
            helper.make_node("Relu", ["x"], ["h"], name="a"),
            helper.make_node("ReduceSumSquare", ["h"], ["y"], name="b", keepdims=1),
        ],
        [("x", graphs.FLOAT, [4, 64])],
        [("y", graphs.FLOAT, [1, 1])],
    )
    path = graphs.save(proto, tmp_path / "m.onnx")
    made = qnn.compile_variant(path, path, [{"x": np.ones((4, 64), np.float32)}], emulate=False)
    assert made.refusals[0].op_type == "ReduceSumSquare"
    assert "not supported" in made.refusals[0].reason
    assert made.supported < made.nodes
    assert 0 < made.flops_share < 1
    assert made.emulated is None
    assert made.not_emulated == "not asked for"
