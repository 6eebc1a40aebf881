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
