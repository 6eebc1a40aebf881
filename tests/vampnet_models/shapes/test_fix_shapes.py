import numpy as np
import onnx
import pytest

from tests.profiles import graphs
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.session import open_session
from vampnet_models.shapes.fix_shapes import fix_shapes


def test_shape_sums_are_folded_and_outputs_stay_equal(tmp_path):
    source = graphs.save(graphs.conv_chain(), tmp_path / "m.onnx")
    out = tmp_path / "fixed.onnx"
    shapes = fix_shapes(source, {"audio": (1, 1, 91)}, out)
    fixed = onnx.load(out)
    assert [n.op_type for n in fixed.graph.node] == ["Pad", "Conv", "Sin", "ConvTranspose"]
    assert [d.dim_value for d in fixed.graph.input[0].type.tensor_type.shape.dim] == [1, 1, 91]
    assert shapes.tensors["y"].shape == (1, 4, 192)
    sizes = [d.dim_value for d in fixed.graph.output[0].type.tensor_type.shape.dim]
    assert sizes == [1, 4, 192]
    feeds = {"audio": np.random.default_rng(0).standard_normal((1, 1, 91), np.float32)}
    ours, theirs = open_session(source).run(feeds), open_session(out).run(feeds)
    np.testing.assert_array_equal(ours["y"], theirs["y"])


@pytest.mark.parametrize("shapes", [{}, {"audio": (1, 2, 91)}, {"audio": (1, 91)}])
def test_shapes_that_do_not_fit_are_refused(tmp_path, shapes):
    source = graphs.save(graphs.conv_chain(), tmp_path / "m.onnx")
    with pytest.raises(InputError, match="audio"):
        fix_shapes(source, shapes, tmp_path / "fixed.onnx")
    assert not (tmp_path / "fixed.onnx").exists()


def test_the_source_is_never_the_output(tmp_path):
    source = graphs.save(graphs.conv_chain(), tmp_path / "m.onnx")
    with pytest.raises(InputError, match="input itself"):
        fix_shapes(source, {"audio": (1, 1, 91)}, source)


def test_constants_among_the_inputs_and_inputs_of_any_shape(tmp_path):
    proto = graphs.matmul()
    weight = proto.graph.initializer[0]
    proto.graph.input.append(
        onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
    )
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    source = graphs.save(proto, tmp_path / "m.onnx")
    fix_shapes(source, {"x": (3, weight.dims[0])}, tmp_path / "fixed.onnx")
    fixed = onnx.load(tmp_path / "fixed.onnx")
    sizes = [d.dim_value for d in fixed.graph.output[0].type.tensor_type.shape.dim]
    assert sizes == [3, weight.dims[1]]


def test_what_is_only_known_when_it_runs_keeps_its_size_open(tmp_path):
    proto = graphs.model(
        [
            onnx.helper.make_node("NonZero", ["x"], ["i"]),
            onnx.helper.make_node("Shape", ["x"], ["unread"]),
            onnx.helper.make_node("Cast", ["i"], ["y"], to=graphs.FLOAT),
        ],
        [("x", graphs.FLOAT, ["n"])],
        [("y", graphs.FLOAT, [1, "m"])],
    )
    source = graphs.save(proto, tmp_path / "m.onnx")
    assert [u.op_type for u in fix_shapes(source, {"x": (5,)}, tmp_path / "f.onnx").unresolved] == [
        "NonZero",
        "Cast",
    ]
    assert [n.op_type for n in onnx.load(tmp_path / "f.onnx").graph.node] == ["NonZero", "Cast"]
    x = np.array([0, 1, 0, 2, 0], np.float32)
    assert open_session(tmp_path / "f.onnx").run({"x": x})["y"].tolist() == [[1, 3]]
