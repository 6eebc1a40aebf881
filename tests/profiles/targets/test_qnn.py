import json

import numpy as np
import pytest
from onnx import TensorProto, helper

from profiles.targets import qnn
from tests.profiles import graphs
from vampnet_models.errors import InputError
from vampnet_models.records.evidence import Emulated

needs_compiler = pytest.mark.skipif(
    qnn.unavailable() is not None, reason="the extra qnn is not installed"
)


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(qnn, "PACKAGE", "no-such-package")
    path = graphs.save(graphs.matmul(), tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r'not measured: pip install "vampnet-workbench\[qnn\]"'):
        qnn.compile_variant(path, path, [{"x": np.zeros((4, 64), np.float32)}])


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


def answering(tmp_path, compiler, trace=TRACE, **outputs):
    """Let the compiler write a trace and these outputs of the first state."""
    result = {"providers": ["QNNExecutionProvider"], "compile_s": 1.5, "emulation_s": [2.5]}
    (tmp_path / "result.json").write_text(json.dumps(result))
    (tmp_path / "qnn_op_trace.json").write_text(json.dumps(trace))
    graphs.save_feeds(tmp_path / "outputs.npz", **{f"0/{k}": v for k, v in outputs.items()})
    (tmp_path / "context.bin").write_bytes(bytes(10))
    names = "result.json qnn_op_trace.json outputs.npz context.bin"
    compiler(f"for each in {names}; do cp {tmp_path}/$each .; done")


def test_tokens_of_the_emulated_chip_are_compared(tmp_path, compiler):
    path, feeds = integers(tmp_path)
    answering(tmp_path, compiler, y=np.array([0, 1, 2, 3, 4, 5, 9, 9]))
    made = qnn.compile_variant(path, path, [feeds])
    assert (made.compile_s, made.context_bytes, made.qnn_operators) == (1.5, 10, 3)
    assert made.input_shapes == {"x": (8,)}
    assert made.emulated == Emulated("tokens", 0.75, 0.75, 1.0, 8, 1, (2.5,))
    assert (made.not_emulated, made.node_share) == (None, 1.0)


def test_only_masked_positions_count(tmp_path, compiler):
    """The mask's first codebook is given; of the other one position is generated."""
    node = helper.make_node("Slice", ["codes", "one", "two", "one"], ["tokens"])
    proto = graphs.model(
        [node],
        [("codes", TensorProto.INT64, [1, 2, "t"]), ("mask", TensorProto.INT64, [1, 2, "t"])],
        [("tokens", TensorProto.INT64, [1, 1, "t"])],
        {"one": np.array([1]), "two": np.array([2])},
    )
    path = graphs.save(proto, tmp_path / "m.onnx")
    feeds = {"codes": np.array([[[1, 2], [3, 4]]]), "mask": np.array([[[0, 0], [1, 0]]])}
    answering(tmp_path, compiler, tokens=np.array([[[3, 9]]]))
    emulated = qnn.compile_variant(path, path, [feeds]).emulated
    assert (emulated.to_reference, emulated.n_positions) == (1.0, 1)


def test_equal_reasons_count_together_and_by_flops(tmp_path, compiler):
    said = (
        "Operators of type `MatMul` are not supported by QNN EP.MatMul node `{0}` will not be "
        "assigned."
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="a"),
        helper.make_node("MatMul", ["h", "w"], ["y"], name="b"),
    ]
    proto = graphs.model(
        nodes,
        [("x", graphs.FLOAT, ["n", 8])],
        [("y", graphs.FLOAT, ["n", 8])],
        {"w": np.ones((8, 8), np.float32)},
    )
    path = graphs.save(proto, tmp_path / "m.onnx")
    refused = [
        {"node_name": n, "op_type": "MatMul", "reason": said.format(n)} for n in ("a", "b", "new")
    ]
    answering(tmp_path, compiler, TRACE | {"unsupported_nodes": refused})
    made = qnn.compile_variant(path, path, [{"x": np.ones((3, 8), np.float32)}], emulate=False)
    (refusal,) = made.refusals
    assert (refusal.nodes, refusal.flops, made.unnamed) == (3, 2 * (2 * 3 * 8 * 8), 1)
    assert refusal.reason == "Operators of type MatMul are not supported by QNN EP"
    assert (made.flops_share, made.not_emulated) == (0, "not asked for")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("echo first >&2; echo no memory >&2; exit 3", "ended with exit code 3: no memory"),
        ("exit 3", "ended with exit code 3: no message"),
        ("true", "ended with exit code 0: no message"),
        ("sleep 30", "took over 0 s; give fewer frames or states, or do not emulate"),
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
    assert (made.evidence, made.emulated.evidence) == ("compiled", "emulated")


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
