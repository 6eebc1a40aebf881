import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from profiles.count import runtimes
from profiles.count.coverage import coverage
from profiles.count.examine import examine, feed_shapes
from tests.profiles import graphs
from vampnet_models.errors import InputError


@pytest.fixture
def look(tmp_path):
    def examined(proto, **inputs):
        return examine(graphs.save(proto, tmp_path / "model.onnx"), inputs)

    return examined


def test_coverage_counts_nodes_flops_and_partitions(look):
    examined = look(graphs.conv_chain(), audio=(1, 1, 96))

    def only_convs(node, shapes):
        return None if node.op_type == "Conv" else "not today"

    covered = coverage(examined, "test", only_convs)
    conv, up, sine = 2 * 96 * 16 * 7, 2 * 96 * 16 * 16, 96 * 16
    assert (covered.nodes, covered.supported, covered.partitions) == (8, 1, 1)
    assert covered.flops_share == pytest.approx(conv / examined.cost.flops)
    assert examined.cost.flops >= conv + up + sine
    assert covered.refusals[0].op_type == "ConvTranspose"
    assert sum(r.nodes for r in covered.refusals) == 7


def test_tables_of_the_installed_runtime_are_read():
    nnapi = runtimes.operators("nnapi")
    assert "Only 2D" in nnapi["conv"]
    assert "quantizelinear" in nnapi
    assert "argmax" in runtimes.operators("coreml-mlprogram")
    assert "reducesum" in runtimes.operators("coreml-neuralnetwork")
    assert "dequantizelinear" not in runtimes.operators("coreml-mlprogram")
    assert "com.microsoft:qlinearadd" in nnapi


def test_one_dimensional_convolutions_are_refused_where_only_2d_is_taken(look):
    examined = look(graphs.conv_chain(), audio=(1, 1, 96))
    reasons = {
        runtime: {
            r.op_type: r.reason
            for r in coverage(examined, runtime, runtimes.supports(runtime)).refusals
        }
        for runtime in runtimes.RUNTIMES
    }
    assert reasons["cpu"] == {}
    assert "1D convolution" in reasons["nnapi"]["Conv"]
    assert "1D convolution" in reasons["xnnpack"]["Conv"]
    assert "Conv" not in reasons["coreml-mlprogram"]
    assert "not in the runtime's table" in reasons["nnapi"]["ConvTranspose"]


def test_quantized_convolution_has_no_coreml_path(look):
    examined = look(graphs.qdq_conv(), x=(1, 8, 100))
    covered = coverage(examined, "coreml-mlprogram", runtimes.supports("coreml-mlprogram"))
    assert covered.supported == 0 or covered.flops_share == 0
    weights_only = look(graphs.qdq_conv(weights_only=True), x=(1, 8, 100))
    neural = coverage(
        weights_only, "coreml-neuralnetwork", runtimes.supports("coreml-neuralnetwork")
    )
    assert any("comes from DequantizeLinear" in r.reason for r in neural.refusals)


def test_float16_is_refused_where_only_float32_is_taken(look):
    half = TensorProto.FLOAT16
    proto = graphs.model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", half, ["rows", 8])],
        [("y", half, ["rows", 8])],
        {"w": np.eye(8, dtype=np.float16)},
    )
    examined = look(proto, x=(4, 8))
    reasons = {
        r: [x.reason for x in coverage(examined, r, runtimes.supports(r)).refusals]
        for r in ("nnapi", "coreml-mlprogram")
    }
    assert reasons == {"nnapi": ["float16 arithmetic"], "coreml-mlprogram": []}


def test_an_input_without_feeds_is_an_input_error(look):
    with pytest.raises(InputError, match="input x"):
        look(graphs.matmul())


def test_feed_shapes(tmp_path):
    path = graphs.save_feeds(tmp_path / "f.npz", x=np.zeros((2, 3)), m=np.zeros(4))
    assert feed_shapes(path) == {"x": (2, 3), "m": (4,)}
    (tmp_path / "bad.npz").write_text("no")
    with pytest.raises(InputError, match=r"bad\.npz"):
        feed_shapes(tmp_path / "bad.npz")


def test_external_weights_count_and_stay_on_disk(tmp_path):
    model = graphs.as_ir(graphs.matmul(inner=256, columns=256))
    path = tmp_path / "model.onnx"
    ir.save(model, path, external_data="model.onnx.data", size_threshold_bytes=1)
    examined = examine(path, {"x": (4, 256)})
    assert [f.name for f in examined.files] == ["model.onnx", "model.onnx.data"]
    assert examined.bytes > 256 * 256 * 4
    assert examined.cost.flops == 2 * 4 * 256 * 256
