import json

import numpy as np
import pytest
from onnx import TensorProto, helper

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


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """What stands in for the compiler's process: a shell script in the folder of its results."""
    monkeypatch.setattr(qnn, "PACKAGE", "numpy")
    script = tmp_path / "compiler"

    def does(lines):
        script.write_text(f"#!/bin/sh\n{lines}\n")
        script.chmod(0o755)
        monkeypatch.setattr(qnn.sys, "executable", str(script))

    return does


def integers(tmp_path):
    """`y = int(x)` of eight numbers, and its feeds."""
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT64)
    proto = graphs.model(
        [node], [("x", graphs.FLOAT, ["n"])], [("y", TensorProto.INT64, ["n"])], {}
    )
    return graphs.save(proto, tmp_path / "m.onnx"), {"x": np.arange(8, dtype=np.float32)}


TRACE = {
    "unsupported_nodes": [],
    "summary": {
        "total_onnx_nodes": 1,
        "supported_nodes": 1,
        "qnn_subgraphs": 1,
        "total_qnn_ops": 3,
    },
}


def test_tokens_of_the_emulated_chip_are_compared(tmp_path, compiler):
    path, feeds = integers(tmp_path)
    result = {"providers": ["QNNExecutionProvider"], "compile_s": 1.5, "emulation_s": [2.5]}
    (tmp_path / "result.json").write_text(json.dumps(result))
    (tmp_path / "qnn_op_trace.json").write_text(json.dumps(TRACE))
    answered = np.array([0, 1, 2, 3, 4, 5, 9, 9])
    graphs.save_feeds(tmp_path / "outputs.npz", **{"0/y": answered})
    (tmp_path / "context.bin").write_bytes(bytes(10))
    names = "result.json qnn_op_trace.json outputs.npz context.bin"
    compiler(f"for each in {names}; do cp {tmp_path}/$each .; done")
    made = qnn.compile_variant(path, path, [feeds])
    assert (made.compile_s, made.context_bytes, made.qnn_operators) == (1.5, 10, 3)
    assert made.input_shapes == {"x": (8,)}
    assert made.emulated == qnn.Emulated("tokens", 0.75, 0.75, 1.0, 8, 1, (2.5,))
    assert (made.not_emulated, made.node_share) == (None, 1.0)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("echo first >&2; echo no memory >&2; exit 3", "ended with exit code 3: no memory"),
        ("exit 3", "ended with exit code 3: no message"),
        ("true", "ended with exit code 0: no message"),
        ("sleep 30", "took over 0 s; give fewer frames or states, or --no-emulate"),
        (
            """echo '{"providers": ["CPUExecutionProvider"]}' > result.json""",
            r"fell back to \['CPUExecutionProvider'\]",
        ),
        (
            """echo '{"providers": ["QNNExecutionProvider"]}' > result.json""",
            "wrote no trace; update",
        ),
    ],
)
def test_a_compiler_that_fails_is_told(tmp_path, compiler, lines, said):
    path, feeds = integers(tmp_path)
    compiler(lines.replace("sleep", "exec sleep"))
    with pytest.raises(InputError, match=said):
        qnn.compile_variant(path, path, [feeds], timeout_s=0.4 if "sleep" in lines else 20)


def test_what_would_take_too_long_is_compiled_alone(tmp_path, compiler, monkeypatch):
    path, feeds = integers(tmp_path)
    monkeypatch.setattr(qnn, "_EMULATED_FLOPS", -1)
    trace = json.dumps(TRACE)
    compiler(
        f"""echo "$@" > {tmp_path}/asked; echo '{trace}' > qnn_op_trace.json
        echo '{{"providers": ["QNN"], "compile_s": 1}}' > result.json"""
    )
    made = qnn.compile_variant(path, path, [feeds])
    assert made.emulated is None and "would take too long" in made.not_emulated
    assert "--emulate" not in (tmp_path / "asked").read_text()


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
