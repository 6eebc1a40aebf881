import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from calibration.ranges.collect import collect_channel_ranges
from calibration.ranges.observers import OBSERVERS, ChannelRange
from tests.calibration.whole_ranges import collect_ranges
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import save_model
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.spec import IR_VERSION, OPSET

CHANNELS = 4


def constant(name: str, array: np.ndarray) -> ir.Value:
    return ir.Value(name=name, const_value=ir.tensor(array, name=name))


def write_model(path: Path, *, opset: int = OPSET, external: bool = False) -> Path:
    """x [1, 2, t] -> Conv -> Tanh -> Log(y): y is NaN where the convolution is negative."""
    rng = np.random.default_rng(0)
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1, 2, "t"]))
    weight = constant("weight", rng.standard_normal((CHANNELS, 2, 3)).astype(np.float32))
    # Big enough to become external data.
    wide = constant("wide", rng.standard_normal((1, CHANNELS, 500)).astype(np.float32))
    conv = ir.node(
        "Conv", [x, weight], attributes={"pads": [1, 1]}, outputs=[ir.Value(name="conv")]
    )
    tanh = ir.node("Tanh", conv.outputs, outputs=[ir.Value(name="tanh")])
    log = ir.node("Log", conv.outputs, outputs=[ir.Value(name="log")])
    joined = ir.node(
        "Concat", [tanh.outputs[0], wide], attributes={"axis": 2}, outputs=[ir.Value(name="y")]
    )
    constant_node = ir.node("Mul", [conv.outputs[0], zero := constant("zero", np.float32([0]))])
    constant_node.outputs[0].name = "nothing"
    y = joined.outputs[0]
    y.type, y.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([1, CHANNELS, "u"])
    graph = ir.Graph(
        [x],
        [y],
        nodes=[conv, tanh, log, joined, constant_node],
        initializers=[weight, wide, zero],
        opset_imports={"": opset},
        name="toy",
    )
    save_model(ir.Model(graph, ir_version=IR_VERSION), path, external=external)
    return path


def feeds_of(lengths: tuple[int, ...], scale: float = 1.0) -> list[Feeds]:
    rng = np.random.default_rng(1)
    return [
        {"x": (scale * (i + 1) * rng.standard_normal((1, 2, t))).astype(np.float32)}
        for i, t in enumerate(lengths)
    ]


def truth(path: Path, feeds: list[Feeds]) -> np.ndarray:
    """The convolution in numpy: float64 [channels, all frames]."""
    weight = ir.load(path).graph.initializers["weight"].const_value
    assert weight is not None
    kernel = weight.numpy().astype(np.float64)
    parts = []
    for feed in feeds:
        padded = np.pad(feed["x"][0], ((0, 0), (1, 1)))
        t = feed["x"].shape[2]
        parts.append(sum(kernel[:, :, k] @ padded[:, k : k + t] for k in range(3)))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("external", [False, True])
def test_minmax_over_samples_of_any_length(tmp_path: Path, external: bool) -> None:
    path = write_model(tmp_path / "a model.onnx", external=external)
    before = sorted(p.read_bytes() for p in tmp_path.iterdir())
    feeds = feeds_of((5, 300, 17))
    found = collect_ranges(path, iter(feeds), ["x", "conv", "y", "nothing"])
    expected = truth(path, feeds)
    assert found["conv"].low == pytest.approx(expected.min(), rel=1e-5)
    assert found["conv"].high == pytest.approx(expected.max(), rel=1e-5)
    everything = np.concatenate([f["x"].reshape(-1) for f in feeds])
    assert found["x"].low == everything.min() and found["x"].high == everything.max()
    assert found["nothing"].low == found["nothing"].high == 0
    assert sorted(p.read_bytes() for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize("opset", [13, OPSET])
@pytest.mark.parametrize("axis", [1, -2])
def test_channel_ranges(tmp_path: Path, opset: int, axis: int) -> None:
    path = write_model(tmp_path / "m.onnx", opset=opset)
    feeds = feeds_of((5, 40))
    found = collect_channel_ranges(path, feeds, {"conv": axis, "x": 1, "tanh": None})
    expected = truth(path, feeds)
    np.testing.assert_allclose(found["conv"].low, expected.min(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found["conv"].high, expected.max(axis=1), rtol=1e-5)
    assert np.shape(found["x"].low) == (2,)
    assert found["tanh"] == collect_ranges(path, feeds, ["tanh"])["tanh"]


@pytest.mark.parametrize("observer", [o for o in OBSERVERS if o != "minmax"])
def test_histogram_observers_do_not_depend_on_the_groups(
    tmp_path: Path, observer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(tmp_path / "m.onnx", external=True)
    feeds = feeds_of((400, 50))
    names = ["conv", "tanh", "y", "nothing"]
    whole = collect_ranges(path, feeds, names, observer)
    monkeypatch.setattr("calibration.ranges.collect.GROUP_BYTES", 1)
    calls: list[tuple[int, int]] = []
    single = collect_ranges(
        path, feeds, names, observer, progress=lambda done, total: calls.append((done, total))
    )
    assert whole == single
    # One pass for the ranges, one for each of the three tensors that vary.
    assert calls[-1] == (2 * 4, 2 * 4)
    extremes = collect_ranges(path, feeds, names)
    for name in names:
        assert extremes[name].low <= whole[name].low <= whole[name].high <= extremes[name].high


PEAK_OF = """
import resource, sys
from pathlib import Path
import numpy as np
from calibration.ranges.collect import collect_channel_ranges
collect_channel_ranges(
    Path(sys.argv[1]), [{"x": np.ones((1, 4, 500_000), np.float32)}], dict.fromkeys(sys.argv[2:], 1)
)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_a_tensor_is_let_go_once_it_was_reduced(tmp_path: Path) -> None:
    count, tensor_bytes = 24, 4 * 500_000 * 4
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1, 4, "t"]))
    nodes, value = [], x
    for number in range(count):
        name = f"t{number}"
        nodes.append(ir.node("Softplus", [value], outputs=[ir.Value(name=name)]))
        value = nodes[-1].outputs[0]
    value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([1, 4, "t"])
    graph = ir.Graph([x], [value], nodes=nodes, opset_imports={"": OPSET}, name="chain")
    save_model(ir.Model(graph, ir_version=IR_VERSION), tmp_path / "chain.onnx")

    def peak_bytes(*names: str) -> int:
        command = [sys.executable, "-c", PEAK_OF, str(tmp_path / "chain.onnx"), *names]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    every = [f"t{number}" for number in range(count)]
    assert peak_bytes(*every) - peak_bytes(every[-1]) < count * tensor_bytes / 3


def test_no_sample_is_lost(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    feeds = feeds_of((9,) * 40)
    feeds[13]["x"][0, 0, 4] = 1000.0
    assert collect_ranges(path, feeds, ["x"])["x"].high == 1000.0


def test_nan_and_infinity_are_named(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    feeds = feeds_of((9, 9))
    with pytest.raises(InputError, match=r"tensor log holds NaN or infinity.*sample 0"):
        collect_ranges(path, feeds, ["conv", "log"])
    feeds[1]["x"][0, 0, 0] = np.inf
    with pytest.raises(InputError, match=r"tensor x holds NaN or infinity.*sample 1"):
        collect_ranges(path, feeds, ["x"])


def test_a_sum_that_overflows_is_no_infinity(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    huge = {"x": np.full((1, 2, 50), 1e38, np.float32)}
    assert collect_ranges(path, [huge], ["x"])["x"].high == np.float32(1e38)


def test_what_cannot_be_collected_is_one_line(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    feeds = feeds_of((9,))
    with pytest.raises(InputError, match="no such observer; choose one of minmax"):
        collect_ranges(path, feeds, ["conv"], "best")
    with pytest.raises(InputError, match="no tensor absent"):
        collect_ranges(path, feeds, ["absent"])
    with pytest.raises(InputError, match="no calibration samples"):
        collect_ranges(path, [], ["conv"])
    with pytest.raises(InputError, match="cannot run calibration sample 0"):
        collect_ranges(path, [{"x": np.zeros((1, 3, 9), np.float32)}], ["conv"])
    assert collect_ranges(path, feeds, []) == {}


@pytest.mark.parametrize("opset", [11, 13, OPSET])
@pytest.mark.parametrize("observer", ["minmax", "mse"])
def test_means_per_channel_are_those_of_all_values(
    tmp_path: Path, opset: int, observer: str
) -> None:
    path, feeds = write_model(tmp_path / "m.onnx", opset=opset), feeds_of((300, 40, 17))
    found = collect_channel_ranges(path, feeds, {"x": 1, "conv": 1}, observer)["x"]
    assert isinstance(found, ChannelRange) and found.mean is not None
    values = np.concatenate([feed["x"][0] for feed in feeds], axis=1)
    np.testing.assert_allclose(found.mean, values.mean(axis=1), rtol=1e-4, atol=1e-5)


def test_texts_and_scalars_are_inputs_too(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 21]>
        g (float s, string[n] t) => (float[m] y) {
         a = Constant <value_ints = [0]> () u = Unsqueeze (s, a) c = Cast <to = 1> (t)
         j = Concat <axis = 0> (u, c) y = Neg (j) }""")
    onnx.save(proto, tmp_path / "m.onnx")
    numbers = {"s": np.array(-3, np.float32)}
    texts = {"t": np.array(["2.5", "7"])}
    found = collect_ranges(tmp_path / "m.onnx", [numbers | texts], ["y", "u"])
    assert (found["y"].low, found["y"].high) == (-7, 3)
    assert (found["u"].low, found["u"].high) == (-3, -3)
    assert collect_ranges(tmp_path / "m.onnx", [numbers | texts], ["u"]) == {"u": found["u"]}
