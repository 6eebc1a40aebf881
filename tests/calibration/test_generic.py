from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from calibration.generic import generic_feeds
from vampnet_models.artifact import open_artifact, save_model
from vampnet_models.errors import InputError
from vampnet_models.session import open_session
from vampnet_models.spec import IR_VERSION, OPSET

FLOAT, INT64 = ir.DataType.FLOAT, ir.DataType.INT64


def value(name: str, dtype: ir.DataType, shape: list[int | str]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))


def write(path: Path, inputs: list[ir.Value], nodes: list[ir.Node], weights: dict) -> Path:
    initializers = [
        ir.Value(name=name, const_value=ir.tensor(array, name=name))
        for name, array in weights.items()
    ]
    by_name = {v.name: v for v in initializers}
    for node in nodes:
        for i, source in enumerate(node.inputs):
            if source is not None and source.name in by_name:
                node.replace_input_with(i, by_name[source.name])
    graph = ir.Graph(
        inputs,
        nodes[-1].outputs,
        nodes=nodes,
        initializers=initializers,
        opset_imports={"": OPSET},
        name="toy",
    )
    save_model(ir.Model(graph, ir_version=IR_VERSION), path)
    return path


def embedding(path: Path, rows: int) -> Path:
    """ids [batch, t] -> rows of a table, plus x [batch, t, 3]."""
    ids, x = value("ids", INT64, ["batch", "t"]), value("x", FLOAT, ["batch", "t", 3])
    gather = ir.node("Gather", [ir.Value(name="table"), ids], outputs=[ir.Value(name="g")])
    add = ir.node("Add", [gather.outputs[0], x], outputs=[value("y", FLOAT, ["batch", "t", 3])])
    return write(path, [ids, x], [gather, add], {"table": np.ones((rows, 3), np.float32)})


@pytest.mark.parametrize(("rows", "below"), [(2000, 1024), (300, 256), (2, 2)])
def test_integers_stay_within_what_the_model_accepts(tmp_path: Path, rows: int, below: int) -> None:
    path = embedding(tmp_path / "m.onnx", rows)
    session = open_session(path)
    found = generic_feeds(open_artifact(path).spec, session, 4)
    assert len(found.feeds) == 4
    for feed in found.feeds:
        assert feed["ids"].shape == (1, 16) and feed["x"].shape == (1, 16, 3)
        assert feed["ids"].max() < below
        session.run(feed)
    assert found.sha256 == generic_feeds(open_artifact(path).spec, session, 4).sha256
    assert "--feeds" in found.warnings[0]


def test_a_long_kernel_gets_a_long_input(tmp_path: Path) -> None:
    x = value("x", FLOAT, ["batch", 1, "t"])
    conv = ir.node("Conv", [x, ir.Value(name="w")], outputs=[value("y", FLOAT, ["batch", 1, "u"])])
    path = write(tmp_path / "m.onnx", [x], [conv], {"w": np.ones((1, 1, 500), np.float32)})
    found = generic_feeds(open_artifact(path).spec, open_session(path), 1)
    assert found.feeds[0]["x"].shape == (1, 1, 1024)


def test_a_model_that_runs_with_nothing_random(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    x = value("x", FLOAT, [1, "t"])
    node = ir.node("MatMul", [x, ir.Value(name="w")], outputs=[value("y", FLOAT, [1, 3])])
    path = write(tmp_path / "m.onnx", [x], [node], {"w": np.ones((7, 3), np.float32)})
    with pytest.raises(InputError, match=r"give --feeds FILE\.npz"):
        generic_feeds(open_artifact(path).spec, open_session(path), 1)
    assert not capfd.readouterr().err
